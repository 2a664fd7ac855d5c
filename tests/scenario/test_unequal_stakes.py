import pytest

from seawall.sim.network import SECOND_US
from seawall.sim.plan import Crash, Plan
from tests.scenario.staging import heights, play, stage


@pytest.mark.parametrize(
    "stakes", [(3, 1, 1, 1, 1), (2, 2, 1, 1, 1), (4, 3, 2, 2, 1, 1), (5, 1, 1, 2, 2, 2, 3)]
)
def test_everybody_commits_whatever_the_stakes(engine: str, stakes: tuple[int, ...]) -> None:
    world = play(Plan(seed=6, stakes=stakes), engine)
    assert min(heights(world)) >= 30


def test_quorums_count_stake_and_not_heads(engine: str) -> None:
    """With stakes 3, 1, 1, 1, 1 a quorum is 5: without site 0 four of five heads cannot go on."""
    world = stage(Plan(seed=7, stakes=(3, 1, 1, 1, 1)), engine)
    world.advance(SECOND_US)
    world.crash(0, restart_after_us=None)
    world.advance(2 * SECOND_US)
    stopped = heights(world)
    world.advance(6 * SECOND_US)
    assert heights(world) == stopped


def test_two_light_sites_may_die(engine: str) -> None:
    dead = tuple(Crash(at_us=SECOND_US, seat=seat, restart_after_us=None) for seat in (3, 4))
    plan = Plan(seed=8, stakes=(3, 1, 1, 1, 1), faults=dead, heal_us=2 * SECOND_US, commits=60)
    assert min(heights(play(plan, engine))[:3]) >= 60
