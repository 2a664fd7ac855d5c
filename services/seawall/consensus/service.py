"""The consensus role of a site: start reading here.

`host` runs the replica, `servicer` answers others, `replica` and `engine` are the protocol's seam,
`dag` is the protocol.
"""

import grpc.aio

from seawall.consensus.config import ConsensusSettings
from seawall.consensus.engines import ENGINES
from seawall.consensus.host import ConsensusHost
from seawall.consensus.servicer import ConsensusServicer
from seawall.errors import LocalError
from seawall.runtime.service import CONSENSUS, Context


class ConsensusService:
    """Implements `seawall.runtime.service.Service`."""

    name = CONSENSUS

    def __init__(self, host: ConsensusHost) -> None:
        """Serve `host`."""
        self.host = host
        self._servicer = ConsensusServicer(host)

    def register(self, server: grpc.aio.Server) -> None:
        """Add the servicer to a server."""
        self._servicer.register(server)

    async def run(self) -> None:
        """Run the replica until cancelled; raises when it can no longer keep its promises."""
        await self.host.run()

    def ready(self) -> bool:
        """Say whether the replica runs and its ledger keeps up."""
        return self.host.ready()


def build(context: Context, settings: ConsensusSettings) -> ConsensusService:
    """Return the role, its replica recovered from the journal.

    Raises:
        LocalError: SITE_PROTOCOL when genesis names an engine that this build does not have.
        OperationalError: JOURNAL_CORRUPT, JOURNAL_FULL, JOURNAL_IO.

    """
    protocol = context.genesis.consensus.protocol
    if protocol not in ENGINES:
        raise LocalError("SITE_PROTOCOL", f"this build has {', '.join(sorted(ENGINES))}")
    return ConsensusService(ConsensusHost(context, settings, ENGINES[protocol]))
