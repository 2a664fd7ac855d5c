"""Load that does not wait for the sites: updates at the times that the experiment's seed draws.

Latencies count from when an update was due. FINAL is the word of the site that took the update,
COMMITTED what its contributor is told.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import Final, Self

import numpy as np

from seawall.chaos.experiment.schema import Workload
from seawall.chaos.runner.steps import Phase
from seawall.client import AsyncClient, Base, Event, Limits, Prepared, Stage
from seawall.errors import OperationalError, PeerError, SeawallError
from seawall.testbed.experiment.samples import Samples, Update

PATIENCE: Final = Limits(rpc_seconds=2.0, received_seconds=2.0, committed_seconds=4.0)
BASE_SECONDS: Final = 20.0
"""Contributors look for a newer version this often."""

DRAIN_SECONDS_MAX: Final = 30.0
START_SECONDS_MAX: Final = 60.0
DELTA_MAX: Final = 1000
"""Largest change of a parameter, in grid units."""

WAITING_MAX: Final = 10_000
"""Updates that are due and not signed yet; more are let go, and count as handed in."""


@dataclass(slots=True)
class Contributor:
    """One contributor: its client, the site that it prefers, and what is due."""

    client: AsyncClient
    site: int
    random: np.random.Generator
    due: asyncio.Queue[int] = field(default_factory=lambda: asyncio.Queue(WAITING_MAX))
    base: Base | None = None


class OpenLoad:
    """Implements `chaos.runner.protocols.Workload`; an asynchronous context manager."""

    def __init__(
        self,
        clients: Sequence[tuple[AsyncClient, int]],
        workload: Workload,
        seed: int,
        clock: Callable[[], int],
    ) -> None:
        """Take clients that are not entered yet, each with the index of its site.

        `clock` is microseconds since the run's start.
        """
        self._workload = workload
        self._seed = seed
        self._clock = clock
        self._contributors = [
            Contributor(client, site, np.random.default_rng([seed, number]))
            for number, (client, site) in enumerate(clients)
        ]
        self._stack = AsyncExitStack()
        self._stopping = asyncio.Event()
        self._news = asyncio.Event()
        self._open: dict[bytes, Update] = {}
        self._begun = False
        self.samples = Samples()
        self.acknowledged: dict[str, int] = {}
        """When each update was acknowledged, by its id in hex."""
        self.entries: dict[int, int] = {}
        """Of each acknowledged update, by when it was handed in: its entry in the log."""
        self.refused: list[str] = []
        """Codes of refusals."""

    async def __aenter__(self) -> Self:
        for one in self._contributors:
            await self._stack.enter_async_context(one.client)
        self._group = await self._stack.enter_async_context(asyncio.TaskGroup())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        for task in self._tasks if self._begun else ():
            task.cancel()
        await self._stack.__aexit__(kind, error, trace)

    # --- the workload of a run ------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to hand in; return when every contributor has had an update committed.

        Raises:
            OperationalError: CHAOS_LOAD when that takes too long.

        """
        self._begun = True
        self._tasks: list[asyncio.Task[None]] = []
        try:
            async with asyncio.timeout(START_SECONDS_MAX):
                await asyncio.gather(*[self._warm_up(one) for one in self._contributors])
        except (TimeoutError, SeawallError) as fault:
            why = fault.code if isinstance(fault, SeawallError) else "no answer in time"
            raise OperationalError("CHAOS_LOAD", f"no update gets through: {why}") from fault
        self._tasks = [self._group.create_task(self._schedule(), name="load-schedule")]
        for one in self._contributors:
            self._tasks.append(self._group.create_task(self._hand_in(one), name="load"))

    def enter(self, phase: Phase, now_us: int) -> None:
        """Take no note: samples have times, and the report knows the phases'."""

    async def finish(self) -> None:
        """Hand in nothing more, and wait a bounded time for answers."""
        self._stopping.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS_MAX):
                while self._open:
                    self._news.clear()
                    await self._news.wait()

    @property
    def unanswered(self) -> int:
        """Return how many updates have no answer."""
        return len(self._open)

    # --- parts ----------------------------------------------------------------------------------

    async def _warm_up(self, one: Contributor) -> None:
        one.base = await one.client.pull()
        receipt = await one.client.push(self._delta(one), one.base, 1)
        await receipt.wait("committed")
        self.acknowledged[receipt.update_id.hex()] = self._clock()

    def _delta(self, one: Contributor) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        assert one.base is not None, "pulled when the load starts"
        return one.random.integers(1, DELTA_MAX, one.base.ints.size).astype(np.int32)

    async def _schedule(self) -> None:
        """Say when whose update is due, whatever becomes of it."""
        random = Random(f"{self._seed}/load")  # noqa: S311 - must be repeatable
        mean_us = 1_000_000 / self._workload.rate
        due_us = float(self._clock())
        while not self._stopping.is_set():
            poisson = self._workload.arrival == "poisson"
            due_us += random.expovariate(1 / mean_us) if poisson else mean_us
            wait_us = due_us - self._clock()
            if wait_us > 0:
                await self._pause(wait_us / 1_000_000)
            if self._stopping.is_set():
                return
            self.samples.handed_in_us.append(int(due_us))
            one = random.choice(self._contributors)
            with suppress(asyncio.QueueFull):
                one.due.put_nowait(int(due_us))

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _hand_in(self, one: Contributor) -> None:
        """Send what is due of one contributor, and follow it."""
        async for events in one.client.submit_many(self._prepared(one)):
            now_us = self._clock()
            for event in events:
                self._take(event, now_us)

    async def _prepared(self, one: Contributor) -> AsyncIterator[Prepared]:
        pulled_us = self._clock()
        while not self._stopping.is_set():
            due_us = await one.due.get()
            if self._clock() - pulled_us > BASE_SECONDS * 1_000_000:
                pulled_us = self._clock()
                with suppress(OperationalError, PeerError):
                    one.base = await one.client.pull()
            assert one.base is not None, "pulled when the load starts"
            prepared = await one.client.prepare(self._delta(one), one.base, 1)
            update = Update(site=one.site, submitted_us=due_us, is_honest=True)
            self.samples.updates.append(update)
            self._open[prepared.update_id] = update
            yield prepared

    def _take(self, event: Event, now_us: int) -> None:
        update = self._open.get(event.update_id)
        if update is None:
            return
        if event.stage is Stage.FINAL:
            update.final_us = update.final_us or now_us
        elif event.stage is Stage.COMMITTED:
            update.final_us = update.final_us or now_us
            update.committed_us = now_us
            self.acknowledged[event.update_id.hex()] = now_us
            if event.entry_index is not None:
                self.entries[update.submitted_us] = event.entry_index
            self._close(event)
        elif event.stage is Stage.REFUSED:
            self.refused.append("" if event.refusal is None else event.refusal.code)
            self._close(event)

    def _close(self, event: Event) -> None:
        del self._open[event.update_id]
        self._news.set()
