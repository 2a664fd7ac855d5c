"""The finaliser, written a second time: what must become of every update, from commits alone.

Source: docs/protocol.md, section 6.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from seawall.consensus.engine import Output
from seawall.domain.block import Ref
from seawall.domain.commit import Commit, Judgement
from seawall.sim.union_votes import Key, Place, UnionVotes

if TYPE_CHECKING:
    from seawall.sim.seat import Seat
    from seawall.sim.world import World

Judged: TypeAlias = tuple[Ref, int, Judgement, int]
"""Block, index, judgement, and the number of the rule."""


@dataclass(slots=True)
class _Pending:
    """An instance that waits: the leader round that delivered it, and who voted how."""

    delivered_at: int
    accepts: set[int] = field(default_factory=set)
    rejects: set[int] = field(default_factory=set)


class Judge:
    """Follows the commits of honest seats and says what their verdicts must be."""

    def __init__(self, votes: UnionVotes) -> None:
        """Begin an epoch; votes are those in the union of all blocks."""
        self.votes = votes
        self.commits: list[Commit] = []
        self.judged: list[tuple[Judged, ...]] = []
        self.delivered: dict[Ref, int] = {}
        self.judgements: dict[Place, Judgement] = {}
        self.shut: dict[Key, int] = {}
        """Keys that were accepted or closed, and the index of the commit that did it first."""
        self._pending: dict[Place, _Pending] = {}
        self._digests: dict[Key, set[bytes]] = {}
        self._accepted: dict[Key, bytes] = {}

    def hear(self, world: "World", seat: "Seat", output: Output) -> None:
        """Follow what an honest seat delivers."""
        self.votes.see(world, seat)
        if seat.author in world.faulty:
            return
        for commit in output.deliver:
            if commit.index == len(self.commits) + 1:
                self.commits.append(commit)
                verdicts = tuple(self._on_commit(commit, world.plan.parameters.finality_delay))
                self.judged.append(verdicts)

    def _on_commit(self, commit: Commit, delay: int) -> list[Judged]:
        self.votes.add(commit.blocks)
        for block in commit.blocks:
            self.delivered[block.ref] = commit.index
            self._count(block.ref, commit.gc_round)
            carrier = self.votes.carriers.get(block.ref)
            for index, (key, digest) in enumerate(() if carrier is None else carrier.updates):
                self._pending[block.ref, index] = _Pending(commit.leader.round)
                self._digests.setdefault(key, set()).add(digest)
        verdicts: list[Judged] = []
        for place, pending in list(self._pending.items()):
            found = self._judge(place, pending, commit, delay)
            if found is not None:
                del self._pending[place]
                self.judgements[place] = found[0]
                verdicts.append((*place, *found))
        return verdicts

    def _count(self, ref: Ref, gc_round: int) -> None:
        """Count a block's votes on what is above the gc round; accepts and rejects stand apart."""
        for carrier, vote in self.votes.votes_of(ref):
            if carrier.ref.round <= gc_round or vote.abstains:
                continue
            for index in range(len(carrier.updates)):
                pending = self._pending.get((carrier.ref, index))
                if pending is not None:
                    rejecting = index in vote.rejected
                    (pending.rejects if rejecting else pending.accepts).add(vote.author)

    def _judge(
        self, place: Place, pending: _Pending, commit: Commit, delay: int
    ) -> tuple[Judgement, int] | None:
        """Apply the four rules to one instance."""
        key, digest = self.votes.update(place)
        if self.votes.holds_quorum(pending.accepts):
            if self._accepted.get(key) == digest:
                return Judgement.DUPLICATE, 1
            self._accepted[key] = digest
            self.shut.setdefault(key, commit.index)
            return Judgement.ACCEPT, 1
        if self.votes.holds_quorum(pending.rejects):
            return Judgement.REJECT, 2
        contested = len(self._digests[key]) > 1
        if contested and commit.leader.round >= pending.delivered_at + delay:
            self.shut.setdefault(key, commit.index)
            return Judgement.REJECT, 3
        return (Judgement.REJECT, 4) if place[0].round <= commit.gc_round else None


def judged_in(commit: Commit) -> tuple[Judged, ...]:
    """Return the verdicts of a commit, one an instance."""
    return tuple(
        (verdict.block, verdict.first_index + position, verdict.judgement, verdict.rule)
        for verdict in commit.verdicts
        for position in verdict.positions
    )
