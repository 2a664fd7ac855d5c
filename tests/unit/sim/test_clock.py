import pytest

from seawall.sim.clock import Clock


def clock() -> Clock:
    return Clock(boot_us=5_000_000, wall_ms=1_000_000)


def test_a_healthy_clock_shows_the_time_since_boot_and_the_wall() -> None:
    made = clock()
    shown = made.instant(2_500_000)
    assert (shown.elapsed_us, shown.wall_ms) == (7_500_000, 1_002_500)
    assert made.due_us(7_500_000) == 2_500_000


def test_an_offset_moves_the_wall_only() -> None:
    made = clock()
    made.change(1_000_000, offset_ms=-300, drift_ppm=0)
    shown = made.instant(1_000_000)
    assert (shown.elapsed_us, shown.wall_ms) == (6_000_000, 1_000_700)


def test_drift_changes_the_rate_of_both_and_no_clock_goes_back() -> None:
    made = clock()
    made.change(1_000_000, offset_ms=0, drift_ppm=100_000)
    assert made.instant(1_000_000).elapsed_us == 6_000_000
    fast = made.instant(3_000_000)
    assert (fast.elapsed_us, fast.wall_ms) == (8_200_000, 1_003_200)
    made.change(3_000_000, offset_ms=0, drift_ppm=0)
    assert made.instant(3_000_000).elapsed_us == 8_200_000
    assert made.instant(4_000_000).elapsed_us == 9_200_000


@pytest.mark.parametrize("drift_ppm", [-50_000, -7, 0, 7, 50_000])
def test_a_timer_is_due_no_earlier_than_its_clock_shows_it(drift_ppm: int) -> None:
    made = clock()
    made.change(700_001, offset_ms=0, drift_ppm=drift_ppm)
    for wake_at_us in range(6_000_000, 6_000_050, 7):
        due_us = made.due_us(wake_at_us)
        assert made.instant(due_us).elapsed_us >= wake_at_us
        assert made.instant(due_us - 2).elapsed_us < wake_at_us
