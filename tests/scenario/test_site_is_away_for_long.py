from dataclasses import replace

import pytest

from seawall.consensus.dag import engine as engine_module
from seawall.consensus.dag.catch_up import CatchUp
from seawall.consensus.engine import Commits
from seawall.sim.invariants import all_checkers
from seawall.sim.machinery import honest_machinery
from seawall.sim.network import SECOND_US
from seawall.sim.plan import FAST_PARAMETERS, Partition, Plan
from seawall.sim.world import World
from tests.scenario.puppet import Onlooker
from tests.scenario.staging import heights

SHALLOW = replace(FAST_PARAMETERS, gc_depth=12)


class Proud(CatchUp):
    """Takes no commits from anybody."""

    def hint(self, peer: int, now_us: int) -> None:
        """Do nothing."""


def come_back(seed: int, how: str, engine: str) -> tuple[World, Onlooker]:
    """Return a world in which site 3 was away, six seconds after it came back."""
    onlooker = Onlooker(Commits)
    plan = Plan(seed=seed, parameters=SHALLOW)
    world = World(plan, honest_machinery(engine), checkers=(*all_checkers(), onlooker))
    world.advance(SECOND_US)
    if how == "crash":
        world.crash(3, restart_after_us=None)
    else:
        world.apply(Partition(at_us=world.now_us, groups=((3,),)))
    world.advance(6 * SECOND_US)
    gone = world.seats[0].ledger.commits[-1].leader.round - 12
    assert gone > world.seats[3].ledger.commits[-1].leader.round, "further behind than gc_depth"
    if how == "crash":
        world.start(3)
    else:
        world.apply(Partition(at_us=world.now_us))
    world.advance(12 * SECOND_US)
    return world, onlooker


@pytest.mark.parametrize("how", ["crash", "partition"])
@pytest.mark.parametrize("seed", range(3))
def test_a_site_away_for_longer_than_gc_depth_catches_up_by_certified_commits(
    engine: str, how: str, seed: int
) -> None:
    world, onlooker = come_back(seed, how, engine)
    assert heights(world)[3] > min(heights(world)[:3]) - 15
    last = world.seats[0].ledger.commits[-15:]
    assert any(block.ref.author == 3 for commit in last for block in commit.blocks)
    assert (3, "caught_up") in onlooker.observed
    answers = [sent.message for sent in onlooker.sent if sent.peer == 3]
    assert any(isinstance(answer, Commits) and len(answer.commits) > 1 for answer in answers)


@pytest.mark.parametrize("how", ["crash", "partition"])
def test_without_commits_of_others_it_stays_behind(
    engine: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "CatchUp", Proud)
    world, onlooker = come_back(0, how, engine)
    assert (3, "caught_up") not in onlooker.observed
    assert heights(world)[3] < min(heights(world)[:3]) - 100
