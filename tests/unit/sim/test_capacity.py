from dataclasses import replace

from seawall.consensus.engine import (
    ALL_PEERS,
    Blocks,
    FetchBlocks,
    Message,
    Output,
    Received,
    Send,
    Submitted,
    Woken,
)
from seawall.domain.block import VerifiedBlock
from seawall.sim.capacity import FRAME_BYTES, Capacity, CapacityWorld
from seawall.sim.machinery import honest_machinery
from seawall.sim.network import MILLISECOND_US, SECOND_US, FixedDelay
from seawall.sim.plan import Passing, Plan
from seawall.sim.workload import RecordSource, certified_batch

CAPACITY = Capacity(
    message_us=100,
    signature_us=50,
    signing_us=20,
    round_us=3_000,
    order_us=5,
    commit_us=1_000,
    execute_us=60,
    uplink_bytes_per_second=1_000_000,
    grain=4,
)
PLAN = Plan(
    seed=1, submit_every_us=0, delay=FixedDelay(delay_us=MILLISECOND_US), passing=Passing.REFERENCE
)


def world_of(capacity: Capacity = CAPACITY) -> CapacityWorld:
    return CapacityWorld(PLAN, honest_machinery("sync"), capacity)


def block_with(world: CapacityWorld, updates: int) -> VerifiedBlock:
    """Let site 1 propose a block with one batch, and return it."""
    source = RecordSource()
    world.advance(SECOND_US)
    records = tuple([source.next() for _ in range(updates // CAPACITY.grain)])
    batch = certified_batch(world.committee, 1, 1, records)
    world.push(world.seats[1], Submitted(batches=(batch,)))
    world.advance(3 * SECOND_US)
    blocks = [block for commit in world.seats[0].ledger.commits for block in commit.blocks]
    (found,) = [block for block in blocks if block.block.batches]
    return found


def working_us(world: CapacityWorld, message: Message) -> int:
    return world.working_us(world.seats[0], (Received(peer=1, message=message),), Output())


def test_reading_a_block_costs_its_signatures_and_its_updates() -> None:
    world = world_of()
    block = block_with(world, 40)
    votes = len(block.block.commit_votes)
    expected_us = 100 + 50 * (1 + 2 + votes) + 5 * 40
    assert working_us(world, Blocks((block,))) == expected_us
    assert working_us(world, FetchBlocks(())) == 100


def test_a_batch_costs_its_own_site_its_updates_and_a_timer_nothing() -> None:
    world = world_of()
    (batch,) = block_with(world, 40).block.batches
    before_us = world.core_busy_us[1]
    events = (Submitted(batches=(batch,)), Woken())
    assert world.working_us(world.seats[1], events, Output()) == 5 * 40
    assert world.core_busy_us[1] == before_us + 200


def test_sending_costs_a_message_for_each_peer_and_an_own_block_its_round() -> None:
    world = world_of()
    block = block_with(world, 40)
    single = Output(send=(Send(2, FetchBlocks(())),))
    assert world.working_us(world.seats[1], (), single) == 100
    everybody = Output(send=(Send(ALL_PEERS, Blocks((block,))),))
    votes = len(block.block.commit_votes)
    expected_us = 3 * 100 + 3_000 + 20 * (1 + votes)
    assert world.working_us(world.seats[1], (), everybody) == expected_us
    assert world.working_us(world.seats[2], (), everybody) == 300, "not its own block"


def test_a_ledger_takes_one_commit_after_the_other() -> None:
    world = world_of()
    block_with(world, 40)
    seat = world.seats[0]
    (commit,) = [one for one in seat.ledger.commits if any(b.block.batches for b in one.blocks)]
    empty = seat.ledger.commits[0]
    takes_us = 1_000 + 60 * 40
    assert world.ledger_us(seat, commit) == takes_us
    assert world.ledger_us(seat, empty) == takes_us + 1_000
    assert world.ledger_us(world.seats[1], empty) == 1_000, "each site has its own"


def test_what_is_sent_waits_for_the_uplink() -> None:
    world = world_of()
    block = block_with(world, 40)
    now_us = world.now_us
    message = Blocks((block,))
    # A record stands for four updates: 30 records that are not there, 144 bytes each.
    (batch,) = block.block.batches
    record_bytes = len(batch.records_bytes) // 10
    size = FRAME_BYTES + len(block.raw) + 30 * record_bytes
    assert world.leaving_us(world.seats[0], message) == now_us + size
    assert world.leaving_us(world.seats[0], message) == now_us + 2 * size
    assert world.leaving_us(world.seats[1], FetchBlocks(())) == now_us + FRAME_BYTES


def test_slow_sites_have_longer_rounds() -> None:
    quick, slow = world_of(), world_of(replace(CAPACITY, round_us=100_000))
    for world in (quick, slow):
        world.advance(5 * SECOND_US)
    heights = [world.seats[0].ledger.height for world in (quick, slow)]
    assert 0 < heights[1] < heights[0]
