"""One site withholds a block from all but one, and that one names it only when it is old.

Without the newest blocks in a BELOW_GC answer the others could neither get the old block nor
collect enough to go on without it.
"""

from dataclasses import replace

import pytest

from seawall.sim.network import MILLISECOND_US, SECOND_US
from seawall.sim.plan import FAST_PARAMETERS, Partition, Plan, Sight
from tests.scenario.staging import heights, stage

SHALLOW = replace(FAST_PARAMETERS, gc_depth=8)


@pytest.mark.parametrize("seed", range(4))
def test_an_old_parent_that_only_a_late_site_holds_halts_nobody(engine: str, seed: int) -> None:
    """Twin blocks reach site 3 alone; cut off with them it names them when they are below gc."""
    alone = Sight(at_us=200 * MILLISECOND_US, blind=((4, 1), (4, 2), (0, 3)))
    world = stage(Plan(seed=seed, parameters=SHALLOW, twins=(0,), faults=(alone,)), engine)
    world.advance(SECOND_US)
    world.apply(Partition(at_us=world.now_us, groups=((3, 4),)))
    world.advance(4 * SECOND_US)
    before = heights(world)
    world.apply(Partition(at_us=world.now_us))
    world.crash(4, restart_after_us=None)
    world.advance(12 * SECOND_US)
    assert min(heights(world)[:4]) > max(before) + 20
    last = world.seats[1].ledger.commits[-20:]
    assert any(block.ref.author == 3 for commit in last for block in commit.blocks)
