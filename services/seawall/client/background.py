"""One event loop in a thread of its own, shared by all blocking clients of a process.

gRPC's asyncio side is at its best with one loop per process, so blocking clients share one. It
starts with the first user and ends with the last.
"""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from typing import Any, ClassVar, TypeVar

T = TypeVar("T")


class Background:
    """A running event loop; use `acquire` and `release`."""

    _guard: ClassVar[threading.Lock] = threading.Lock()
    _shared: ClassVar["Background | None"] = None

    def __init__(self) -> None:
        """Start the thread."""
        self.users = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="seawall-client", daemon=True
        )
        self._thread.start()

    @classmethod
    def acquire(cls) -> "Background":
        """Return the shared loop, started if need be; `release` it later."""
        with cls._guard:
            if cls._shared is None:
                cls._shared = cls()
            cls._shared.users += 1
            return cls._shared

    def release(self) -> None:
        """Let go of the loop; the last user ends it."""
        with self._guard:
            self.users -= 1
            if self.users:
                return
            Background._shared = None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what a coroutine returns, run on the shared loop; an interrupt cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except (KeyboardInterrupt, CancelledError):
            future.cancel()
            raise
