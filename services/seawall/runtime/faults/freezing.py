"""A process that stands still, and goes on by itself.

What thaws it must not need the process: so one thread sleeps in the kernel while it holds the
interpreter's lock. Until the kernel wakes it no other thread runs Python: neither the event loop
nor the replica's thread nor those that answer health checks. What runs outside of the interpreter
goes on: the kernel acknowledges segments, and gRPC's own threads answer pings.
"""

import ctypes
import threading
from collections.abc import Callable
from time import sleep
from typing import Final

ANSWER_SECONDS: Final = 0.05
"""Time for the answer to the order to leave."""


class Freezer:
    """Freezes this process."""

    def __init__(self, hold: Callable[[int], object] | None = None) -> None:
        """Freeze by `hold(milliseconds)`; tests pass their own."""
        # A call through PyDLL keeps the lock; poll of no descriptors is a sleep.
        library = ctypes.PyDLL(None)
        self.hold = hold or (lambda duration_ms: library.poll(None, 0, duration_ms))
        """Stands still for so many milliseconds, in the thread that calls it."""

    def freeze(self, duration_ms: int) -> threading.Thread:
        """Stand still for so long, from shortly after this call; return the thread that does it."""
        thread = threading.Thread(
            target=self._run, args=(duration_ms,), name="freezer", daemon=True
        )
        thread.start()
        return thread

    def _run(self, duration_ms: int) -> None:
        sleep(ANSWER_SECONDS)
        self.hold(duration_ms)
