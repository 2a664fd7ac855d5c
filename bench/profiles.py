"""Reads sampled stacks and says which functions the processor time went to."""

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.tables import render

FOLDER = Path(__file__).resolve().parent / "profiler"
"""What goes on PYTHONPATH of a process that is to be sampled."""

VARIABLE = "SEAWALL_BENCH_PROFILE"
WRITE_SECONDS_MAX = 5.0

HANDLE = "events.py:Handle._run"
WAITING = ("selectors.py", "select.py")
OTHER_THREADS = "(other threads)"
PLACE = re.compile(r"^(?P<file>.*):(?P<line>\d+):(?P<name>[^:]*)$")


FUNCTIONS = 40
"""Rows of a profile."""

AREAS = (
    "seawall/ingestion",
    "seawall/integrity",
    "seawall/ledger",
    "seawall/consensus",
    "seawall/aggregation",
    "seawall/formats",
    "seawall/codec",
    "seawall/crypto",
    "seawall/runtime",
    "seawall/telemetry",
    "prometheus_client",
    "grpc/",
    "google/",
    "structlog/",
)
"""Parts to which a profile's samples are counted: the innermost frame that lies in one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Samples of one function: at the top of the stack, and anywhere in it."""

    name: str
    own_percent: float
    total_percent: float


def environment(directory: Path) -> Mapping[str, str]:
    """Return the variables that let processes sample themselves into `directory`."""
    return {VARIABLE: str(directory), "PYTHONPATH": str(FOLDER)}


def begin(pids: Iterable[int]) -> None:
    """Let processes forget what they have sampled so far."""
    for pid in pids:
        os.kill(pid, signal.SIGUSR1)


def collect(pids: Iterable[int], directory: Path) -> Counter[tuple[str, ...]]:
    """Return what processes have sampled, and remove their files.

    Raises:
        TimeoutError: a process does not write.

    """
    asked = tuple(pids)
    for pid in asked:
        os.kill(pid, signal.SIGUSR2)
    limit = time.monotonic() + WRITE_SECONDS_MAX
    while len(files := sorted(directory.glob("*.stacks"))) < len(asked):
        if time.monotonic() > limit:
            raise TimeoutError("a process does not write its samples")
        time.sleep(0.05)
    stacks = read(directory)
    for path in files:
        path.unlink()
    return stacks


def read(directory: Path) -> Counter[tuple[str, ...]]:
    """Return the stacks of all processes, frames named for people, outermost first."""
    stacks: Counter[tuple[str, ...]] = Counter()
    for path in sorted(directory.glob("*.stacks")):
        for line in path.read_text(encoding="utf-8").splitlines():
            frames, _, count = line.rpartition(" ")
            stacks[tuple(short(frame) for frame in frames.split(";"))] += int(count)
    return stacks


def short(frame: str) -> str:
    """Return a frame as `package/module.py:function`."""
    found = PLACE.match(frame)
    if found is None:
        return frame
    path = Path(found["file"])
    parts = path.parts
    for root in ("site-packages", "services"):
        if root in parts:
            inside = parts[len(parts) - parts[::-1].index(root) :]
            return f"{'/'.join(inside)}:{found['name']}"
    return f"{path.name}:{found['name']}"


def shares(stacks: Mapping[tuple[str, ...], int]) -> tuple[Share, ...]:
    """Return every function's part of all samples, those with most of their own first."""
    own: Counter[str] = Counter()
    inside: Counter[str] = Counter()
    everything = sum(stacks.values())
    for stack, count in stacks.items():
        top = OTHER_THREADS if is_waiting(stack) else stack[-1]
        own[top] += count
        for name in sorted({*stack[:-1], top}):
            inside[name] += count
    return tuple(
        Share(
            name=name,
            own_percent=100 * own[name] / everything,
            total_percent=100 * count / everything,
        )
        for name, count in sorted(inside.items(), key=lambda item: (-own[item[0]], item[0]))
    )


def is_waiting(stack: tuple[str, ...]) -> bool:
    """Tell whether a thread with this stack waits for events."""
    return stack[-1].partition(":")[0] in WAITING


def areas(stacks: Mapping[tuple[str, ...], int], prefixes: Iterable[str]) -> dict[str, float]:
    """Return per cent of samples by the innermost frame that lies under one of the prefixes.

    What lies under none is `other`; what happens while the main thread waits is by itself.
    """
    wanted = tuple(prefixes)
    counts: Counter[str] = Counter()
    for stack, count in stacks.items():
        if is_waiting(stack):
            counts[OTHER_THREADS] += count
            continue
        found = (area(frame, wanted) for frame in reversed(stack))
        counts[next((name for name in found if name), "other")] += count
    everything = sum(stacks.values())
    return {name: 100 * count / everything for name, count in counts.most_common()}


def area(frame: str, prefixes: tuple[str, ...]) -> str | None:
    """Return the first prefix that a frame lies under."""
    return next((prefix for prefix in prefixes if frame.startswith(prefix)), None)


def callbacks(stacks: Mapping[tuple[str, ...], int]) -> dict[str, float]:
    """Return per cent of samples by what the event loop was running, or a thread's own function.

    That is the first frame below the loop's `Handle._run`: a callback, or a task's coroutine.
    """
    counts: Counter[str] = Counter()
    for stack, count in stacks.items():
        if HANDLE in stack[:-1]:
            counts[stack[stack.index(HANDLE) + 1]] += count
        elif is_waiting(stack):
            counts[OTHER_THREADS] += count
        else:
            ours = (frame for frame in stack if frame.startswith("seawall/"))
            counts[f"(outside of callbacks) {next(ours, stack[-1])}"] += count
    everything = sum(stacks.values())
    return {name: 100 * count / everything for name, count in counts.most_common()}


def tables(stacks: Counter[tuple[str, ...]]) -> str:
    """Return the tables of where samples lie, by part and by function."""
    parts = list(areas(stacks, AREAS).items())
    found = shares(stacks)[:FUNCTIONS]
    running = list(callbacks(stacks).items())[:FUNCTIONS]
    rows = [(one.name, one.own_percent, one.total_percent) for one in found]
    return "\n\n".join(
        (
            render(("innermost part", "%"), parts),
            render(("callback of the event loop", "%"), running),
            render(("function", "own %", "with callees %"), rows),
        )
    )
