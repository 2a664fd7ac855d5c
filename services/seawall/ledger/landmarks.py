"""Who waits for what: named facts that become true when a checkpoint covers them."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final

from seawall.errors import PeerError

WAITERS_MAX: Final = 65_536


class Signal:
    """Something that happens again and again; everybody who waits is woken each time."""

    def __init__(self) -> None:
        """Start with nobody waiting."""
        self._next = asyncio.Event()

    def fire(self) -> None:
        """Wake everybody who waits now."""
        self._next.set()
        self._next = asyncio.Event()

    async def wait(self) -> None:
        """Return at the next `fire`."""
        await self._next.wait()


class Landmarks:
    """Waiters by landmark, and the landmarks of commits that no checkpoint covers yet.

    A landmark is any byte string that both sides agree on.
    """

    def __init__(self, height: int) -> None:
        """Start at a log of this height; what is pending there wakes everybody once covered."""
        self._unlisted_height = height
        self._uncovered: deque[tuple[int, tuple[bytes, ...]]] = deque()
        self._waiters: dict[bytes, list[asyncio.Future[None]]] = {}
        self._count = 0

    def reach(self, index: int, landmarks: Iterable[bytes]) -> None:
        """Note what a commit brought about."""
        self._uncovered.append((index, tuple(landmarks)))

    def has_any(self, index: int) -> bool:
        """Return whether commits up to `index` brought anything about, or may have."""
        return self._unlisted_height > 0 or any(
            landmarks for at, landmarks in self._uncovered if at <= index
        )

    def cover(self, index: int) -> None:
        """Wake those who wait for anything that commits up to `index` brought about."""
        while self._uncovered and self._uncovered[0][0] <= index:
            for landmark in self._uncovered.popleft()[1]:
                self._wake(landmark)
        if self._unlisted_height:
            for landmark in list(self._waiters):
                self._wake(landmark)
            if index >= self._unlisted_height:
                self._unlisted_height = 0

    async def wait(self, landmark: bytes, seconds: float) -> bool:
        """Return True once woken, False after `seconds`.

        Raises PeerError `QUOTA_WAITERS` when too many wait already.
        """
        if self._count >= WAITERS_MAX:
            raise PeerError("QUOTA_WAITERS", "too many wait here: ask again later, or elsewhere")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(landmark, []).append(waiter)
        self._count += 1
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            return False
        finally:
            self._count -= 1
            self._forget(landmark, waiter)
        return True

    def _wake(self, landmark: bytes) -> None:
        for waiter in self._waiters.pop(landmark, ()):
            if not waiter.done():
                waiter.set_result(None)

    def _forget(self, landmark: bytes, waiter: "asyncio.Future[None]") -> None:
        waiters = self._waiters.get(landmark)
        if waiters is not None and waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del self._waiters[landmark]
