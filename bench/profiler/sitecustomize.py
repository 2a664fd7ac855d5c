"""Samples the stacks of a process while it uses the processor; found by Python at its start.

`bench/run.py --profile` puts this folder on PYTHONPATH of the sites and names in
SEAWALL_BENCH_PROFILE a directory for the result. Without that variable nothing happens.

A timer of processor time (ITIMER_PROF) interrupts about 200 times per CPU-second of the whole
process. Where the main thread waits for events at that moment, some other thread was at work.
"""

import atexit
import os
import signal
import sys
from collections import Counter
from types import FrameType

INTERVAL_SECONDS = 0.005
DEPTH_MAX = 60
DIRECTORY = os.environ.get("SEAWALL_BENCH_PROFILE", "")

stacks: Counter[tuple[str, ...]] = Counter()


def sample(_: int, frame: FrameType | None) -> None:
    """Count the stack of the main thread, outermost function first."""
    stack: list[str] = []
    while frame is not None and len(stack) < DEPTH_MAX:
        code = frame.f_code
        stack.append(f"{code.co_filename}:{code.co_firstlineno}:{code.co_qualname}")
        frame = frame.f_back
    stacks[tuple(reversed(stack))] += 1


def write() -> None:
    """Write one line for each stack: frames joined by `;`, a blank, the number of samples."""
    signal.setitimer(signal.ITIMER_PROF, 0)
    path = os.path.join(DIRECTORY, f"{os.getpid()}.stacks")  # noqa: PTH118 - imports nothing more
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - imports nothing more
        file.writelines(f"{';'.join(stack)} {count}\n" for stack, count in stacks.most_common())


if DIRECTORY and "serve" in sys.orig_argv:
    signal.signal(signal.SIGPROF, sample)
    signal.siginterrupt(signal.SIGPROF, False)  # noqa: FBT003 - the library's own signature
    signal.setitimer(signal.ITIMER_PROF, INTERVAL_SECONDS, INTERVAL_SECONDS)
    atexit.register(write)
