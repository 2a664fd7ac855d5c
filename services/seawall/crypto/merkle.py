"""Merkle trees over SHA-256 as in RFC 6962: roots, inclusion and consistency proofs.

A leaf hash is SHA-256(0x00 ‖ entry), an inner hash SHA-256(0x01 ‖ left ‖ right). `node(level,
index)` always means the hash of the *complete* subtree over leaves [index·2^level,
(index + 1)·2^level); such a hash never changes once those leaves exist, so it can be stored and
served. Hashes on the ragged right edge depend on the size of the tree and are computed from
complete ones when needed.

Source: RFC 6962, section 2.1; RFC 9162, section 2.1.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Final, Self, TypeAlias

from seawall.crypto.hashing import DIGEST_BYTES
from seawall.errors import PeerError

EMPTY_ROOT: Final = sha256(b"").digest()
"""The root of the tree without leaves."""

NodeReader: TypeAlias = Callable[[int, int], bytes]
"""node(level, index): the hash of the complete subtree over 2^level leaves."""


def leaf_hash(entry: bytes) -> bytes:
    """Return SHA-256(0x00 ‖ entry), 32 bytes."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 ‖ left ‖ right), 32 bytes."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: enough to append to it and to know its root.

    Of a tree of n leaves it keeps one hash per one-bit of n: the complete subtrees that make up
    the tree, largest first. Appending costs one inner hash on average, the root at most
    log2(n) of them.
    """

    __slots__ = ("_hashes", "_size")

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        """Start from a known edge: `hashes` of the complete subtrees, largest first."""
        self._size = size
        self._hashes = list(hashes)
        assert size >= 0, "a tree has no negative size"
        assert len(self._hashes) == size.bit_count(), "one hash per one-bit of the size"
        assert all(len(value) == DIGEST_BYTES for value in self._hashes), "hashes are 32 bytes"

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self._size

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """Hashes of the complete subtrees, largest first: one per one-bit of the size."""
        return tuple(self._hashes)

    def copy(self) -> Self:
        """Return an independent copy; later appends to either leave the other as it is."""
        return type(self)(self._size, self._hashes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash at the right."""
        self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaf hashes at the right, in order."""
        edge, size, digest = self._hashes, self._size, sha256
        for leaf in leaves:
            value, carry = leaf, size
            while carry & 1:
                value = digest(b"\x01" + edge.pop() + value).digest()
                carry >>= 1
            edge.append(value)
            size += 1
        self._size = size

    def extend_with_nodes(self, leaves: Iterable[bytes]) -> list[tuple[int, int, bytes]]:
        """Add leaf hashes and return (level, index, hash) of every subtree they complete.

        The leaves themselves are among them, at level 0. What is returned is what a store needs
        to answer `node(level, index)` for the grown tree; the order is that of completion.
        """
        edge, size = self._hashes, self._size
        completed: list[tuple[int, int, bytes]] = []
        for leaf in leaves:
            value, level, index = leaf, 0, size
            completed.append((0, index, value))
            while index & 1:
                value = node_hash(edge.pop(), value)
                level, index = level + 1, index >> 1
                completed.append((level, index, value))
            edge.append(value)
            size += 1
        self._size = size
        return completed

    def root(self) -> bytes:
        """Return the root of the tree as it is now, 32 bytes."""
        return _fold_right(self._hashes) if self._hashes else EMPTY_ROOT


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root of the tree over these leaf hashes, 32 bytes."""
    frontier = Frontier()
    frontier.extend(leaves)
    return frontier.root()


def frontier_at(size: int, node: NodeReader) -> Frontier:
    """Return the right edge of the tree of the first `size` leaves, read from stored nodes."""
    return Frontier(size, _range_hashes(0, size, node))


def inclusion_proof(index: int, size: int, node: NodeReader) -> list[bytes]:
    """Return the hashes that lead from leaf `index` to the root of the tree of `size` leaves.

    The leaf's sibling comes first. Both arguments are our own: 0 <= index < size.

    Source: RFC 6962, section 2.1.1.
    """
    assert 0 <= index < size, "only a leaf of the tree has an inclusion proof"
    return _siblings(0, index, size, node)


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that leaf hash `leaf` stands at `index` in the tree of `size` leaves with this root.

    Raises PeerError:
        LOG_PROOF_INDEX: the index is not inside the tree.
        LOG_PROOF_LENGTH: too few or too many hashes for this index and size.
        LOG_PROOF_HASH: a hash is not 32 bytes.
        LOG_PROOF_ROOT: the hashes lead to another root.

    Source: RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size:
        raise PeerError("LOG_PROOF_INDEX", "the index must be less than the size", field="index")
    inner, border = _proof_shape(index, size)
    _check_hashes(proof, inner + border)
    value = _climb(leaf, index, proof[:inner])
    for sibling in proof[inner:]:
        value = node_hash(sibling, value)
    if value != root:
        raise PeerError("LOG_PROOF_ROOT", "entry, index or proof is of another tree", field="root")


def consistency_proof(old: int, new: int, node: NodeReader) -> list[bytes]:
    """Return the hashes showing that the first `old` of `new` leaves are unchanged.

    Both arguments are our own: 0 <= old <= new. The proof is empty for equal sizes, and for the
    empty tree, which every tree extends.

    Source: RFC 6962, section 2.1.2.
    """
    assert 0 <= old <= new, "a tree only grows"
    if old in (0, new):
        return []
    level = _trailing_zeros(old)
    index = (old >> level) - 1
    # A complete old tree is itself the first node, and the verifier knows its hash.
    seed = [] if index == 0 else [node(level, index)]
    return seed + _siblings(level, index, new, node)


def verify_consistency(
    old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree (new, new_root) only appends to the tree (old, old_root).

    Raises PeerError:
        LOG_PROOF_SHRINK: the new tree is smaller than the old one.
        LOG_PROOF_FORK: the same size with another root; both signed, this is evidence.
        LOG_PROOF_LENGTH, LOG_PROOF_HASH: as for `verify_inclusion`.
        LOG_PROOF_OLD_ROOT, LOG_PROOF_ROOT: the hashes lead to another old or new root.

    Source: RFC 9162, section 2.1.4.2.
    """
    if not 0 <= old <= new:
        raise PeerError("LOG_PROOF_SHRINK", "a log never gets smaller", field="size")
    if old == new:
        _check_hashes(proof, 0)
        if old_root != new_root:
            raise PeerError("LOG_PROOF_FORK", "one size has one root", field="root")
        return
    if old == 0:
        _check_hashes(proof, 0)
        if old_root != EMPTY_ROOT:
            raise PeerError("LOG_PROOF_OLD_ROOT", "not the root of no leaves", field="old_root")
        return
    level = _trailing_zeros(old)
    index = (old >> level) - 1
    inner, border = _proof_shape(index, ((new - 1) >> level) + 1)
    seeds = 0 if index == 0 else 1
    _check_hashes(proof, seeds + inner + border)
    seed = proof[0] if seeds else old_root
    path, edge = proof[seeds : seeds + inner], proof[seeds + inner :]
    old_value, new_value = _climb_left(seed, index, path), _climb(seed, index, path)
    for sibling in edge:
        old_value, new_value = node_hash(sibling, old_value), node_hash(sibling, new_value)
    if old_value != old_root:
        raise PeerError("LOG_PROOF_OLD_ROOT", "not a proof from that tree", field="old_root")
    if new_value != new_root:
        raise PeerError("LOG_PROOF_ROOT", "not a proof to that tree", field="root")


def _trailing_zeros(value: int) -> int:
    """Return the level of the last complete subtree of a tree of `value` > 0 leaves."""
    return (value & -value).bit_length() - 1


def _fold_right(hashes: Sequence[bytes]) -> bytes:
    """Join adjacent subtrees, largest first, into one hash; there is at least one."""
    value = hashes[-1]
    for left in reversed(hashes[:-1]):
        value = node_hash(left, value)
    return value


def _range_hashes(start: int, end: int, node: NodeReader) -> list[bytes]:
    """Return the complete subtrees covering leaves [start, end), largest first.

    `start` is a multiple of the largest power of two not above end - start.
    """
    hashes: list[bytes] = []
    while start < end:
        level = (end - start).bit_length() - 1
        hashes.append(node(level, start >> level))
        start += 1 << level
    return hashes


def _siblings(level: int, index: int, size: int, node: NodeReader) -> list[bytes]:
    """Return the siblings from node (level, index) up to the root, nearest first."""
    siblings: list[bytes] = []
    last = (size - 1) >> level
    while last:
        sibling = index ^ 1
        if (sibling + 1) << level <= size:
            siblings.append(node(level, sibling))
        elif sibling == last:
            siblings.append(_fold_right(_range_hashes(sibling << level, size, node)))
        level, index, last = level + 1, index >> 1, last >> 1
    return siblings


def _proof_shape(index: int, size: int) -> tuple[int, int]:
    """Return how many siblings of `index` lie below, and how many on, the right edge.

    Below the point where the path joins the right edge there is a sibling at every level; on the
    edge only to the left, one for each one-bit of the index.
    """
    inner = (index ^ (size - 1)).bit_length()
    return inner, (index >> inner).bit_count()


def _check_hashes(proof: Sequence[bytes], expected: int) -> None:
    """Refuse a proof of another length, or with anything but hashes in it."""
    if len(proof) != expected:
        raise PeerError("LOG_PROOF_LENGTH", "not the number of hashes for these sizes")
    if any(len(value) != DIGEST_BYTES for value in proof):
        raise PeerError("LOG_PROOF_HASH", "every hash of a proof is 32 bytes")


def _climb(value: bytes, index: int, siblings: Sequence[bytes]) -> bytes:
    """Join `value` at `index` with a sibling at every level."""
    for sibling in siblings:
        value = node_hash(sibling, value) if index & 1 else node_hash(value, sibling)
        index >>= 1
    return value


def _climb_left(value: bytes, index: int, siblings: Sequence[bytes]) -> bytes:
    """Join `value` with left siblings only: the tree that ended with this node."""
    for sibling in siblings:
        if index & 1:
            value = node_hash(sibling, value)
        index >>= 1
    return value
