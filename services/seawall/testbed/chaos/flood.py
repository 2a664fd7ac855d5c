"""The actuator that floods sites: well-made updates, faster than anybody should hand them in."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self, TypeAlias

import numpy as np

from seawall.chaos.runner.injection import Injection
from seawall.client import AsyncClient, Prepared, Stage
from seawall.errors import OperationalError, SeawallError

IN_FLIGHT_MAX: Final = 512
DELTA_MAX: Final = 1000

Flooders: TypeAlias = Callable[[int, int], AsyncClient | None]
"""Gives the client of a flooder by number, for a site by index; None where no key is left."""


@dataclass(slots=True)
class Flood:
    """One flood at one site: who works at it, when its lease ends, how often it was answered."""

    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    until: float = 0.0
    answered: int = 0


def nobody(number: int, site: int) -> None:
    """Return that there is nobody: for who only takes floods back, which end with their runner."""
    del number, site


class FloodActuator:
    """Implements `chaos.runner.protocols.Actuator`; an asynchronous context manager.

    A flood is made by the runner's own process, and ends with it.
    """

    def __init__(self, flooders: Flooders) -> None:
        """Flood with these clients."""
        self._flooders = flooders
        self._floods: dict[str, Flood] = {}
        self._used = 0
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._group = await self._stack.enter_async_context(asyncio.TaskGroup())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for flood in self._floods.values():
            _end(flood)
        await self._stack.__aexit__(kind, error, trace)

    def answered(self, name: str) -> int:
        """Return how many updates of a flood a site has taken or refused."""
        return self._floods[name].answered if name in self._floods else 0

    async def apply(self, injection: Injection, lease_seconds: int) -> None:
        """Begin to flood."""
        if injection.id in self._floods:
            await self.renew(injection, lease_seconds)
            return
        count = int(injection.detail["contributors"])
        clients = [self._flooders(self._used + number, injection.site) for number in range(count)]
        self._used += count
        found = [client for client in clients if client is not None]
        if not found:
            hint = "too few contributors are enrolled: the workload has them all"
            raise OperationalError("CHAOS_FLOOD", hint)
        flood = self._floods[injection.id] = Flood(until=_now() + lease_seconds)
        pause = len(found) / float(injection.detail["per_second"])
        for client in found:
            work = self._pour(client, flood, pause)
            flood.tasks.append(self._group.create_task(work, name="flood"))

    async def renew(self, injection: Injection, lease_seconds: int) -> None:
        """Go on for longer."""
        flood = self._floods.get(injection.id)
        if flood is None or flood.until < _now():
            raise OperationalError("CHAOS_FLOOD", "the flood has ended")
        flood.until = _now() + lease_seconds

    async def revert(self, injection: Injection) -> None:
        """End the flood; what is under way goes on by itself."""
        flood = self._floods.get(injection.id)
        if flood is not None:
            _end(flood)

    async def active(self, site: int) -> tuple[str, ...]:
        """Return the ids of all floods that go on, wherever they go."""
        del site
        return tuple([name for name, flood in self._floods.items() if flood.until > _now()])

    async def _pour(self, client: AsyncClient, flood: Flood, pause: float) -> None:
        # A site that does not answer is flooded all the same, as soon as it does.
        with suppress(SeawallError):
            async with client:
                events = client.submit_many(
                    self._updates(client, flood, pause),
                    until="received",
                    in_flight_max=IN_FLIGHT_MAX,
                )
                async for several in events:
                    flood.answered += sum(one.stage >= Stage.RECEIVED for one in several)

    async def _updates(
        self, client: AsyncClient, flood: Flood, pause: float
    ) -> AsyncIterator[Prepared]:
        base = await client.pull()
        random = np.random.default_rng()
        while flood.until > _now():
            delta = random.integers(1, DELTA_MAX, base.ints.size).astype(np.int32)
            yield await client.prepare(delta, base, 1)
            await asyncio.sleep(pause)


def _end(flood: Flood) -> None:
    flood.until = 0.0
    for task in flood.tasks:
        task.cancel()


def _now() -> float:
    return asyncio.get_running_loop().time()
