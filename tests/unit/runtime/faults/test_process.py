"""Clocks, disks, lies and freezes: several at once, and none left behind."""

import os
import sys
import threading
from random import Random

import pytest

from seawall.runtime.faults.clocks import DeviantClock, Deviation
from seawall.runtime.faults.disks import SYNC_SECONDS_MAX, IllDisk, Illness
from seawall.runtime.faults.freezing import Freezer
from seawall.runtime.faults.lies import Lie, Lies


class StoppedClock(DeviantClock):
    """A clock whose monotonic side is set by the test."""

    now_us = 0

    def elapsed_us(self) -> int:
        """Return what the test says."""
        return self.now_us


def test_a_clock_drifts_from_the_moment_on_at_which_it_is_told_to() -> None:
    drift = Deviation(offset_us=5, drift_ppm=-100_000, since_us=1_000)
    assert drift.at_us(1_000) == 5
    assert drift.at_us(1_001_000) == 5 - 100_000
    clock = StoppedClock()
    clock.add(Deviation(offset_us=0, drift_ppm=100_000, since_us=0))
    before_ms = clock.wall_ms()
    clock.now_us = 3_600_000_000
    assert clock.wall_ms() - before_ms >= 360_000
    clock.add(Deviation(offset_us=-(10**18), drift_ppm=0, since_us=0))
    assert clock.wall_ms() == 0


def test_syncs_take_longer_by_a_log_normal_time() -> None:
    waited: list[float] = []
    disk = IllDisk(waited.append)
    slow = Illness(add_us=20_000, sigma=0.5, random=Random(3))
    disk.before_sync()
    disk.add(slow)
    for _ in range(999):
        disk.before_sync()
    waited.sort()
    assert len(waited) == slow.tally.count == 999
    assert 0.018 < waited[499] < 0.022
    assert waited[0] > 0
    assert waited[840] == pytest.approx(0.02 * 2.718**0.5, rel=0.1)
    disk.remove(slow)
    disk.before_sync()
    assert len(waited) == 999
    assert Illness(add_us=10**9, sigma=0.0).sync_seconds() == SYNC_SECONDS_MAX


def test_a_disk_is_full_or_lies_until_the_last_fault_ends() -> None:
    disk = IllDisk()
    full, other, lying = Illness(full=True), Illness(full=True), Illness(lying=True)
    for illness in (full, other, lying):
        disk.add(illness)
    disk.remove(full)
    with pytest.raises(OSError, match="No space left"):
        disk.before_write()
    assert disk.is_lying()
    disk.remove(other)
    disk.before_write()
    disk.remove(lying)
    assert not disk.is_lying()
    assert (full.tally.count, other.tally.count, lying.tally.count) == (0, 1, 1)


def test_equal_lies_are_told_apart() -> None:
    lies, first, second = Lies(), Lie(behaviour="delay"), Lie(behaviour="delay")
    lies.add(first)
    lies.add(second)
    lies.remove(first)
    assert lies.told == (second,)
    assert lies.told[0] is second


def test_a_freeze_holds_for_as_long_as_it_is_told() -> None:
    held: list[int] = []
    Freezer(held.append).freeze(1500).join()
    assert held == [1500]


def test_while_the_freezer_holds_no_other_thread_runs_python() -> None:
    turns: list[int] = []
    seen: list[int] = []
    go, stop = threading.Event(), threading.Event()
    freezer = Freezer()

    def turn() -> None:
        while not stop.is_set():
            turns.append(len(turns))
            go.set()
            os.sched_yield()  # lets go of the interpreter's lock

    def hold(duration_ms: int) -> None:
        seen.append(len(turns))
        freezer.hold(duration_ms)
        seen.append(len(turns))

    thread = threading.Thread(target=turn)
    usual = sys.getswitchinterval()
    sys.setswitchinterval(3600)  # nobody has to give the lock away
    try:
        thread.start()
        go.wait()
        Freezer(hold).freeze(50).join()
    finally:
        sys.setswitchinterval(usual)
        stop.set()
        thread.join()
    assert seen[0] == seen[1]
