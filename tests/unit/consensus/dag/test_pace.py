"""The delay between own blocks by load, by what is waited for, and by lag."""

from seawall.consensus.dag.core import Core
from seawall.consensus.dag.leaders import PermutationLeaders
from seawall.consensus.dag.pace import BURST_DIVISOR, BURST_ROUNDS, FULL_WORK, Pace
from seawall.domain.parameters import ConsensusParameters
from tests.unit.consensus.cluster import make_committee, make_identity

COMMITTEE = make_committee()
PARAMETERS = ConsensusParameters(round_delay_ms_min=20, round_delay_ms_idle=1000)
LEAST_US = 20_000


def new_core() -> Core:
    """Return a core that always has something to order."""
    core = Core(make_identity(0), COMMITTEE, PARAMETERS, PermutationLeaders(COMMITTEE, 2))
    core.payloads.submit_transaction(b"{}")
    return core


def test_the_first_block_is_due_at_once() -> None:
    assert Pace(new_core(), PARAMETERS).due_at(1, 77) == 77


def test_full_rounds_are_up_to_twice_as_far_apart() -> None:
    for work, long_run_us, least_us in (
        (0, 10_000, 20_000),
        (FULL_WORK // 2, 25_000, 30_000),
        (10_000, 40_000, 40_000),
    ):
        core = new_core()
        pace = Pace(core, PARAMETERS)
        times = [0]
        for round_ in range(1, 201):
            core.work_accepted += work
            pace.count(round_, times[-1])
            times.append(pace.due_at(round_ + 1, times[-1]))
        apart_us = (times[200] - times[100]) / 100
        assert long_run_us * 0.95 <= apart_us <= long_run_us * 1.05
        # What no further round would take on waits for the least delay.
        core.payloads.take(0)
        assert core.is_busy()
        assert not core.is_waiting_for_rounds()
        delay_us = pace.due_at(201, times[-2]) - times[-2]
        assert least_us * 0.95 <= delay_us <= least_us


def test_load_is_per_round_also_when_rounds_are_skipped() -> None:
    core = new_core()
    pace = Pace(core, PARAMETERS)
    for step in range(1, 30):
        core.work_accepted += FULL_WORK
        pace.count(4 * step, step * LEAST_US)
    now_us = 29 * LEAST_US
    assert pace.due_at(120, now_us) - now_us <= LEAST_US * 5 // 4


def test_time_lost_is_credit_for_a_bounded_number_of_fast_rounds() -> None:
    core = new_core()
    pace = Pace(core, PARAMETERS)
    pace.count(1, 0)
    now_us, fast = 10_000_000, 0
    pace.count(2, now_us)
    for round_ in range(3, 100):
        due_us = pace.due_at(round_, now_us)
        fast += due_us - now_us == LEAST_US // BURST_DIVISOR
        now_us = due_us
        pace.count(round_, now_us)
    # A fast round lacks 6 ms of the 10 that it may take in the long run, and needs 16 of credit.
    assert fast == (BURST_ROUNDS * 6 - 16) // 6 + 1
    times = [now_us]
    for round_ in range(100, 200):
        times.append(pace.due_at(round_, times[-1]))
        pace.count(round_, times[-1])
    assert times[-1] - times[0] >= 99 * LEAST_US // 2
    core.work_accepted += 1


def test_pace_that_follows_from_load_is_no_credit() -> None:
    core = new_core()
    pace = Pace(core, PARAMETERS)
    times = [0]
    for round_ in range(1, 101):
        core.work_accepted += 10_000
        pace.count(round_, times[-1])
        times.append(pace.due_at(round_ + 1, times[-1]))
    assert times[100] - times[50] >= 50 * LEAST_US * 19 // 10


def test_who_lags_a_little_behind_uses_no_credit_and_pauses_for_lag_give_none() -> None:
    core = new_core()
    pace = Pace(core, PARAMETERS)
    pace.count(1, 0)
    pace.count(2, 10_000_000)
    lag_max = PARAMETERS.gc_depth // 2
    core.store.highest_round = lag_max // 3
    assert pace.due_at(3, 0) == 10_000_000 + LEAST_US // BURST_DIVISOR
    core.store.highest_round = lag_max // 3 + 1
    assert pace.due_at(3, 0) == 10_000_000 + LEAST_US
    other = Pace(core, PARAMETERS)
    core.store.highest_round = lag_max + 1
    for round_ in range(1, 20):
        other.count(round_, round_ * 1_000_000)
    core.store.highest_round = 0
    assert other.due_at(20, 0) == 19_000_000 + LEAST_US


def test_lag_lengthens_the_delay_and_stops_payload() -> None:
    core = new_core()
    pace = Pace(core, PARAMETERS)
    pace.count(1, 0)
    core.store.highest_round = PARAMETERS.gc_depth // 2
    assert pace.accepts_payload()
    core.store.highest_round += 4
    assert not pace.accepts_payload()
    assert pace.due_at(2, 0) == 2 * LEAST_US
    core.store.highest_round += 10**6
    assert pace.due_at(2, 0) == 1000 * PARAMETERS.leader_timeout_ms_max


def test_who_has_missed_a_round_does_not_let_others_wait_for_its_block() -> None:
    core = Core(make_identity(0), COMMITTEE, PARAMETERS, PermutationLeaders(COMMITTEE, 2))
    core.votes.restore(1, 1)
    pace = Pace(core, PARAMETERS)
    pace.count(5, 0)
    assert not core.is_busy()
    assert pace.due_at(6, 0) == 1_000_000
    assert pace.due_at(7, 0) == LEAST_US
    pace.count(7, LEAST_US)
    assert pace.due_at(8, LEAST_US) == LEAST_US + 1_000_000


def test_without_anything_to_say_the_pause_is_long() -> None:
    core = Core(make_identity(0), COMMITTEE, PARAMETERS, PermutationLeaders(COMMITTEE, 2))
    core.votes.restore(1, 1)
    pace = Pace(core, PARAMETERS)
    pace.count(1, 0)
    assert pace.due_at(2, 0) == 1_000_000
