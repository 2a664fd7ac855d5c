"""Many updates at once: what load generators use."""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable

from seawall.client.courier import Courier
from seawall.client.values import Event, Prepared, Stage


class Many:
    """A run of updates through one courier, and their events in the order of arrival."""

    def __init__(self, courier: Courier, until: Stage, in_flight_max: int) -> None:
        """Start empty; an update is done when it reaches `until` or is refused."""
        self._courier = courier
        self._until = until
        self._free = asyncio.Semaphore(in_flight_max)
        self._open = 0
        self._fed = False
        self._fault: Exception | None = None
        self._events: deque[Event] = deque()
        self._news = asyncio.Event()

    async def feed(self, updates: Iterable[Prepared] | AsyncIterable[Prepared]) -> None:
        """Send all updates, as far ahead as allowed."""
        try:
            await self._free.acquire()
            if isinstance(updates, AsyncIterable):
                async for prepared in updates:
                    await self._send(prepared)
            else:
                for prepared in updates:
                    await self._send(prepared)
        except Exception as fault:  # noqa: BLE001 - the caller's iterable; raised to the caller
            self._fault = fault
        finally:
            self._fed = True
            self._news.set()

    async def events(self) -> AsyncIterator[tuple[Event, ...]]:
        """Yield events, all that are there at a time, until every update is done."""
        while self._events or self._open or not self._fed:
            if not self._events:
                self._news.clear()
                await self._news.wait()
            batch = tuple(self._events)
            self._events.clear()
            if batch:
                yield batch
            if self._fault is not None:
                raise self._fault

    async def _send(self, prepared: Prepared) -> None:
        """Send one update; return when there is room for the next."""
        self._open += 1
        await self._courier.send(prepared, self._hear, self._until)
        await self._free.acquire()

    def _hear(self, event: Event) -> None:
        self._events.append(event)
        self._news.set()
        if event.stage >= self._until:
            self._open -= 1
            self._free.release()
