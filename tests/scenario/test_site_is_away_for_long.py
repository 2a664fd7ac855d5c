from dataclasses import replace

import pytest

from seawall.sim.network import SECOND_US
from seawall.sim.plan import FAST_PARAMETERS, Partition, Plan
from tests.scenario.staging import heights, stage

SHALLOW = replace(FAST_PARAMETERS, gc_depth=12)


@pytest.mark.parametrize("how", ["crash", "partition"])
@pytest.mark.parametrize("seed", range(3))
def test_a_site_away_for_longer_than_gc_depth_catches_up_by_certified_commits(
    engine: str, how: str, seed: int
) -> None:
    world = stage(Plan(seed=seed, parameters=SHALLOW), engine)
    world.advance(SECOND_US)
    if how == "crash":
        world.crash(3, restart_after_us=None)
    else:
        world.apply(Partition(at_us=world.now_us, groups=((3,),)))
    world.advance(6 * SECOND_US)
    behind = heights(world)
    gone = world.seats[0].ledger.commits[-1].leader.round - 12
    assert gone > world.seats[3].ledger.commits[-1].leader.round, "further behind than gc_depth"
    if how == "crash":
        world.start(3)
    else:
        world.apply(Partition(at_us=world.now_us))
    world.advance(12 * SECOND_US)
    assert heights(world)[3] > behind[0]
    assert heights(world)[3] > min(heights(world)[:3]) - 15
    last = world.seats[0].ledger.commits[-15:]
    assert any(block.ref.author == 3 for commit in last for block in commit.blocks)
