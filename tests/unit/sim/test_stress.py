from dataclasses import replace

import pytest

from seawall.sim.capacity import Capacity
from seawall.sim.checking import InvariantError
from seawall.sim.stress import Reading, Setting, Trouble, machinery_of, measure, plan_of
from seawall.sim.stress import _check_agreement as check_agreement
from seawall.sim.world import World

SHORT = Setting(size=4, protocol="sync", window_s=3)
CAPACITY = Capacity(grain=64)
LOAD = 8_000


@pytest.fixture(scope="module")
def calm() -> Reading:
    return measure(SHORT, Trouble.NONE, LOAD, CAPACITY)


def test_a_load_below_saturation_is_committed_as_it_comes(calm: Reading) -> None:
    assert calm.throughput == pytest.approx(LOAD, rel=0.05)
    assert 400 < calm.latency_p50_ms < calm.acknowledged_p50_ms
    assert calm.latency_p50_ms <= calm.latency_p95_ms
    assert calm.by_timer == 0
    assert calm.timeout_ms == 250
    assert calm.ledger == pytest.approx(LOAD * 60e-6, rel=0.2)


def test_a_load_above_what_ledgers_take_is_not() -> None:
    flooded = measure(SHORT, Trouble.NONE, 30_000, CAPACITY)
    assert flooded.throughput < 0.65 * 30_000
    assert flooded.ledger > 0.95


@pytest.mark.parametrize("trouble", [Trouble.CRASH, Trouble.EQUIVOCATE, Trouble.LOSS])
def test_the_load_goes_on_under_faults(trouble: Trouble, calm: Reading) -> None:
    found = measure(SHORT, trouble, LOAD, CAPACITY)
    assert found.throughput > 0.8 * calm.throughput
    assert found.latency_p50_ms < 2 * calm.latency_p50_ms


def test_slow_sites_cost_few_timeouts(calm: Reading) -> None:
    slow = measure(SHORT, Trouble.SLOW, LOAD, CAPACITY)
    # Without sparing late leaders more than two fifths of all proposals wait for the timer.
    assert 0 < slow.by_timer < 0.15
    assert slow.latency_p50_ms < 2 * calm.latency_p50_ms


def test_the_coin_protocols_run_too() -> None:
    setting = replace(SHORT, protocol="async5", jitter=True)
    found = measure(setting, Trouble.LOSS, LOAD, CAPACITY)
    assert found.throughput > 0.8 * LOAD
    assert found.timeout_ms == 50


def test_a_load_that_is_never_answered_in_time_has_no_latency() -> None:
    found = measure(SHORT, Trouble.NONE, 1_000, replace(CAPACITY, commit_us=2_000_000))
    assert found.throughput == 0
    assert found.latency_p50_ms == float("inf")


def test_a_run_is_the_same_every_time() -> None:
    setting = replace(SHORT, jitter=True, window_s=1)
    first, second = (measure(setting, Trouble.LOSS, LOAD, CAPACITY) for _ in range(2))
    assert first == second


def test_faulty_sites_are_the_last_f_and_blocks_hold_as_many_updates_as_ever() -> None:
    setting = replace(SHORT, size=10)
    assert setting.faults == 3
    assert plan_of(setting, Trouble.EQUIVOCATE, CAPACITY).hostile == {7: (), 8: (), 9: ()}
    crashes = plan_of(setting, Trouble.CRASH, CAPACITY).faults
    assert len(crashes) == 3
    assert plan_of(setting, Trouble.NONE, CAPACITY).parameters.block_updates_max == 64
    honest = machinery_of(setting, Trouble.LOSS)
    assert honest.hostile is honest.engine
    assert machinery_of(setting, Trouble.SLOW).hostile is not honest.engine


def test_sites_that_disagree_end_the_study() -> None:
    plan = replace(plan_of(SHORT, Trouble.NONE, CAPACITY), hostile={})
    worlds = [World(replace(plan, seed=1), machinery_of(SHORT, Trouble.NONE)) for _ in range(2)]
    for world in worlds:
        world.advance(3_000_000)
    check_agreement(worlds[0], range(4))
    commits = worlds[0].seats[1].ledger.commits
    commits[3] = commits[4]
    with pytest.raises(InvariantError, match="I7"):
        check_agreement(worlds[0], range(4))
