"""The finaliser: verdicts on instances, from delivered blocks alone."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from seawall.sim.fastpath.dag import Dag, Key, Place, Sight, Vote
from seawall.sim.fastpath.order import Commit
from seawall.sim.fastpath.rules import Rules

Judgement: TypeAlias = Literal["ACCEPT", "REJECT", "DUPLICATE"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one instance, and by which of the four rules."""

    place: Place
    judgement: Judgement
    rule: int


@dataclass(slots=True)
class Pending:
    """An instance that waits: the leader round that delivered it, and who voted how."""

    delivered_at: int
    accepts: set[int] = field(default_factory=set)
    rejects: set[int] = field(default_factory=set)


class Finaliser:
    """Judges instances commit by commit; two of them fed equal commits say the same."""

    def __init__(self, dag: Dag, rules: Rules) -> None:
        """Begin an epoch."""
        self.dag = dag
        self.rules = rules
        self.sight = Sight(dag, rules)
        self.pending: dict[Place, Pending] = {}
        self.digests: dict[Key, list[str]] = {}
        self.accepted: dict[Key, str] = {}
        self.closed: dict[Key, int] = {}

    def on_commit(self, commit: Commit, local: Sight | None = None) -> list[Verdict]:
        """Return the verdicts that a commit brings, in order of delivery of their instances.

        `local` is the site's own sight; only a wrong finaliser looks at it.
        """
        leader_round = self.dag.blocks[commit.leader].round
        for number in commit.delivered:
            cast = self.sight.add(number)
            for index, update in enumerate(self.dag.blocks[number].updates):
                self.pending[number, index] = Pending(leader_round)
                known = self.digests.setdefault(update.key, [])
                if update.digest not in known:
                    known.append(update.digest)
            for place, vote in cast:
                self._count(place, vote, commit.gc_round)
        if local is not None:
            for place in self.pending:
                for vote in local.votes.get(place, ()):
                    self._count(place, vote, commit.gc_round)
        verdicts = []
        for place in list(self.pending):
            if place in self.pending:
                verdicts += self._judge(place, leader_round, commit.gc_round)
        return verdicts

    def _count(self, place: Place, vote: Vote, gc_round: int) -> None:
        """Count a first vote. Accepts and rejects stand apart: an equivocator may be in both."""
        pending = self.pending.get(place)
        if pending is None:
            return
        if self.dag.blocks[place[0]].round <= gc_round and not self.rules.count_collected:
            return
        if self.rules.one_vote_each and vote.author in pending.accepts | pending.rejects:
            return
        if vote.kind == "accept":
            pending.accepts.add(vote.author)
        elif vote.kind == "reject":
            pending.rejects.add(vote.author)

    def _judge(self, place: Place, leader_round: int, gc_round: int) -> list[Verdict]:
        """Apply the four rules to one instance."""
        pending, update = self.pending[place], self.dag.update(place)
        scope = self.dag.scope
        refused = self.rules.closing_wins and update.key in self.closed
        if len(pending.accepts) >= scope.quorum and not refused:
            if update.key in self.accepted and self.accepted[update.key] == update.digest:
                return [self._settle(place, "DUPLICATE", 1)]
            self.accepted[update.key] = update.digest
            return [self._settle(place, "ACCEPT", 1)]
        if len(pending.rejects) >= scope.quorum:
            return [self._settle(place, "REJECT", 2)]
        contested = len(self.digests[update.key]) > 1
        if contested and leader_round >= pending.delivered_at + scope.deadline:
            if update.key not in self.accepted:
                self.closed[update.key] = leader_round
            if self.rules.burn_rivals:
                return [self._settle(p, "REJECT", 3) for p in self._rivals(update.key)]
            return [self._settle(place, "REJECT", 3)]
        if self.dag.blocks[place[0]].round <= gc_round:
            return [self._settle(place, "REJECT", 4)]
        return []

    def _rivals(self, key: Key) -> list[Place]:
        return [place for place in self.pending if self.dag.update(place).key == key]

    def _settle(self, place: Place, judgement: Judgement, rule: int) -> Verdict:
        del self.pending[place]
        return Verdict(place, judgement, rule)
