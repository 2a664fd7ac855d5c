"""The ingestion role, put together."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import grpc
import grpc.aio

from seawall.errors import LocalError, OperationalError, SeawallError
from seawall.ingestion.certifier import Certifier
from seawall.ingestion.config import IngestionSettings
from seawall.ingestion.following import follow
from seawall.ingestion.host import GrpcAttesters, GrpcOrderer, OwnFinality, OwnLog
from seawall.ingestion.intake import Intake
from seawall.ingestion.pipeline import Pipeline
from seawall.ingestion.progress import Progress
from seawall.ingestion.receiving import Receiving
from seawall.ingestion.servicer import IngestionServicer
from seawall.ingestion.shared import Alone, Shared
from seawall.ingestion.state_rules import StateRules
from seawall.ingestion.update import Update
from seawall.ingestion.watching import Watching
from seawall.runtime.ledger_client import LedgerClient
from seawall.runtime.service import INGESTION, Context
from seawall.runtime.status import error_from
from seawall.telemetry.metrics import IngestMetrics

if TYPE_CHECKING:
    from seawall.ingestion.http.listener import HttpListener

US_PER_SECOND: Final = 1_000_000
FOLLOW_PAUSE_SECONDS = 0.2
FINALITY_PAUSE_SECONDS_MAX = 5.0


class IngestionService:
    """Takes updates in, has them attested and ordered, and tells what becomes of them."""

    name = INGESTION

    def __init__(self, context: Context, settings: IngestionSettings) -> None:
        """Connect the parts; nothing runs yet.

        Raises:
            OperationalError: BATCH_NUMBERS, SITE_CONFIG_READ.
            LocalError: SITE_CONFIG.

        """
        self._context = context
        self._shared = _shared_state(context, settings)
        self._progress = Progress(settings, self._shared.claims)
        channels, seconds_max = context.channels, settings.ledger_seconds_max
        self._metrics = IngestMetrics(context.registry)
        self._ledger = LedgerClient(channels, seconds_max=seconds_max)
        self._log = OwnLog(channels, seconds_max)
        self._finality = OwnFinality(channels)
        self._attesters = GrpcAttesters(channels, context.committee.size, context.site, settings)
        self._orderer = GrpcOrderer(channels, context.site, seconds_max)
        certifier = Certifier(
            context.committee, context.site, self._attesters, settings, context.log
        )
        state = StateRules(context, self._progress, self._ledger, self._log, settings)
        self._pipeline = Pipeline(
            context,
            settings,
            self._progress,
            self._ledger,
            state,
            certifier,
            self._orderer,
            self._metrics,
        )
        intake = Intake(
            context, settings, self._progress, self._pipeline, self._metrics, self._shared
        )
        receiving = Receiving(
            context, settings, self._progress, intake, state, self._ledger, self._shared.sessions
        )
        watching = Watching(self._progress, self._log)
        self._servicer = IngestionServicer(settings, intake, receiving, watching, self._shared)
        self._http = None
        if settings.http_address:
            self._http = self._make_http(settings, intake, receiving, watching)
        self._following = False

    def register(self, server: grpc.aio.Server) -> None:
        """Add the servicer to a server."""
        self._servicer.register(server)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ledger.run(), name="ledger")
            group.create_task(self._attesters.run(), name="attesters")
            group.create_task(self._orderer.run(), name="consensus")
            group.create_task(self._pipeline.run(), name="pipeline")
            group.create_task(self._shared.run(), name="shared")
            if self._http is not None:
                group.create_task(self._http.run(), name="http")
            group.create_task(self._follow(), name="follow")
            group.create_task(self._follow_finality(), name="finality")

    def ready(self) -> bool:
        """Say whether the own ledger's entries are coming in, and what is shared can be reached."""
        return self._following and self._shared.ready()

    def _make_http(
        self,
        settings: IngestionSettings,
        intake: Intake,
        receiving: Receiving,
        watching: Watching,
    ) -> "HttpListener":
        """Return the HTTP side of the same parts."""
        # Only where it is served: what it is made of takes memory that other processes can spare.
        from seawall.ingestion.http.app import make_app  # noqa: PLC0415 - see above
        from seawall.ingestion.http.bodies import Bodies  # noqa: PLC0415 - see above
        from seawall.ingestion.http.listener import HttpListener  # noqa: PLC0415 - see above
        from seawall.ingestion.http.parts import Parts  # noqa: PLC0415 - see above

        log = self._context.log
        parts = Parts(
            settings=settings,
            intake=intake,
            receiving=receiving,
            watching=watching,
            log=self._log,
            bodies=Bodies(settings),
            shared=self._shared,
            events=log,
        )
        tls = self._context.channels.client_server_tls()
        return HttpListener(make_app(parts), settings, tls, log)

    async def _follow(self) -> None:
        """Read the own ledger's entries as they are certified; begin again when it went away."""
        start: int | None = None
        while True:
            try:
                if start is None:
                    start, height = await self._log.certified()
                    self._progress.rise(height, start)
                self._following = True
                async for page in self._log.follow(start):
                    followed = follow(page, self._progress)
                    self._count(followed.committed)
                    for update, reason in followed.undecided:
                        self._pipeline.add_again(update, reason)
                    start = page.start + len(page.entries)
                failure: SeawallError = OperationalError("RPC_ENDED", "the ledger ended the stream")
            except grpc.RpcError as fault:
                failure = error_from(fault)
            except SeawallError as fault:
                failure = fault
            self._following = False
            self._context.log.info("ledger_away", code=failure.code)
            await asyncio.sleep(FOLLOW_PAUSE_SECONDS)

    async def _follow_finality(self) -> None:
        """Report what consensus states to be FINAL; what is missed COMMITTED says later."""
        pause = FOLLOW_PAUSE_SECONDS
        while True:
            try:
                async for update_ids in self._finality.follow():
                    pause = FOLLOW_PAUSE_SECONDS
                    self._progress.final(update_ids)
                code = "RPC_ENDED"
            except grpc.RpcError as fault:
                code = error_from(fault).code
            self._context.log.info("finality_away", code=code)
            await asyncio.sleep(pause)
            pause = min(2 * pause, FINALITY_PAUSE_SECONDS_MAX)

    def _count(self, committed: Sequence[Update]) -> None:
        """Count what was committed, and time each of it that came in here."""
        if not committed:
            return
        self._metrics.updates.labels(outcome="committed").inc(len(committed))
        took = self._metrics.duration.labels(outcome="committed")
        now_us = self._context.clock.elapsed_us()
        for update in committed:
            if update.arrived_us:
                took.observe((now_us - update.arrived_us) / US_PER_SECOND)


def _shared_state(context: Context, settings: IngestionSettings) -> Shared:
    """Return what this worker shares with others: nothing, or a Redis.

    Raises:
        LocalError: SITE_CONFIG for a worker that is one too many.
        OperationalError: SITE_CONFIG_READ.

    """
    if context.worker >= settings.workers:
        hint = f"this site has {settings.workers} ingestion workers, from number 0 on"
        raise LocalError("SITE_CONFIG", hint, field="worker")
    if settings.redis is None:
        now = lambda: context.clock.elapsed_us() / 1_000_000  # noqa: E731 - one expression
        return Alone(settings, context.entropy, now, context.log)
    # Only a site that has one pays for its client.
    from seawall.ingestion.redis_shared import open_redis  # noqa: PLC0415 - as said above

    return open_redis(context, settings)


def build(context: Context, settings: IngestionSettings) -> IngestionService:
    """Return the role, not yet running."""
    return IngestionService(context, settings)
