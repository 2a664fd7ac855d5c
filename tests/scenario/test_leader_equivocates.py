import pytest

from seawall.consensus.engine import Blocks
from seawall.sim.invariants import all_checkers
from seawall.sim.machinery import honest_machinery
from seawall.sim.network import MILLISECOND_US, SECOND_US, LogNormalDelay
from seawall.sim.plan import Plan, Sight
from seawall.sim.world import World
from tests.scenario.puppet import Onlooker


def play_and_watch(plan: Plan, engine: str) -> set[int]:
    """Run a plan to its goal; return the seats that found two blocks in one slot."""
    onlooker = Onlooker(Blocks)
    checkers = (*all_checkers(), onlooker)
    World(plan, honest_machinery(engine), checkers=checkers).run()
    return {seat for seat, name in onlooker.observed if name == "equivocation"}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [4, 5, 6, 7])
def test_twins_that_are_seen_by_half_each_neither_fork_nor_halt(
    engine: str, size: int, seed: int
) -> None:
    twin = size
    half = size // 2 + 1
    apart = Sight(
        at_us=150 * MILLISECOND_US,
        blind=tuple((twin, seat) for seat in range(1, half))
        + tuple((0, seat) for seat in range(half, size)),
    )
    plan = Plan(
        seed=seed,
        stakes=(1,) * size,
        twins=(0,),
        faults=(apart, Sight(at_us=2 * SECOND_US)),
        heal_us=2 * SECOND_US,
        delay=LogNormalDelay(median_us=(10 + 10 * seed) * MILLISECOND_US),
    )
    found = play_and_watch(plan, engine)
    assert found.intersection(range(1, size)), "the scenario must really equivocate"


def test_twins_that_everybody_sees_neither_fork_nor_halt(engine: str) -> None:
    plan = Plan(seed=9, twins=(0,), heal_us=500 * MILLISECOND_US, commits=60)
    assert {1, 2, 3} <= play_and_watch(plan, engine)
