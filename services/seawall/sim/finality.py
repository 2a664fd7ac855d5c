"""The invariants of the fast path, judged from outside: blocks, FINAL statements and commits.

Numbers are those of docs/protocol.md, section 9.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from seawall.consensus.engine import Finality, Output
from seawall.domain.block import Ref, VerifiedBlock
from seawall.domain.commit import Commit, Judgement
from seawall.sim.checking import Checker
from seawall.sim.judge import Judge, Judged, judged_in
from seawall.sim.onlooker import core_of
from seawall.sim.union_votes import Key, Place, updates_of

if TYPE_CHECKING:
    from seawall.sim.seat import Seat
    from seawall.sim.world import World


def places_of(statement: Finality) -> Iterator[Place]:
    """Yield the instances that a statement calls FINAL."""
    for position in statement.positions:
        yield statement.block, statement.first_index + position


def named(place: Place) -> str:
    """Return an instance in few words."""
    ref, index = place
    return f"update {index} of round {ref.round}, author {ref.author}"


class FastPathChecker(Checker):
    """A checker that follows the union of blocks and the commits of honest seats."""

    def __init__(self, judge: Judge) -> None:
        """Look through the eyes of one judge, which several checkers share."""
        self.judge = judge
        self.votes = judge.votes

    def on_start(self, world: "World", seat: "Seat") -> None:
        """Add what became durable in a step that a crash cut short."""
        self.votes.see(world, seat)

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Follow every seat; look closely at honest ones."""
        self.judge.hear(world, seat, output)
        if seat.author not in world.faulty:
            self.look(world, seat, output)

    def look(self, world: "World", seat: "Seat", output: Output) -> None:
        """Look at an honest seat's output."""


class OneDigest(FastPathChecker):
    """I8: at most one digest of a key is FINAL or accepted, over all instances and sites."""

    invariant = "I8"

    def __init__(self, judge: Judge) -> None:
        """Start before the first statement."""
        super().__init__(judge)
        self._bound: dict[Key, bytes] = {}

    def look(self, world: "World", seat: "Seat", output: Output) -> None:
        """Bind keys to what this output states or accepts."""
        for statement in output.final:
            self._bind_all(world, seat, list(places_of(statement)))
        for commit in output.deliver:
            judged = judged_in(commit)
            accepted = [(ref, i) for ref, i, what, _ in judged if what is Judgement.ACCEPT]
            self._bind_all(world, seat, accepted)

    def _bind_all(self, world: "World", seat: "Seat", places: list[Place]) -> None:
        for place in places:
            if place[0] not in self.votes.carriers:
                raise world.violation(self.invariant, f"{seat.name}: nobody has {named(place)}")
            key, digest = self.votes.update(place)
            if self._bound.setdefault(key, digest) != digest:
                detail = f"{seat.name}: {named(place)}, another digest of number {key[1]} passed"
                raise world.violation(self.invariant, detail)


class FinalIsKept(FastPathChecker):
    """I9: what is FINAL anywhere has grounds, is delivered and accepted everywhere, and in time.

    Grounds are certifying blocks of stake Q for what is above the gc round of who states it, or an
    ACCEPT: a DUPLICATE was accepted elsewhere, and no rule says FINAL of it once it is collected.
    Certificates stand at most W + 1 rounds above the update's block, so every block from W + 2
    rounds above it on has one in its history: the first commit that such a block leads has
    delivered and accepted the update.
    """

    invariant = "I9"

    def __init__(self, judge: Judge) -> None:
        """Start before the first statement."""
        super().__init__(judge)
        self._stated: dict[Place, str] = {}
        self._unproven: dict[Place, str] = {}
        self._gc_rounds: dict[int, int] = {}
        self._read = 0

    def on_start(self, world: "World", seat: "Seat") -> None:
        """Take the gc round that the disk implies."""
        super().on_start(world, seat)
        assert seat.engine is not None, "a seat that starts has an engine"
        self._gc_rounds[seat.index] = seat.engine.status().gc_round

    def look(self, world: "World", seat: "Seat", output: Output) -> None:
        """Judge new statements, and all by new commits."""
        for statement in output.final:
            for place in places_of(statement):
                if not self._has_grounds(world, seat, place):
                    detail = f"{seat.name} states FINAL for {named(place)} without grounds"
                    raise world.violation(self.invariant, detail)
                if place not in self._stated:
                    self._stated[place] = self._unproven[place] = seat.name
        assert seat.engine is not None, "a seat with an output runs"
        if output.deliver:
            self._gc_rounds[seat.index] = seat.engine.status().gc_round
        if output.final or len(self.judge.commits) > self._read:
            self._read = len(self.judge.commits)
            self._prove(world)

    def _has_grounds(self, world: "World", seat: "Seat", place: Place) -> bool:
        judgement = self.judge.judgements.get(place)
        if judgement is Judgement.ACCEPT:
            return True
        if place[0].round <= self._gc_rounds[seat.index]:
            return False
        if self.votes.is_final(place):
            return True
        core = core_of(seat.engine)
        if core is not None:
            self.votes.add(world.passage.accepted(core.unwritten))
        return self.votes.is_final(place)

    def _prove(self, world: "World") -> None:
        """Check that what is FINAL was accepted by the commit that must have done so."""
        last = self.judge.commits[-1] if self.judge.commits else None
        window = world.plan.parameters.accept_window
        for place, name in list(self._unproven.items()):
            judgement = self.judge.judgements.get(place)
            late = last is not None and last.leader.round >= place[0].round + window + 2
            if judgement in (Judgement.ACCEPT, Judgement.DUPLICATE):
                del self._unproven[place]
            elif judgement is Judgement.REJECT or late:
                what = "is rejected" if judgement else "is not accepted in time"
                if place[0] not in self.judge.delivered:
                    what = "is never delivered"
                raise world.violation(self.invariant, f"FINAL at {name}: {named(place)} {what}")


class EqualVerdicts(FastPathChecker):
    """I10: verdicts are equal everywhere, in order, again after a restart, and by the rules.

    So are the digests of the finaliser's state at equal commits.
    """

    invariant = "I10"

    def __init__(self, judge: Judge) -> None:
        """Start before the first commit."""
        super().__init__(judge)
        self._known: list[tuple[tuple[Judged, ...], bytes]] = []

    def look(self, world: "World", seat: "Seat", output: Output) -> None:
        """Compare every delivery with the first one of its index, and with the rules."""
        for commit in output.deliver:
            found = judged_in(commit), commit.finality_digest
            if commit.index == len(self._known) + 1:
                self._known.append(found)
                problem = self._problem(commit, found[0])
            elif self._known[commit.index - 1] != found:
                problem = "differs from what was delivered before"
            else:
                problem = None
            if problem is not None:
                detail = f"{seat.name}, verdicts of commit {commit.index}: {problem}"
                raise world.violation(self.invariant, detail)

    def _problem(self, commit: Commit, found: tuple[Judged, ...]) -> str | None:
        expected = self.judge.judged[commit.index - 1]
        if found == expected:
            return None
        for ours, theirs in zip(expected, found, strict=False):
            if ours != theirs:
                return f"{_told(theirs)}, by the rules {_told(ours)}"
        return f"{len(found)} in place of {len(expected)}"


class AllJudged(FastPathChecker):
    """JUDGED: every delivered update gets one verdict, by the time that the gc round reaches it."""

    invariant = "JUDGED"

    def __init__(self, judge: Judge) -> None:
        """Start before the first commit."""
        super().__init__(judge)
        self._pending: dict[Place, int] = {}
        self._read = 0

    def look(self, world: "World", seat: "Seat", output: Output) -> None:
        """Settle accounts with the first delivery of every commit."""
        for commit in output.deliver:
            if commit.index != self._read + 1:
                continue
            self._read = commit.index
            for block in commit.blocks:
                for index in range(len(updates_of(block))):
                    self._pending[block.ref, index] = commit.index
            for ref, index, _, _ in judged_in(commit):
                if self._pending.pop((ref, index), None) is None:
                    detail = f"{seat.name} judges {named((ref, index))} twice, or undelivered"
                    raise world.violation(self.invariant, detail)
            for place in self._pending:
                if place[0].round <= commit.gc_round:
                    detail = f"{seat.name} never judges {named(place)}"
                    raise world.violation(self.invariant, detail)


class OneLock(FastPathChecker):
    """LOCK: an honest author accepts one digest of a key at most, restarts included.

    And none of a key that, as far as its commits went, was accepted or closed.
    """

    invariant = "LOCK"

    def __init__(self, judge: Judge) -> None:
        """Start before the first vote."""
        super().__init__(judge)
        self._accepts: dict[tuple[int, Key], bytes] = {}
        self._indices: dict[int, int] = {}

    def on_start(self, world: "World", seat: "Seat") -> None:
        """Judge the own blocks that a crash cut short; then begin where the disk says."""
        if seat.author not in world.faulty:
            self._look(world, seat, self.votes.see(world, seat))
        assert seat.engine is not None, "a seat that starts has an engine"
        self._indices[seat.index] = seat.engine.status().commit_index

    def look(self, world: "World", seat: "Seat", output: Output) -> None:
        """Judge the votes in new own blocks."""
        self._look(world, seat, self.votes.see(world, seat))
        if output.deliver:
            self._indices[seat.index] = max(self._indices[seat.index], output.deliver[-1].index)

    def _look(self, world: "World", seat: "Seat", new: list[VerifiedBlock]) -> None:
        index = self._indices.get(seat.index, 0)
        for block in new:
            if block.ref.author == seat.author:
                problem = self._problem(block.ref, index)
                if problem is not None:
                    raise world.violation(self.invariant, f"{seat.name} accepts {problem}")

    def _problem(self, ref: Ref, commit_index: int) -> str | None:
        for carrier, vote in self.votes.votes_of(ref):
            for index, (key, digest) in enumerate(carrier.updates):
                if not vote.accepts(index):
                    continue
                place = named((carrier.ref, index))
                if self._accepts.setdefault((ref.author, key), digest) != digest:
                    return f"two digests of a key, the second as {place}"
                if self.judge.shut.get(key, commit_index + 1) <= commit_index:
                    return f"{place}, whose key was accepted or closed before"
        return None


def _told(judged: Judged) -> str:
    ref, index, judgement, rule = judged
    return f"{named((ref, index))} {judgement.name} by rule {rule}"
