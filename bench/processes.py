"""What processes have used so far, read from /proc and /sys: processor, memory, network, disk.

Linux only. Processor time of a process is `utime + stime` of /proc/PID/stat, which also holds
threads that have ended; that of a living thread comes from its `schedstat` in nanoseconds.

Bytes towards a disk are those of the whole device: `write_bytes` of /proc/PID/io counts a whole
folio of page cache, up to megabytes, when one page of it is written.

Source: proc(5); Documentation/block/stat.rst of Linux.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
LOOPBACK = "lo"
SECTOR_BYTES = 512
SECTORS_WRITTEN = 6
"""Position in a device's `stat`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One reading of one process.

    Attributes:
        cpu_seconds: user and system time of all threads, living and ended.
        threads: processor seconds of living threads by role: `main`, or the thread's own name.
        resident_bytes: memory that is resident now.
        peak_bytes: the most that was ever resident.
        switches: context switches of living threads, voluntary and not.

    """

    cpu_seconds: float
    threads: Mapping[str, float]
    resident_bytes: int
    peak_bytes: int
    switches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Bytes and packets that passed the loopback interface since boot, by anybody."""

    bytes: int
    packets: int


def read(pid: int, proc: Path = PROC) -> Usage:
    """Return the usage of a process now.

    Raises:
        OSError: there is no such process.

    """
    home = proc / str(pid)
    status = fields(home / "status")
    switches = 0
    threads: dict[str, float] = {}
    for task in sorted((home / "task").iterdir()):
        try:
            name = thread_role(int(task.name), pid, (task / "comm").read_text().strip())
            ran = int((task / "schedstat").read_text().split()[0]) / 1e9
            told = fields(task / "status")
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended between listing and reading
        threads[name] = threads.get(name, 0.0) + ran
        switches += int(told["voluntary_ctxt_switches"]) + int(told["nonvoluntary_ctxt_switches"])
    return Usage(
        cpu_seconds=cpu_seconds((home / "stat").read_text()),
        threads=threads,
        resident_bytes=kibibytes(status["VmRSS"]),
        peak_bytes=kibibytes(status["VmHWM"]),
        switches=switches,
    )


def difference(before: Usage, after: Usage) -> Usage:
    """Return what was used between two readings; memory is that of the later one."""
    names = sorted({*before.threads, *after.threads})
    return Usage(
        cpu_seconds=after.cpu_seconds - before.cpu_seconds,
        threads={
            name: max(0.0, after.threads.get(name, 0.0) - before.threads.get(name, 0.0))
            for name in names
        },
        resident_bytes=after.resident_bytes,
        peak_bytes=after.peak_bytes,
        switches=max(0, after.switches - before.switches),
    )


def thread_role(tid: int, pid: int, comm: str) -> str:
    """Return under what a thread is accounted: its name without a running number."""
    if tid == pid:
        return "main"
    return comm.rstrip("0123456789_-:/") or "unnamed"


def cpu_seconds(stat: str) -> float:
    """Return user and system seconds out of a line of /proc/PID/stat.

    The name in the second field may hold blanks and brackets, so fields count from its end.
    """
    rest = stat.rpartition(")")[2].split()
    return (int(rest[11]) + int(rest[12])) * TICK_SECONDS


def fields(path: Path) -> dict[str, str]:
    """Return the `name: value` lines of a file."""
    lines = (line.partition(":") for line in path.read_text().splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def kibibytes(value: str) -> int:
    """Return the bytes that a value such as `1204 kB` stands for."""
    return int(value.split(maxsplit=1)[0]) * 1024


def loopback(proc: Path = PROC) -> Traffic:
    """Return what has passed the loopback interface."""
    received = fields(proc / "net" / "dev")[LOOPBACK].split()
    return Traffic(bytes=int(received[0]), packets=int(received[1]))


def disk_written_bytes(directory: Path, sys: Path = Path("/sys")) -> int | None:
    """Return what was written to the device that holds a directory, by anybody, since boot.

    None where there is no such device, as in memory.
    """
    number = directory.stat().st_dev
    stat = sys / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}" / "stat"
    try:
        return int(stat.read_text().split()[SECTORS_WRITTEN]) * SECTOR_BYTES
    except FileNotFoundError:
        return None


def machine_cpu_seconds(proc: Path = PROC) -> float:
    """Return the processor time that everybody on the machine has used since boot.

    User, nice, system, interrupts and steal; a guest's time is part of user.
    """
    user, nice, system, _idle, _iowait, hard, soft, steal, *_ = (
        (proc / "stat").read_text().partition("\n")[0].split()[1:]
    )
    return sum(map(int, (user, nice, system, hard, soft, steal))) * TICK_SECONDS
