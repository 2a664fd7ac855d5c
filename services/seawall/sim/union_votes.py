"""The fast path in the union of all honest replicas' blocks, by rules written a second time.

Blocks are numbered as they appear, a set of blocks is an int with one bit a block. Every block
casts its votes once, when it appears; what a replica tells of votes and certificates is judged
by what stands here. Nothing is shared with the replica but the blocks themselves.

A replica's history of a block may lack what its garbage collection has dropped. That makes no
difference here: a vote counts only on what is above the gc round of whoever counts it, and
everything between the two is then held.

Source: docs/protocol.md, section 6.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from struct import Struct
from typing import TYPE_CHECKING, Final, TypeAlias

from seawall.domain.block import BlockFlags, Ref, VerifiedBlock

if TYPE_CHECKING:
    from seawall.domain.committee import Committee
    from seawall.domain.parameters import ConsensusParameters
    from seawall.sim.seat import Seat
    from seawall.sim.world import World

Key: TypeAlias = tuple[bytes, int]
"""Contributor and number."""

Place: TypeAlias = tuple[Ref, int]
"""An instance: a block and the index of an update through all its batches."""

_RECORD: Final = Struct(">32s32s32s2sBQ24x")
"""Contributor, update id, payload digest, task, kind, number; docs/protocol.md, section 6."""


@dataclass(frozen=True, slots=True)
class Vote:
    """What one block says of another's updates: which it rejects, or that it abstains."""

    voter: int
    author: int
    round: int
    carrier: int
    rejected: frozenset[int]
    abstains: bool

    def accepts(self, index: int) -> bool:
        """Return whether this vote accepts the update with an index."""
        return not self.abstains and index not in self.rejected


@dataclass(slots=True)
class Carrier:
    """A block with updates, the votes on it, and who certifies which of its updates."""

    number: int
    ref: Ref
    updates: tuple[tuple[Key, bytes], ...]
    votes: list[Vote] = field(default_factory=list)
    certifiers: dict[int, set[int]] = field(default_factory=dict)


class UnionVotes:
    """All blocks that some honest replica has accepted, and what they say of updates."""

    def __init__(self) -> None:
        """Start with nothing; the first world that is seen says who votes."""
        self.numbers: dict[Ref, int] = {}
        self.blocks: list[VerifiedBlock] = []
        self.past: list[int] = []
        self.carriers: dict[Ref, Carrier] = {}
        self.cast: list[tuple[Vote, ...]] = []
        self._carried: dict[int, Carrier] = {}
        self._carrying = 0
        self._by_round: dict[int, list[Carrier]] = {}
        self._committee: Committee | None = None
        self._parameters: ConsensusParameters | None = None
        self._seen: tuple[VerifiedBlock, ...] = ()
        self._new: list[VerifiedBlock] = []

    def begin(self, committee: "Committee", parameters: "ConsensusParameters") -> None:
        """Say who votes, and by which numbers."""
        self._committee, self._parameters = committee, parameters

    def see(self, world: "World", seat: "Seat") -> list[VerifiedBlock]:
        """Add what a seat has accepted in this step; return what nobody had accepted before.

        Every checker may ask, and is told the same within one step.
        """
        if seat.author in world.plan.hostile:
            return []
        if world.accepted is not self._seen:
            self.begin(world.committee, world.plan.parameters)
            self._seen = world.accepted
            self._new = self.add(world.accepted)
        return self._new

    def add(self, blocks: Iterable[VerifiedBlock]) -> list[VerifiedBlock]:
        """Add blocks, parents first; return those that are new."""
        new = [block for block in blocks if block.ref not in self.numbers]
        for block in new:
            self._add(block)
        return new

    def holds_quorum(self, authors: Iterable[int]) -> bool:
        """Return whether these authors have stake Q."""
        assert self._committee is not None, "a world was seen"
        return self._committee.stake_of(sorted(authors)) >= self._committee.quorum

    def update(self, place: Place) -> tuple[Key, bytes]:
        """Return key and digest of an instance."""
        return self.carriers[place[0]].updates[place[1]]

    def is_final(self, place: Place) -> bool:
        """Return whether blocks of stake Q certify an instance."""
        carrier = self.carriers.get(place[0])
        return carrier is not None and self.holds_quorum(carrier.certifiers.get(place[1], ()))

    def votes_of(self, ref: Ref) -> Iterator[tuple[Carrier, Vote]]:
        """Yield the votes that a block casts, and on what."""
        number = self.numbers.get(ref)
        for vote in () if number is None else self.cast[number]:
            yield self._carried[vote.carrier], vote

    def _add(self, block: VerifiedBlock) -> None:
        number = len(self.blocks)
        self.numbers[block.ref] = number
        self.blocks.append(block)
        past = 0
        for parent in block.block.parents:
            known = self.numbers.get(parent)
            if known is not None:
                past |= 1 << known | self.past[known]
        self.past.append(past)
        self.cast.append(tuple(self._votes(number, block, past)))
        for vote in self.cast[number]:
            self._carried[vote.carrier].votes.append(vote)
        if not block.block.flags & BlockFlags.CLOSING:
            self._certify(number, block)
        updates = updates_of(block)
        if updates:
            carrier = Carrier(number, block.ref, updates)
            self.carriers[block.ref] = self._carried[number] = carrier
            self._carrying |= 1 << number
            self._by_round.setdefault(block.ref.round, []).append(carrier)

    def _votes(self, number: int, block: VerifiedBlock, past: int) -> Iterator[Vote]:
        """Yield a vote on everything that enters the author's history through this block."""
        own = self.numbers.get(block.block.parents[0])
        fresh = past & self._carrying
        if own is not None:
            fresh &= ~self.past[own]
        while fresh:
            lowest = fresh & -fresh
            fresh ^= lowest
            carrier = self._carried[lowest.bit_length() - 1]
            listed = [r.indices for r in block.block.rejects if r.target == carrier.ref]
            yield Vote(
                voter=number,
                author=block.ref.author,
                round=block.ref.round,
                carrier=carrier.number,
                rejected=frozenset(index for indices in listed for index in indices),
                abstains=carrier.ref.round <= block.block.vote_cutoff,
            )

    def _certify(self, number: int, block: VerifiedBlock) -> None:
        """Find what a block certifies: accepts of stake Q in its history, cast in time."""
        assert self._parameters is not None, "a world was seen"
        window, round_ = self._parameters.accept_window, block.ref.round
        seen = self.past[number] | 1 << number
        for below in range(max(1, round_ - window - 1), round_):
            for carrier in self._by_round.get(below, ()):
                votes = [
                    vote
                    for vote in carrier.votes
                    if not vote.abstains and vote.round <= below + window and seen >> vote.voter & 1
                ]
                if not self.holds_quorum({vote.author for vote in votes}):
                    continue
                for index in range(len(carrier.updates)):
                    accepting = {vote.author for vote in votes if index not in vote.rejected}
                    if self.holds_quorum(accepting):
                        carrier.certifiers.setdefault(index, set()).add(block.ref.author)


def updates_of(block: VerifiedBlock) -> tuple[tuple[Key, bytes], ...]:
    """Return key and digest of a block's updates, through all its batches."""
    found: list[tuple[Key, bytes]] = []
    for batch in block.block.batches:
        for contributor, digest, _, _, _, seq in _RECORD.iter_unpack(batch.records_bytes):
            found.append(((contributor, seq), digest))
    return tuple(found)
