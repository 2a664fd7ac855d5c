import json
from typing import TYPE_CHECKING

import pytest

from seawall.sim.invariants import all_checkers
from seawall.sim.machinery import honest_machinery
from seawall.sim.profiles import plan_of
from seawall.sim.trace import TraceRecorder
from seawall.sim.world import World
from tests.simulation.recompute import Recomputation

if TYPE_CHECKING:
    from seawall.sim.checking import Checker


@pytest.mark.parametrize("profile", ["honest", "crash", "partition", "twins", "split", "mix"])
@pytest.mark.parametrize("seed", range(4))
def test_a_second_implementation_finds_the_same_commits_in_every_trace(
    profile: str, seed: int
) -> None:
    plan = plan_of(profile, seed)
    seat = next(s for s in range(len(plan.stakes)) if s not in plan.faulty)
    recorder = TraceRecorder(seat)
    checkers: tuple[Checker, ...] = (*all_checkers(), recorder)
    world = World(plan, honest_machinery("sync"), checkers=checkers)
    world.run()
    trace = json.loads(recorder.json(world))
    expected = trace["expected"]["commits"]
    found = Recomputation(trace).commits()
    shared = min(len(found), len(expected))
    assert shared >= 25
    assert found[:shared] == expected[:shared]


def test_the_second_implementation_can_disagree() -> None:
    recorder = TraceRecorder(0)
    world = World(plan_of("honest", 1), honest_machinery("sync"), checkers=(recorder,))
    world.run()
    trace = json.loads(recorder.json(world))
    late = trace["expected"]["commits"][10]["leader"]
    trace["events"] = [e for e in trace["events"] if e["block"]["parents"][0] != late]
    assert Recomputation(trace).commits() != trace["expected"]["commits"]
