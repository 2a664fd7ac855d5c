"""The consensus role of a site: start reading here.

`host` runs the replica, `servicer` answers others, `replica` and `engine` are the protocol's seam,
`dag` is the protocol.
"""

import grpc.aio

from seawall.consensus.byzantine.switching import switched
from seawall.consensus.byzantine.table import BEHAVIOURS, Script
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
        LocalError: SITE_PROTOCOL when genesis names an engine that this build does not have;
            SITE_BYZANTINE for scripts where chaos is not enabled; SITE_CONFIG for scripts that
            cannot be followed.
        OperationalError: JOURNAL_CORRUPT, JOURNAL_FULL, JOURNAL_IO.

    """
    protocol = context.genesis.consensus.protocol
    if protocol not in ENGINES:
        raise LocalError("SITE_PROTOCOL", f"this build has {', '.join(sorted(ENGINES))}")
    factory = ENGINES[protocol]
    scripts = scripts_of(context, settings) if settings.byzantine else ()
    if scripts:
        names = [one.behaviour for one in settings.byzantine]
        context.log.warning("replica_lies", behaviours=names)
    if context.seams is not None and context.seams.lies is not None:
        lies = context.seams.lies
        lies.known = tuple(sorted(BEHAVIOURS))
        factory = switched(factory, lambda: lies.told, scripts)
    return ConsensusService(ConsensusHost(context, settings, factory))


def scripts_of(context: Context, settings: ConsensusSettings) -> tuple[Script, ...]:
    """Return the scripts that an experiment asks this replica to follow.

    Raises:
        LocalError: SITE_BYZANTINE, SITE_CONFIG; see `build`.

    """
    if context.seams is None:
        hint = "only a process with [chaos] enabled lies on purpose"
        raise LocalError("SITE_BYZANTINE", hint, field="consensus.byzantine")
    others = [peer for peer in range(context.committee.size) if peer != context.site]
    for one in settings.byzantine:
        if one.behaviour not in BEHAVIOURS:
            hint = f"choose among {', '.join(sorted(BEHAVIOURS))}"
            raise LocalError("SITE_CONFIG", hint, field="consensus.byzantine.behaviour")
        if any(peer not in others for peer in one.peers):
            hint = "name other sites by their index"
            raise LocalError("SITE_CONFIG", hint, field="consensus.byzantine.peers")
    return tuple(
        Script(behaviour=one.behaviour, peers=one.peers, rounds=one.rounds)
        for one in settings.byzantine
    )
