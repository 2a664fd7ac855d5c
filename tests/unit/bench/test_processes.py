import os
from pathlib import Path

import pytest

from bench import processes
from bench.processes import Usage

STAT = "42 (odd) name (x)) S 1 42 42 0 -1 4194560 100 0 0 0 {user} {system} 0 0 20 0 3 0 99 1 1"
STATUS = "Name:\tpython\nVmHWM:\t  3072 kB\nVmRSS:\t  2048 kB\n"
TASK_STATUS = "voluntary_ctxt_switches:\t{}\nnonvoluntary_ctxt_switches:\t1\n"


def write_process(
    proc: Path, *, user: int, system: int, threads: dict[int, tuple[str, int]]
) -> None:
    home = proc / "42"
    home.mkdir(parents=True, exist_ok=True)
    (home / "stat").write_text(STAT.format(user=user, system=system))
    (home / "status").write_text(STATUS)
    for tid, (comm, ran_ns) in threads.items():
        task = home / "task" / str(tid)
        task.mkdir(parents=True, exist_ok=True)
        (task / "comm").write_text(f"{comm}\n")
        (task / "schedstat").write_text(f"{ran_ns} 0 7\n")
        (task / "status").write_text(TASK_STATUS.format(tid))


def test_processor_time_is_user_and_system_whatever_the_name_holds() -> None:
    ticks = 1 / processes.TICK_SECONDS
    spent = processes.cpu_seconds(STAT.format(user=round(2 * ticks), system=round(ticks)))
    assert spent == pytest.approx(3.0)


def test_a_process_is_read_by_thread(tmp_path: Path) -> None:
    threads = {42: ("python", 5_000_000_000), 43: ("grpc-7", 10**9), 44: ("grpc-8", 10**9)}
    write_process(tmp_path, user=300, system=400, threads=threads)
    usage = processes.read(42, tmp_path)
    assert usage.cpu_seconds == pytest.approx(700 * processes.TICK_SECONDS)
    assert usage.threads == {"main": 5.0, "grpc": 2.0}
    assert (usage.resident_bytes, usage.peak_bytes) == (2 << 20, 3 << 20)
    assert usage.switches == 42 + 43 + 44 + 3


def usage(cpu_seconds: float, threads: dict[str, float], resident_bytes: int) -> Usage:
    return Usage(
        cpu_seconds=cpu_seconds,
        threads=threads,
        resident_bytes=resident_bytes,
        peak_bytes=resident_bytes,
        switches=0,
    )


def test_a_difference_subtracts_time_and_keeps_memory() -> None:
    before = usage(1.0, {"main": 0.5, "ended": 0.25}, 100)
    after = usage(3.5, {"main": 2.0, "new": 0.5}, 90)
    spent = processes.difference(before, after)
    assert spent.cpu_seconds == 2.5
    assert spent.threads == {"ended": 0.0, "main": 1.5, "new": 0.5}
    assert spent.resident_bytes == 90


def test_this_process_and_the_loopback_interface_can_be_read() -> None:
    mine = processes.read(os.getpid())
    assert mine.resident_bytes > 1 << 20
    assert mine.cpu_seconds > 0
    assert mine.threads["main"] > 0
    assert processes.loopback().bytes >= 0


def test_a_process_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        processes.read(42, tmp_path)


def test_written_bytes_are_those_of_the_directorys_device(tmp_path: Path) -> None:
    number = tmp_path.stat().st_dev
    device = tmp_path / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}"
    device.mkdir(parents=True)
    assert processes.disk_written_bytes(tmp_path, tmp_path) is None
    (device / "stat").write_text("   11 0 12 13   21 0 22 23 0 31 32\n")
    assert processes.disk_written_bytes(tmp_path, tmp_path) == 22 * 512


def test_time_of_the_machine_is_everything_but_idle(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu  100 20 30 9999 9999 4 5 6 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
    spent = processes.machine_cpu_seconds(tmp_path)
    assert spent == pytest.approx(165 * processes.TICK_SECONDS)
