"""Who may call what: one table, enforced in one place, for every socket of a process.

A process listens on two ports. Callers of the client port are anonymous, whatever they claim;
callers of the peer port hold a certificate of genesis. `Guard` stands between a role and a real
server while the role registers, so that a handler which the caller may not use is never reached.
An RPC that is not in the table is refused. Calls inside the process do not pass a guard.
"""

import inspect
from collections.abc import AsyncIterator, Iterable, Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

import grpc
import grpc.aio

from seawall.errors import PeerError
from seawall.runtime.exchange import Behaviour, Handler, Wrap, behaviour_of, with_behaviour
from seawall.runtime.status import AnyContext, abort
from seawall.runtime.tls import RUNNER, Callers


class Who(Enum):
    """Those who may call an RPC."""

    ANYONE = auto()
    SITES = auto()
    OWN_SITE = auto()
    RUNNER = auto()


_API: Final = "seawall.api.v1."

CALLERS: Final[Mapping[str, Who]] = MappingProxyType(
    {
        f"{_API}ConsensusService/Submit": Who.OWN_SITE,
        f"{_API}ConsensusService/FollowFinality": Who.OWN_SITE,
        f"{_API}ConsensusService/Blocks": Who.SITES,
        f"{_API}ConsensusService/ConsensusStatus": Who.ANYONE,
        f"{_API}LedgerService/Append": Who.OWN_SITE,
        f"{_API}LedgerService/GetEntry": Who.ANYONE,
        f"{_API}LedgerService/Entries": Who.ANYONE,
        f"{_API}LedgerService/Checkpoint": Who.ANYONE,
        f"{_API}LedgerService/ProveInclusion": Who.ANYONE,
        f"{_API}LedgerService/ProveConsistency": Who.ANYONE,
        f"{_API}LedgerService/Receipt": Who.ANYONE,
        f"{_API}LedgerService/Judge": Who.OWN_SITE,
        f"{_API}LedgerService/PutPayload": Who.OWN_SITE,
        f"{_API}LedgerService/HasPayload": Who.ANYONE,
        f"{_API}LedgerService/GetPayload": Who.ANYONE,
        f"{_API}LedgerService/PutSubmission": Who.OWN_SITE,
        f"{_API}LedgerService/GetSubmission": Who.ANYONE,
        f"{_API}LedgerService/LedgerStatus": Who.ANYONE,
        f"{_API}IntegrityService/Attest": Who.SITES,
        f"{_API}IntegrityService/VerifyReceipt": Who.ANYONE,
        f"{_API}IntegrityService/Describe": Who.ANYONE,
        f"{_API}IngestionService/Submit": Who.ANYONE,
        f"{_API}IngestionService/Open": Who.ANYONE,
        f"{_API}IngestionService/Upload": Who.ANYONE,
        f"{_API}IngestionService/Finish": Who.ANYONE,
        f"{_API}IngestionService/Watch": Who.ANYONE,
        f"{_API}AggregationService/GetTask": Who.ANYONE,
        f"{_API}AggregationService/GetHead": Who.ANYONE,
        f"{_API}AggregationService/GetVersion": Who.ANYONE,
        f"{_API}AggregationService/Explain": Who.ANYONE,
        f"{_API}FaultPlaneService/Apply": Who.RUNNER,
        f"{_API}FaultPlaneService/Renew": Who.RUNNER,
        f"{_API}FaultPlaneService/Revert": Who.RUNNER,
        f"{_API}FaultPlaneService/List": Who.RUNNER,
        f"{_API}FaultPlaneService/Watch": Who.RUNNER,
    }
)
"""Who may call each RPC, by its full name."""


def is_allowed(who: Who, site: int | None, own_site: int) -> bool:
    """Return whether a caller with this identity (see `Callers.site_of`) is among `who`."""
    match who:
        case Who.ANYONE:
            return True
        case Who.SITES:
            return site is not None and site != RUNNER
        case Who.OWN_SITE:
            return site == own_site
        case Who.RUNNER:
            return site in (own_site, RUNNER)


class Guard(grpc.aio.Server):
    """Registers handlers on a real server, each behind the table.

    Only registration passes through a guard; ports, start and stop are the real server's.
    """

    def __init__(
        self, server: grpc.aio.Server, callers: Callers, own_site: int, wrap: Wrap | None = None
    ) -> None:
        """Stand before `server`; what it guards is passed through `wrap`, and called by that."""
        self._wrap = wrap
        self._server = server
        self._callers = callers
        self._own_site = own_site

    def add_generic_rpc_handlers(
        self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]
    ) -> None:
        """Do nothing: generated code registers the same handlers by name as well."""

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, Handler]
    ) -> None:
        """Register one service, with its restricted methods guarded."""
        guarded = {
            method: self._guarded(CALLERS.get(f"{service_name}/{method}"), handler)
            for method, handler in method_handlers.items()
        }
        if self._wrap is not None:
            guarded = dict(self._wrap(service_name, guarded))
        generic = grpc.method_handlers_generic_handler(service_name, guarded)
        self._server.add_generic_rpc_handlers((generic,))
        self._server.add_registered_method_handlers(service_name, guarded)

    def _guarded(self, who: Who | None, handler: Handler) -> Handler:
        if who is Who.ANYONE:
            return handler
        return with_behaviour(handler, self._behind(who, behaviour_of(handler)))

    def _behind(self, who: Who | None, behaviour: Behaviour) -> Behaviour:
        """Return a behaviour of the same kind that looks at the caller first."""
        if inspect.isasyncgenfunction(behaviour):

            async def stream(request: object, context: AnyContext) -> AsyncIterator[object]:
                await self._check(who, context)
                async for response in behaviour(request, context):
                    yield response

            return stream

        async def single(request: object, context: AnyContext) -> object:
            await self._check(who, context)
            return await behaviour(request, context)

        return single

    async def _check(self, who: Who | None, context: AnyContext) -> None:
        site = self._callers.site_of(context)
        if who is None or not is_allowed(who, site, self._own_site):
            hint = "dial the peer port with the certificate of a site that may call this"
            await abort(context, PeerError("CALLER_NOT_ALLOWED", hint))

    def add_insecure_port(self, address: str) -> int:
        """Refuse: ports belong to the real server."""
        raise NotImplementedError(address)

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> int:
        """Refuse: ports belong to the real server."""
        raise NotImplementedError(address, server_credentials)

    async def start(self) -> None:
        """Refuse: the real server is started by its owner."""
        raise NotImplementedError

    async def stop(self, grace: float | None) -> None:
        """Refuse: the real server is stopped by its owner."""
        raise NotImplementedError(grace)

    async def wait_for_termination(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is gRPC's
    ) -> bool:
        """Refuse: the real server is ended by its owner."""
        raise NotImplementedError(timeout)
