import pytest

from seawall.sim.network import MILLISECOND_US, SECOND_US, FixedDelay
from seawall.sim.plan import Plan, Sight
from seawall.sim.world import World
from tests.scenario.staging import play


def equivocations(world: World) -> int:
    """Return how many slots of author 0 have two delivered blocks."""
    slots = [
        block.ref.slot
        for commit in world.seats[1].ledger.commits
        for block in commit.blocks
        if block.ref.author == 0
    ]
    return len(slots) - len(set(slots))


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
        delay=FixedDelay(delay_us=(10 + 10 * seed) * MILLISECOND_US),
    )
    world = play(plan, engine)
    assert equivocations(world) > 0, "the scenario must really equivocate"


def test_twins_that_everybody_sees_neither_fork_nor_halt(engine: str) -> None:
    plan = Plan(seed=9, twins=(0,), heal_us=500 * MILLISECOND_US, commits=60)
    assert equivocations(play(plan, engine)) > 0
