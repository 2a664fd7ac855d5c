"""The integrity role, put together."""

import grpc.aio

from seawall.integrity.attest import Attester
from seawall.integrity.config import IntegritySettings
from seawall.integrity.host import Peers
from seawall.integrity.servicer import IntegrityServicer, register
from seawall.runtime.ledger_client import LedgerClient
from seawall.runtime.service import INTEGRITY, Context
from seawall.telemetry.metrics import IntegrityMetrics


class IntegrityService:
    """Verifies what sites offer, and signs for it."""

    name = INTEGRITY

    def __init__(self, context: Context, settings: IntegritySettings) -> None:
        """Connect attester, ledger and servicer."""
        self._ledger = LedgerClient(context.channels, seconds_max=settings.ledger_seconds_max)
        peers = Peers(context.channels, chunk_seconds_max=settings.pull_chunk_seconds_max)
        metrics = IntegrityMetrics(context.registry)
        attester = Attester(context, self._ledger, peers, settings, metrics)
        self._servicer = IntegrityServicer(context, attester, settings)

    def register(self, server: grpc.aio.Server) -> None:
        """Add the servicer to a server."""
        register(self._servicer, server)

    async def run(self) -> None:
        """Keep the stream to the own ledger until cancelled."""
        await self._ledger.run()

    def ready(self) -> bool:
        """Say yes: there is nothing to catch up with."""
        return True


def build(context: Context, settings: IntegritySettings) -> IntegrityService:
    """Return the role, not yet running."""
    return IntegrityService(context, settings)
