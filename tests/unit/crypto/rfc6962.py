"""The definitions of RFC 6962, section 2.1, taken literally and slow: an oracle for tests."""

from collections.abc import Sequence
from hashlib import sha256


def _split(size: int) -> int:
    """Return k, the largest power of two smaller than `size` > 1."""
    return 1 << (size - 1).bit_length() - 1


def tree_hash(entries: Sequence[bytes]) -> bytes:
    """Return MTH(D[n])."""
    if not entries:
        return sha256().digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = _split(len(entries))
    return sha256(b"\x01" + tree_hash(entries[:k]) + tree_hash(entries[k:])).digest()


def path(m: int, entries: Sequence[bytes]) -> list[bytes]:
    """Return PATH(m, D[n])."""
    if len(entries) == 1:
        return []
    k = _split(len(entries))
    if m < k:
        return [*path(m, entries[:k]), tree_hash(entries[k:])]
    return [*path(m - k, entries[k:]), tree_hash(entries[:k])]


def proof(m: int, entries: Sequence[bytes]) -> list[bytes]:
    """Return PROOF(m, D[n]) for 0 < m < n."""
    return _subproof(m, entries, known=True)


def _subproof(m: int, entries: Sequence[bytes], *, known: bool) -> list[bytes]:
    """Return SUBPROOF(m, D[n], b)."""
    if m == len(entries):
        return [] if known else [tree_hash(entries)]
    k = _split(len(entries))
    if m <= k:
        return [*_subproof(m, entries[:k], known=known), tree_hash(entries[k:])]
    return [*_subproof(m - k, entries[k:], known=False), tree_hash(entries[:k])]
