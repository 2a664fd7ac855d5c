"""Accepted blocks and their ancestry, kept as bit sets over a window of rounds.

Every accepted block gets the next free bit. The history of a block is the union of its parents'
bits and histories, one OR per parent, so "is x an ancestor of y" is one AND. Bits of blocks that
have left the window are shifted out now and then, so the integers stay as wide as the window.
"""

from collections.abc import Iterator
from typing import Final

from seawall.consensus.dag.instances import instances_in, mask_of
from seawall.domain.block import Ref, VerifiedBlock

_REBASE_BITS: Final = 1024


class Vertex:
    """An accepted block: its parents that are present, its bit, and its ancestors' bits.

    `history` excludes the block itself; `instances` are its updates, `rejects` what it rejects
    of others' by their reference. `supports` remembers which block of a slot this one supports
    (see `seawall.consensus.dag.committer`).
    """

    __slots__ = (
        "author",
        "author_bit",
        "bit",
        "block",
        "history",
        "instances",
        "number",
        "parents",
        "ref",
        "rejects",
        "round",
        "supports",
    )

    def __init__(
        self, block: VerifiedBlock, parents: tuple["Vertex", ...], number: int, bit: int
    ) -> None:
        self.block = block
        self.ref = block.ref
        self.round = block.ref.round
        self.author = block.ref.author
        self.author_bit = 1 << block.ref.author
        self.parents = parents
        self.instances = instances_in(block.block.batches)
        self.rejects = {reject.target: reject.indices for reject in block.block.rejects}
        self.number = number
        self.bit: int = bit
        history = 0
        for parent in parents:
            history |= parent.history | parent.bit
        self.history: int = history
        self.supports: dict[tuple[int, int], Vertex | None] = {}

    def rejected(self, target: "Vertex") -> int:
        """Return the mask of the target's instances that this block lists as rejected."""
        indices = self.rejects.get(target.ref)
        return 0 if indices is None else mask_of(indices, len(target.instances))


class BlockStore:
    """Accepted blocks by reference, by slot and by round."""

    def __init__(self) -> None:
        self._by_ref: dict[Ref, Vertex] = {}
        self._by_number: dict[int, Vertex] = {}
        self._slots: dict[tuple[int, int], list[Vertex]] = {}
        self._rounds: dict[int, list[Vertex]] = {}
        self._authors_at: dict[int, int] = {}
        self._next_number = 0
        self.base = 0
        """Number of the block that has the lowest bit; bits move when it changes."""
        self._highest_of: dict[int, int] = {}
        self.settled = 0
        """Bits of blocks that no later commit may deliver."""
        self.highest_round = 0

    def __len__(self) -> int:
        return len(self._by_ref)

    def __contains__(self, ref: Ref) -> bool:
        return ref in self._by_ref

    def __iter__(self) -> Iterator[Vertex]:
        """Yield all blocks in the order of acceptance: parents before children."""
        return iter(self._by_ref.values())

    def get(self, ref: Ref) -> Vertex | None:
        """Return the block with this reference."""
        return self._by_ref.get(ref)

    def at_slot(self, round_: int, author: int) -> list[Vertex]:
        """Return the blocks of a slot, more than one if its author equivocated."""
        return self._slots.get((round_, author), [])

    def at_round(self, round_: int) -> list[Vertex]:
        """Return the blocks of a round in the order of acceptance."""
        return self._rounds.get(round_, [])

    def authors_at(self, round_: int) -> int:
        """Return the mask of authors with a block in this round."""
        return self._authors_at.get(round_, 0)

    def highest_round_of(self, author: int) -> int:
        """Return the highest round of an accepted block by this author; 0 when there is none."""
        return self._highest_of.get(author, 0)

    def add(self, block: VerifiedBlock) -> Vertex:
        """Accept a block that is not there yet; parents that are not there are left out."""
        by_ref = self._by_ref
        found = [by_ref.get(ref) for ref in block.block.parents]
        parents = tuple([parent for parent in found if parent is not None])
        number = self._next_number
        self._next_number = number + 1
        vertex = Vertex(block, parents, number, 1 << (number - self.base))
        by_ref[vertex.ref] = vertex
        self._by_number[number] = vertex
        round_, author = vertex.round, vertex.author
        self._slots.setdefault((round_, author), []).append(vertex)
        self._rounds.setdefault(round_, []).append(vertex)
        self._authors_at[round_] = self._authors_at.get(round_, 0) | vertex.author_bit
        self.highest_round = max(self.highest_round, round_)
        if round_ > self._highest_of.get(author, 0):
            self._highest_of[author] = round_
        return vertex

    def is_settled(self, vertex: Vertex) -> bool:
        """Return whether the block was delivered, or can no longer be."""
        return bool(self.settled & vertex.bit)

    def unsettled_until(self, vertex: Vertex) -> list[Vertex]:
        """Return the block and its ancestors that are not settled, oldest bit first."""
        bits = (vertex.history | vertex.bit) & ~self.settled
        found: list[Vertex] = []
        while bits:
            lowest = bits & -bits
            found.append(self._by_number[lowest.bit_length() - 1 + self.base])
            bits ^= lowest
        return found

    def settle(self, vertex: Vertex) -> None:
        """Mark a block as delivered, or as out of reach of any later commit."""
        self.settled |= vertex.bit

    def prune(self, round_: int) -> list[Vertex]:
        """Forget and return all blocks at or below this round."""
        gone: list[Vertex] = []
        for old in sorted([known for known in self._rounds if known <= round_]):
            for vertex in self._rounds.pop(old):
                gone.append(vertex)
                # Its bit stays in the history of its descendants: nobody may look it up again.
                self.settled |= vertex.bit
                # A child may keep this vertex alive, but then not its ancestors too.
                vertex.parents = ()
                vertex.supports = {}
                del self._by_ref[vertex.ref]
                del self._by_number[vertex.number]
                self._slots.pop((old, vertex.author), None)
            del self._authors_at[old]
        first = next(iter(self._by_number), self._next_number)
        if first - self.base >= _REBASE_BITS:
            self._rebase(first)
        return gone

    def _rebase(self, base: int) -> None:
        """Shift all bit sets so that block number `base` gets the lowest bit.

        Blocks are numbered in the order of acceptance, and dictionaries keep that order, so no
        block that is still here has a lower number.
        """
        shift = base - self.base
        self.base = base
        self.settled >>= shift
        for vertex in self._by_ref.values():
            vertex.bit >>= shift
            vertex.history >>= shift
