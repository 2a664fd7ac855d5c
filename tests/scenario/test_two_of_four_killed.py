from seawall.sim.network import SECOND_US
from seawall.sim.plan import Plan
from tests.scenario.staging import heights, stage


def test_two_of_four_killed_stop_progress_without_a_fork_and_it_resumes(engine: str) -> None:
    world = stage(Plan(seed=5), engine)
    world.advance(SECOND_US)
    for seat in (1, 2):
        world.crash(seat, restart_after_us=None)
    world.advance(2 * SECOND_US)
    stopped = heights(world)
    assert min(stopped) > 10
    world.advance(8 * SECOND_US)
    assert heights(world) == stopped
    for seat in (1, 2):
        world.start(seat)
    world.advance(14 * SECOND_US)
    assert min(heights(world)) > max(stopped) + 20
