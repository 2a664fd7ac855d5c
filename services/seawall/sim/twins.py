"""All schedules of a small scope: four sites, one of them with a twin, cut anew in every round.

Five seats; in each of the first rounds the network is cut into groups, in every way that leaves
some group a quorum; then it is whole again. What crosses a cut is lost. Two schedules that differ
only in which of the twins is which are one. A round in which no group has a quorum is left out:
nobody could pass it, so what came after would not happen before the network is whole.

Source: Bano et al., Twins: BFT systems made robust, arXiv 2004.10617.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final, TypeAlias

from seawall.sim.adversary import world_of
from seawall.sim.checking import InvariantError
from seawall.sim.invariants import all_checkers
from seawall.sim.machinery import Machinery, honest_machinery
from seawall.sim.network import MILLISECOND_US, SECOND_US, FixedDelay
from seawall.sim.plan import ByRound, Partition, Passing, Plan

SITES: Final = 4
QUORUM: Final = 3
WHOLE_US: Final = 2 * SECOND_US
"""By then every group that can has passed the cut rounds, timeouts and all."""

Groups: TypeAlias = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """All schedules of one engine and wave length with so many cut rounds."""

    engine: str
    wave_length: int
    rounds: int

    @property
    def name(self) -> str:
        """Return what tables call it."""
        return f"{self.engine} w = {self.wave_length}, {self.rounds} rounds"


SCOPES: Final = (
    Scope(engine="sync", wave_length=3, rounds=3),
    Scope(engine="async", wave_length=4, rounds=2),
    Scope(engine="async", wave_length=5, rounds=2),
)
"""What a soak runs."""


def partitions(seats: Sequence[int]) -> Iterator[Groups]:
    """Return every way to cut these seats into groups, each ordered by its first member."""
    if not seats:
        yield ()
        return
    first, *rest = seats
    for others in partitions(rest):
        yield ((first,), *others)
        for place, group in enumerate(others):
            yield ((first, *group), *others[:place], *others[place + 1 :])


def live_cuts(twin: int) -> tuple[Groups, ...]:
    """Return the cuts that leave some group blocks of a quorum of authors; seat 4 is the twin's."""
    authors = (*range(SITES), twin)
    return tuple(
        tuple(sorted(groups))
        for groups in partitions(range(SITES + 1))
        if any(len({authors[seat] for seat in group}) >= QUORUM for group in groups)
    )


def mirrored(groups: Groups, twin: int) -> Groups:
    """Return the same cut with the two twins exchanged."""
    swap = {twin: SITES, SITES: twin}
    exchanged = [tuple(sorted(swap.get(seat, seat) for seat in group)) for group in groups]
    return tuple(sorted(exchanged))


def schedules(rounds: int) -> Iterator[tuple[int, tuple[Groups, ...]]]:
    """Return (author with a twin, cuts by round) of every schedule, one of each mirrored pair."""
    for twin in range(SITES):
        cuts = live_cuts(twin)
        order = {groups: place for place, groups in enumerate(cuts)}
        mirror = [order[mirrored(groups, twin)] for groups in cuts]
        for places in product(range(len(cuts)), repeat=rounds):
            if places <= tuple(mirror[place] for place in places):
                yield twin, tuple(cuts[place] for place in places)


def plan_for(scope: Scope, twin: int, cuts: tuple[Groups, ...]) -> Plan:
    """Return the plan of one schedule.

    It ends when all rounds that were cut are decided. When nobody gets that far, all links
    break once the network is whole, so that what was lost is asked for.
    """
    apart = Partition(at_us=WHOLE_US, groups=tuple((seat,) for seat in range(SITES)))
    plan = Plan(
        seed=0,
        twins=(twin,),
        delay=FixedDelay(delay_us=10 * MILLISECOND_US),
        adversary=ByRound(rounds=cuts, until_us=WHOLE_US),
        faults=(apart, Partition(at_us=WHOLE_US + MILLISECOND_US)),
        commits=2 * scope.rounds + 1,
        sync_us=0,
        submit_every_us=0,
        passing=Passing.REFERENCE,
    )
    return plan.asynchronous(scope.wave_length) if scope.engine == "async" else plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What one schedule showed; `violation` is None when all was well."""

    plan: Plan
    violation: str | None
    steps: int


def try_schedule(
    scope: Scope, twin: int, cuts: tuple[Groups, ...], parts: Machinery | None = None
) -> Tried:
    """Run one schedule with all checkers."""
    plan = plan_for(scope, twin, cuts)
    world = world_of(plan, parts or honest_machinery(scope.engine), checkers=all_checkers())
    try:
        world.run()
    except InvariantError as error:
        return Tried(plan=plan, violation=error.summary, steps=world.steps)
    return Tried(plan=plan, violation=None, steps=world.steps)
