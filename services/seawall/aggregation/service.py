"""The aggregation role: how its parts are put together. Start reading here.

`follow` reads the own ledger's log and tells each task's `Former` what concerns it; the former
computes the cut, stores the version, votes, and finishes it when stake agrees. `versions` is the
bookkeeping, `computation` the pure step from a cut to a model, `history` what outlives a restart.
"""

import asyncio
from typing import Final

import grpc.aio

from seawall.aggregation.config import AggregationSettings
from seawall.aggregation.former import Former, Parts
from seawall.aggregation.history import Cursor, read_cursor, write_cursor
from seawall.aggregation.host import Consensus, EntryPage, OwnLog, PayloadSource
from seawall.aggregation.servicer import AggregationServicer
from seawall.errors import SeawallError
from seawall.formats import entry as entries
from seawall.runtime.service import AGGREGATION, Context
from seawall.telemetry.metrics import AggregationMetrics

READ_KINDS: Final = ("cut", "update", "version")
CURSOR_ENTRIES_MAX: Final = 8192
"""Entries after which the cursor is written although no version was finished."""

ROOT_MARK: Final = b'"kind":"root"'
"""Stands in the entry of every root update; the others are not parsed."""


class AggregationService:
    """Implements `seawall.runtime.service.Service`."""

    name = AGGREGATION

    def __init__(self, context: Context, settings: AggregationSettings) -> None:
        """Open what is left of the last run.

        Raises:
            OperationalError: AGG_HISTORY.
            LocalError: TASK_HEADER, TASK_PAYLOAD_SIZE.

        """
        self._context = context
        self._settings = settings
        self._log = OwnLog(context, settings)
        self._payloads = PayloadSource(context, settings)
        self._cursor = read_cursor(context.data_dir)
        self._next = self._cursor.next
        self._commit = 0
        self._caught_up = False
        self._written = asyncio.Event()
        metrics = AggregationMetrics(context.registry)
        consensus = Consensus(context, settings)
        parts = Parts(self._payloads, consensus, metrics, self._written.set)
        self._formers = {
            task.name: Former(context, task, settings, parts, self._cursor)
            for task in context.genesis.tasks
        }
        self._servicer = AggregationServicer(
            self._formers, self._log, self._payloads, settings.streams_max
        )

    def register(self, server: grpc.aio.Server) -> None:
        """Add the servicer to a server."""
        self._servicer.register(server)

    async def run(self) -> None:
        """Form versions until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._payloads.run(), name="aggregation-payloads")
            group.create_task(self._follow(), name="aggregation-follow")
            group.create_task(self._save(), name="aggregation-cursor")
            for former in self._formers.values():
                group.create_task(former.run(), name=f"aggregation-{former.task.name}")

    def ready(self) -> bool:
        """Say whether all that was certified at the start has been read."""
        return self._caught_up

    async def _follow(self) -> None:
        """Read the log, and read on where the ledger ended the stream."""
        pause = self._settings.retry_seconds_min
        target: int | None = None
        while True:
            try:
                if target is None:
                    target = await self._log.certified_height()
                    self._caught_up = self._commit >= target
                async for page in self._log.follow(self._next):
                    await self._read(page)
                    self._caught_up = self._caught_up or page.commit >= target
                    pause = self._settings.retry_seconds_min
            except SeawallError as fault:
                self._context.log.info("log_stream_ended", code=fault.code, next=self._next)
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._settings.retry_seconds_max)

    async def _read(self, page: EntryPage) -> None:
        """Hand the entries of a page to their tasks."""
        for index, data in enumerate(page.entries, page.start):
            kind = entries.kind_of(data)
            if kind in READ_KINDS and (kind != "update" or ROOT_MARK in data):
                await self._hand_over(index, entries.parse(data))
            self._next = index + 1
        self._commit = page.commit
        if self._next - self._cursor.next >= CURSOR_ENTRIES_MAX:
            self._written.set()

    async def _hand_over(self, index: int, entry: entries.Entry) -> None:
        """Give an entry to its task; wait while that task is far behind."""
        assert isinstance(entry, entries.UpdateEntry | entries.CutEntry | entries.VersionEntry)
        former = self._formers[entry.task]
        while len(former.log.cuts) >= self._settings.cuts_ahead_max:
            former.advanced.clear()
            await former.advanced.wait()
        if former.log.apply(index, entry, self._context.clock.elapsed_us()):
            former.changed.set()

    async def _save(self) -> None:
        """Write the cursor whenever a version is finished, or many entries were read."""
        while True:
            await self._written.wait()
            self._written.clear()
            needed = [former.log.needed_from() for former in self._formers.values()]
            position = min((at for at in needed if at is not None), default=self._next)
            final = {name: former.log.final for name, former in self._formers.items()}
            voted = {name: former.log.voted for name, former in self._formers.items()}
            self._cursor = Cursor(min(position, self._next), final, voted)
            context = self._context
            await asyncio.to_thread(write_cursor, context.data_dir, self._cursor, context.disk)


def build(context: Context, settings: AggregationSettings) -> AggregationService:
    """Return the role, not yet running."""
    return AggregationService(context, settings)
