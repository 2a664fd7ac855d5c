import pytest

from seawall.sim.network import MILLISECOND_US, SECOND_US
from seawall.sim.plan import Crash, Partition, Plan
from seawall.sim.world import World
from tests.scenario.staging import heights, stage

LOST_US = SECOND_US


def own_rounds(world: World, author: int) -> list[int]:
    """Return the rounds of an author's delivered blocks, in order of delivery."""
    return [
        block.ref.round
        for commit in world.seats[(author + 1) % 4].ledger.commits
        for block in commit.blocks
        if block.ref.author == author
    ]


@pytest.mark.parametrize("seed", range(6))
def test_a_site_with_an_empty_disk_comes_back_and_never_signs_a_round_twice(
    engine: str, seed: int
) -> None:
    lost = Crash(at_us=LOST_US, seat=2, restart_after_us=300 * MILLISECOND_US, wipe=True)
    world = stage(Plan(seed=seed, faults=(lost,)), engine)
    world.advance(LOST_US - 1)
    before = max(own_rounds(world, 2))
    world.advance(LOST_US + 5 * SECOND_US)
    rounds = own_rounds(world, 2)
    assert len(rounds) == len(set(rounds)), "two blocks of one round"
    assert max(rounds) > before + 10, "it must take part again"
    assert heights(world)[2] > min(heights(world)) - 10


def test_a_site_with_an_empty_disk_waits_for_answers_of_stake_q_less_its_own(engine: str) -> None:
    lost = Crash(at_us=LOST_US, seat=2, restart_after_us=100 * MILLISECOND_US, wipe=True)
    alone = Partition(at_us=LOST_US, groups=((1, 2),))
    world = stage(Plan(seed=1, faults=(lost, alone)), engine)
    world.advance(LOST_US - 1)
    held = len(own_rounds(world, 2))
    world.advance(LOST_US + 4 * SECOND_US)
    assert world.seats[2].disk.durable == []
    world.apply(Partition(at_us=world.now_us))
    world.advance(LOST_US + 9 * SECOND_US)
    rounds = own_rounds(world, 2)
    assert len(rounds) > held + 10
    assert len(rounds) == len(set(rounds))
