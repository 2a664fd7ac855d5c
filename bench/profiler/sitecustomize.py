"""Samples the stacks of a process while it uses the processor; found by Python at its start.

`bench/run.py --profile` puts this folder on PYTHONPATH of the sites and names in
SEAWALL_BENCH_PROFILE a directory for the result. Without that variable nothing happens.

A timer of processor time (ITIMER_PROF) interrupts about 200 times per CPU-second of the whole
process. Where the main thread waits for events at that moment, another thread was at work: one that
does not wait either, as far as its stack tells. SIGUSR1 begins anew, SIGUSR2 writes a file.
"""

import os
import signal
import sys
import threading
from collections import Counter
from types import FrameType

INTERVAL_SECONDS = 0.005
DEPTH_MAX = 60
DIRECTORY = os.environ.get("SEAWALL_BENCH_PROFILE", "")
EVENT_WAITS = frozenset({"EpollSelector.select", "PollSelector.select", "SelectSelector.select"})
THREAD_WAITS = frozenset({"Condition.wait", "_worker", "_follow_parent", *EVENT_WAITS})

stacks: Counter[tuple[str, ...]] = Counter()
written = 0


def sample(_: int, frame: FrameType | None) -> None:
    """Count one stack, outermost function first."""
    if frame is not None and frame.f_code.co_qualname in EVENT_WAITS:
        frame = other_thread() or frame
    stack: list[str] = []
    while frame is not None and len(stack) < DEPTH_MAX:
        code = frame.f_code
        stack.append(f"{code.co_filename}:{code.co_firstlineno}:{code.co_qualname}")
        frame = frame.f_back
    stacks[tuple(reversed(stack))] += 1


def other_thread() -> FrameType | None:
    """Return the innermost frame of a thread that does not wait."""
    main = threading.main_thread().ident
    for thread, frame in sys._current_frames().items():  # noqa: SLF001 - made for profilers
        if thread != main and frame.f_code.co_qualname not in THREAD_WAITS:
            return frame
    return None


def begin(*_: object) -> None:
    """Forget what was counted."""
    stacks.clear()


def write(*_: object) -> None:
    """Write one line for each stack: frames joined by `;`, a blank, the number of samples."""
    global written  # noqa: PLW0603 - one process, one profile
    written += 1
    path = f"{DIRECTORY}/{os.getpid()}-{written}.stacks"
    with open(f"{path}.part", "w", encoding="utf-8") as file:  # noqa: PTH123 - imports little
        file.writelines(f"{';'.join(stack)} {count}\n" for stack, count in stacks.most_common())
    os.rename(f"{path}.part", path)  # noqa: PTH104 - imports little


if DIRECTORY and "serve" in sys.orig_argv:
    for number, handler in (
        (signal.SIGPROF, sample),
        (signal.SIGUSR1, begin),
        (signal.SIGUSR2, write),
    ):
        signal.signal(number, handler)
        signal.siginterrupt(number, False)  # noqa: FBT003 - the library's own signature
    signal.setitimer(signal.ITIMER_PROF, INTERVAL_SECONDS, INTERVAL_SECONDS)
