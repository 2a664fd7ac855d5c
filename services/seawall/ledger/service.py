"""The ledger role: how its parts are put together. Start reading here.

Commits enter through `Appender`, which drives `Log`; payloads through `Payloads`. `LedgerServicer`
speaks for both on the wire. Everything is opened in `build`, so a damaged or foreign directory
stops the process before it says anything.
"""

import asyncio
from typing import Final

import grpc.aio

from seawall.ledger.appending import Appender
from seawall.ledger.config import LedgerSettings
from seawall.ledger.execution import Executed
from seawall.ledger.landmarks import Landmarks
from seawall.ledger.lmdb_store import LmdbStore
from seawall.ledger.log import Log
from seawall.ledger.payloads import Payloads
from seawall.ledger.reading import LogReader
from seawall.ledger.segments import Segments
from seawall.ledger.servicer import LedgerServicer
from seawall.ledger.store import Store
from seawall.runtime.service import LEDGER, Context, Service
from seawall.telemetry.metrics import LedgerMetrics

_US_PER_SECOND: Final = 1_000_000


def build(context: Context, settings: LedgerSettings) -> Service:
    """Open the ledger of one site.

    Raises:
        LocalError: STORE_FORMAT, LEDGER_ORIGIN, LEDGER_CUT_K.
        OperationalError: STORE_OPEN, STORE_CORRUPT, STORE_FULL.

    """
    store = LmdbStore(
        context.data_dir / "ledger.mdb",
        map_size_bytes=settings.map_size_bytes,
        map_size_bytes_max=settings.map_size_bytes_max,
        disk=context.disk,
    )
    index = LmdbStore(
        context.data_dir / "payloads.mdb",
        map_size_bytes_max=settings.index_size_bytes_max,
        disk=context.disk,
    )
    log = Log(store, context.genesis, context.origin)
    metrics = LedgerMetrics(context.registry)
    payloads = Payloads(
        Segments(context.data_dir / "payloads", context.disk),
        index,
        context.crash_points.reach,
        metrics.payload_fsync_duration.observe,
    )
    landmarks = Landmarks(log.head.index)
    watch = _Watch(context, store, metrics)
    watch.opened(log)
    appender = Appender(log, landmarks, watch, context.crash_points.reach, context.clock.elapsed_us)
    reader = LogReader(log, context.keys.log)
    servicer = LedgerServicer(log, appender, landmarks, payloads, reader, settings)
    return _LedgerService(servicer, appender, payloads, store)


class _LedgerService:
    """The role at work."""

    name = LEDGER

    def __init__(
        self, servicer: LedgerServicer, appender: Appender, payloads: Payloads, store: Store
    ) -> None:
        self._servicer = servicer
        self._appender = appender
        self._payloads = payloads
        self._store = store

    def register(self, server: grpc.aio.Server) -> None:
        """Add the ledger's servicer."""
        self._servicer.register(server)

    async def run(self) -> None:
        """Write until cancelled; raise when a promise can no longer be kept."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._appender.run(), name="ledger-appender")
                group.create_task(self._payloads.run(), name="ledger-payloads")
                self._servicer.group = group
        finally:
            self._servicer.group = None
            self._payloads.close()
            self._store.close()

    def ready(self) -> bool:
        """Say whether writes are taken."""
        return self._servicer.group is not None


class _Watch:
    """Metrics and log lines of the appender."""

    def __init__(self, context: Context, store: Store, metrics: LedgerMetrics) -> None:
        self._metrics = metrics
        self._log = context.log
        self._store = store

    def opened(self, log: Log) -> None:
        """Note where the ledger stands at the start."""
        row = log.head.row
        self._metrics.height.set(log.head.index)
        self._metrics.size_bytes.set(self._store.usage().used_bytes)
        self._log.info(
            "ledger_opened",
            height=log.head.index,
            certified_height=log.certified_index,
            tree_size=row.tree_size,
            updates=row.updates,
        )

    def appended(self, executed: tuple[Executed, ...], execute_us: int, sync_us: int) -> None:
        """Note a durable group."""
        self._metrics.fsync_duration.observe(sync_us / _US_PER_SECOND)
        if executed:
            self._metrics.height.set(executed[-1].index)
            self._metrics.append_duration.observe(execute_us / len(executed) / _US_PER_SECOND)
            self._metrics.size_bytes.set(self._store.usage().used_bytes)
        for one in executed:
            for kind in one.evidence:
                self._metrics.evidence.labels(kind=kind).inc()

    def alarm(self, code: str) -> None:
        """Say loudly what must never happen."""
        self._log.critical("ledger_alarm", code=code)
