"""What the schedules made for a mutant show of the true replica, and what one of them means."""

from collections import Counter
from dataclasses import replace

import pytest

from seawall.consensus.engine import Output
from seawall.domain.commit import Judgement
from seawall.sim.adversary import world_of
from seawall.sim.broken_pace import PACE_MUTANTS
from seawall.sim.broken_tallies import TALLY_MUTANTS
from seawall.sim.finality import FastPathChecker, named, places_of
from seawall.sim.hunting import HUNT_US_MAX, hunt
from seawall.sim.invariants import all_checkers
from seawall.sim.judge import Judge
from seawall.sim.machinery import Machinery, honest_machinery
from seawall.sim.plan import Plan
from seawall.sim.profiles import plan_of
from seawall.sim.seat import Seat
from seawall.sim.union_votes import UnionVotes
from seawall.sim.world import World

SEEDS = 2
SCHEDULED = {**TALLY_MUTANTS, **PACE_MUTANTS}
RUNS = [(engine, name) for name, mutant in SCHEDULED.items() for engine in mutant.engines]


def schedule(name: str, engine: str, seed: int) -> tuple[Plan, Machinery]:
    """Return the schedule that a hunt runs at this seed, with the parts that it brings."""
    mutant = SCHEDULED[name]
    plan = replace(plan_of(mutant.profile, seed, engine=engine), limit_us=HUNT_US_MAX)
    return mutant.change(plan, honest_machinery(engine))


@pytest.mark.parametrize(("engine", "name"), RUNS)
def test_the_schedule_that_shows_a_mutant_shows_nothing_of_the_true_replica(
    engine: str, name: str
) -> None:
    found = hunt(engine, name)
    assert found.invariant is not None
    world_of(*schedule(name, engine, found.seeds - 1), checkers=all_checkers()).run()


class Late(FastPathChecker):
    """Follows what is stated FINAL at or below the gc round of who states it."""

    invariant = "I9"

    def __init__(self) -> None:
        """Count by judgement."""
        super().__init__(Judge(UnionVotes()))
        self.found: Counter[Judgement] = Counter()

    def look(self, world: World, seat: Seat, output: Output) -> None:
        """Demand that every such update is accepted, here or in another block."""
        del world
        assert seat.engine is not None
        gc_round = seat.engine.status().gc_round
        for statement in output.final:
            for place in places_of(statement):
                if place[0].round <= gc_round:
                    judgement = self.judge.judgements.get(place)
                    assert judgement in (Judgement.ACCEPT, Judgement.DUPLICATE), named(place)
                    self.found[judgement] += 1


def test_final_below_the_gc_round_is_said_of_accepted_bytes_only() -> None:
    """Why the rule is about what is said, and never about which updates pass."""
    mutant = TALLY_MUTANTS["final_below_gc_round"]
    for seed in range(SEEDS):
        plan, parts = schedule("final_below_gc_round", "sync", seed)
        late = Late()
        with mutant.installed():
            world_of(plan, parts, checkers=(late,)).run()
        if late.found[Judgement.DUPLICATE]:
            return
    pytest.fail("no seed shows what the rule withholds")
