import pytest

from seawall.sim.byzantine import starving
from seawall.sim.machinery import Machinery, honest_machinery, permutation_leaders
from seawall.sim.network import FixedDelay
from seawall.sim.plan import Plan
from tests.scenario.staging import play


def attacked(engine: str, plan: Plan) -> Machinery:
    """Return the true parts, with a fast voter against all leaders in hostile seats."""
    honest = honest_machinery(engine)
    hostile = starving(lambda committee, number: permutation_leaders(committee, plan, number))
    return Machinery(engine=honest.engine, twin=honest.twin, hostile=hostile)


@pytest.mark.parametrize("size", [4, 5, 6, 7])
def test_a_fast_byzantine_voter_does_not_starve_leaders(engine: str, size: int) -> None:
    plan = Plan(seed=1, stakes=(1,) * size, hostile={size - 1: ()}, commits=100, delay=FixedDelay())
    world = play(plan, engine, attacked(engine, plan))
    commits = world.seats[0].ledger.commits
    rounds = commits[-1].leader.round
    hostile = sum(block.ref.author == size - 1 for commit in commits for block in commit.blocks)
    assert hostile > rounds / 4, "the attacker must really take part"
    assert len(commits) > rounds * 0.6, "most leaders commit, although one shuns them all"
    assert world.now_us < rounds * 150_000, "without a timeout in every round"
