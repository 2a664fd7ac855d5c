from seawall.sim.network import SECOND_US
from seawall.sim.plan import Partition, Plan
from tests.scenario.staging import heights, stage

SPLIT_US = SECOND_US
HEAL_US = 4 * SECOND_US


def test_a_minority_stops_and_catches_up_after_the_partition(engine: str) -> None:
    plan = Plan(
        seed=3,
        stakes=(1,) * 7,
        faults=(Partition(at_us=SPLIT_US, groups=((0, 1),)), Partition(at_us=HEAL_US)),
    )
    world = stage(plan, engine)
    world.advance(SPLIT_US + SECOND_US // 2)
    stopped = heights(world)[:2]
    world.advance(HEAL_US)
    assert heights(world)[:2] == stopped, "a minority must not commit"
    assert min(heights(world)[2:]) > max(stopped) + 20, "the majority goes on"
    world.advance(HEAL_US + 3 * SECOND_US)
    assert min(heights(world)) > min(heights(world)[2:]) - 20
    assert min(heights(world)) > max(stopped) + 20


def test_halves_stop_without_a_fork_and_resume(engine: str) -> None:
    plan = Plan(
        seed=4,
        faults=(Partition(at_us=SPLIT_US, groups=((0, 1),)), Partition(at_us=HEAL_US)),
    )
    world = stage(plan, engine)
    world.advance(SPLIT_US + SECOND_US)
    stopped = heights(world)
    world.advance(HEAL_US)
    assert heights(world) == stopped
    world.advance(HEAL_US + 5 * SECOND_US)
    assert min(heights(world)) > max(stopped) + 20
