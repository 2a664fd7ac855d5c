import pytest

from seawall.sim.network import MILLISECOND_US, SECOND_US, FixedDelay
from seawall.sim.plan import Crash, Plan
from tests.scenario.staging import heights, play


@pytest.mark.parametrize("stakes", [(1,) * 4, (1,) * 5, (1,) * 6, (1,) * 7])
def test_commits_go_on_when_one_site_dies_for_good(engine: str, stakes: tuple[int, ...]) -> None:
    dies = Crash(at_us=300 * MILLISECOND_US, seat=1, restart_after_us=None)
    plan = Plan(seed=1, stakes=stakes, faults=(dies,), heal_us=SECOND_US, commits=60)
    world = play(plan, engine)
    assert heights(world)[1] < 60
    leaders = [commit.leader.author for commit in world.seats[0].ledger.commits]
    assert 1 not in leaders[-20:]
    assert {0, 2, 3} <= set(leaders[-20:])


def test_a_dead_leader_costs_no_timeout_in_every_round(engine: str) -> None:
    dies = Crash(at_us=0, seat=3, restart_after_us=None)
    plan = Plan(seed=2, faults=(dies,), commits=100, delay=FixedDelay())
    world = play(plan, engine)
    assert world.now_us < 100 * plan.parameters.leader_timeout_ms_initial * MILLISECOND_US / 3
