from dataclasses import replace

import pytest

from seawall.codec import decode_records
from seawall.domain.block import Batch, UpdateRecord
from seawall.sim.checking import Checker
from seawall.sim.machinery import honest_machinery
from seawall.sim.network import SECOND_US, FixedDelay
from seawall.sim.plan import Arrival, Conflict, Load, Partition, Plan
from seawall.sim.seat import Seat
from seawall.sim.world import World

LOAD = Load(updates_per_second=40.0, until_us=SECOND_US, arrival=Arrival.CONSTANT, contributors=4)


class Clerk(Checker):
    """Keeps what is handed in and what is batched, with its site and time."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.updates: list[tuple[int, bytes]] = []
        self.batched: list[tuple[int, int, bytes]] = []

    def on_update(self, world: World, owner: int, record: UpdateRecord) -> None:
        """Keep an update."""
        del world
        self.updates.append((owner, record.update_id))

    def on_batch(self, world: World, seat: Seat, batch: Batch) -> None:
        """Keep the updates of a batch."""
        for record in decode_records(batch.records_bytes):
            self.batched.append((world.now_us, seat.index, record.update_id))


def world_of(load: Load) -> tuple[World, Clerk]:
    """Return a world of four sites 10 ms apart under this load."""
    clerk = Clerk()
    plan = Plan(seed=1, load=load, delay=FixedDelay(delay_us=10_000))
    return World(plan, honest_machinery("sync"), checkers=(clerk,)), clerk


def sites_of(clerk: Clerk, update_id: bytes) -> list[int]:
    return sorted(site for _, site, known in clerk.batched if known == update_id)


def test_updates_come_in_even_steps_and_end_with_the_load() -> None:
    world, clerk = world_of(LOAD)
    world.advance(3 * SECOND_US)
    assert len(clerk.updates) == 39
    assert len(clerk.batched) == 39
    assert {site for _, site, _ in clerk.batched} == {0, 1, 2, 3}


def test_poisson_arrivals_have_the_stated_mean() -> None:
    load = replace(LOAD, arrival=Arrival.POISSON, updates_per_second=200.0)
    world, clerk = world_of(load)
    world.advance(SECOND_US)
    assert 150 < len(clerk.updates) < 250


def test_a_batch_waits_for_the_window_the_bytes_and_the_nearest_signatures() -> None:
    load = replace(LOAD, payload_size_bytes=125_000, batch_window_us=5_000)
    world, clerk = world_of(load)
    world.advance(SECOND_US // 40)
    assert len(clerk.updates) == 1
    world.advance(SECOND_US // 40 + 5_000 + 20_000 + 10_000 - 1)
    assert clerk.batched == []
    world.advance(SECOND_US // 40 + 5_000 + 20_000 + 10_000)
    assert len(clerk.batched) == 1


@pytest.mark.parametrize(
    ("conflict", "different"), [(Conflict.REPLAY, 0), (Conflict.EQUIVOCATE, 1)]
)
def test_a_cheat_hands_two_updates_to_two_sites(conflict: Conflict, *, different: bool) -> None:
    world, clerk = world_of(replace(LOAD, cheats=4, conflict=conflict))
    world.advance(2 * SECOND_US)
    assert len(clerk.updates) == len(clerk.batched) == 78
    pairs = zip(clerk.updates[::2], clerk.updates[1::2], strict=True)
    for (owner, first), (same_owner, second) in pairs:
        assert owner == same_owner
        assert (first != second) == different
        expected = sorted([owner, (owner + 1) % 4])
        assert sorted({*sites_of(clerk, first), *sites_of(clerk, second)}) == expected


def test_a_site_that_reaches_nobody_gets_nothing_attested() -> None:
    world, clerk = world_of(LOAD)
    world.advance(1)
    world.apply(Partition(at_us=0, groups=((0,),)))
    world.advance(SECOND_US)
    assert {site for _, site, _ in clerk.batched} == {1, 2, 3}
    world.apply(Partition(at_us=0))
    world.advance(2 * SECOND_US)
    assert len(clerk.batched) == 39, "what was gathered meanwhile is attested now"


def test_contributors_of_a_dead_site_take_the_next_one() -> None:
    world, clerk = world_of(LOAD)
    world.advance(1)
    world.crash(0, restart_after_us=None)
    world.advance(2 * SECOND_US)
    assert {site for _, site, _ in clerk.batched} == {1, 2, 3}
    assert len(clerk.batched) == 39


def test_a_crash_loses_what_its_site_had_gathered() -> None:
    world, clerk = world_of(LOAD)
    world.advance(SECOND_US // 40)
    ((owner, update_id),) = clerk.updates
    world.crash(owner, restart_after_us=1_000)
    world.advance(2 * SECOND_US)
    assert sites_of(clerk, update_id) == []
    assert len(clerk.batched) >= 36
