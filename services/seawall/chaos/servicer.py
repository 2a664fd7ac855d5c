"""`FaultPlaneService` over gRPC, for the chaos runner alone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

import grpc
import grpc.aio

from seawall.api.v1 import fault_plane_pb2, fault_plane_pb2_grpc
from seawall.chaos.messages import decode_fault, encode_fault
from seawall.chaos.plane import Change, FaultPlane
from seawall.errors import PeerError
from seawall.runtime import status
from seawall.runtime.service import Clock

WATCHERS_MAX: Final = 16
_ENDS: Final = {
    "lease": PeerError("FAULT_LEASE_OVER", "renew a lease before it runs out"),
    "over": PeerError("FAULT_OVER", "it lasted as long as it was to last"),
}
"""Why a fault ended, when it did so by itself."""

CHANGES_MAX: Final = 256
"""Changes that may wait for a slow watcher; then it is ended."""


class FaultPlaneServicer(fault_plane_pb2_grpc.FaultPlaneServiceServicer):
    """Answers for the fault plane of this process."""

    def __init__(self, clock: Clock, refused: Callable[[str], None]) -> None:
        """Answer once `attach` has named the plane; `refused` hears the kinds of refused faults."""
        self._clock = clock
        self._refused = refused
        self._plane: FaultPlane | None = None
        self._watchers: list[asyncio.Queue[Change | None]] = []

    def attach(self, plane: FaultPlane) -> None:
        """Answer for this plane."""
        self._plane = plane

    def register(self, server: grpc.aio.Server) -> None:
        """Add this servicer to a server."""
        fault_plane_pb2_grpc.add_FaultPlaneServiceServicer_to_server(self, server)

    def notify(self, change: Change) -> None:
        """Tell every watcher of a change."""
        for queue in tuple(self._watchers):
            if queue.qsize() < CHANGES_MAX:
                queue.put_nowait(change)
            else:
                self._watchers.remove(queue)
                queue.put_nowait(None)

    @property
    def _faults(self) -> FaultPlane:
        assert self._plane is not None
        return self._plane

    async def Apply(  # noqa: N802 - the contract's name
        self, request: fault_plane_pb2.ApplyRequest, context: status.AnyContext
    ) -> fault_plane_pb2.ApplyResponse:
        """Inject a fault."""
        spec = request.fault
        fault = decode_fault(spec)
        if fault is None:
            self._refused("unknown")
            hint = "choose a kind that this version knows"
            await status.abort(context, PeerError("FAULT_KIND", hint, field="fault.kind"))
        exists = spec.id in self._faults
        try:
            self._faults.apply(fault, spec.lease_seconds, self._clock.elapsed_us())
        except PeerError as refused:
            self._refused(fault.kind)
            code = grpc.StatusCode.ALREADY_EXISTS if exists else grpc.StatusCode.INVALID_ARGUMENT
            await status.abort(context, refused, status=code)
        return fault_plane_pb2.ApplyResponse()

    async def Renew(  # noqa: N802 - the contract's name
        self, request: fault_plane_pb2.RenewRequest, context: status.AnyContext
    ) -> fault_plane_pb2.RenewResponse:
        """Prolong a lease."""
        try:
            self._faults.renew(request.id, request.lease_seconds, self._clock.elapsed_us())
        except PeerError as refused:
            await status.abort(context, refused)
        return fault_plane_pb2.RenewResponse()

    async def Revert(  # noqa: N802 - the contract's name
        self, request: fault_plane_pb2.RevertRequest, context: status.AnyContext
    ) -> fault_plane_pb2.RevertResponse:
        """End a fault."""
        try:
            self._faults.revert(request.id)
        except PeerError as refused:
            await status.abort(context, refused)
        return fault_plane_pb2.RevertResponse()

    async def List(  # noqa: N802 - the contract's name
        self, request: fault_plane_pb2.ListRequest, context: status.AnyContext
    ) -> fault_plane_pb2.ListResponse:
        """Return the active faults; `lease_seconds` is what is left of each lease."""
        del request, context
        now_us = self._clock.elapsed_us()
        self._faults.expire(now_us)
        active = self._faults.active()
        return fault_plane_pb2.ListResponse(
            faults=[
                encode_fault(one.fault, max(1, (one.until_us - now_us) // 1_000_000))
                for one in active
            ],
            kinds=self._faults.kinds,
            strikes=[one.strikes for one in active],
        )

    async def Watch(  # noqa: N802 - the contract's name
        self, request: fault_plane_pb2.FaultPlaneServiceWatchRequest, context: status.AnyContext
    ) -> AsyncIterator[fault_plane_pb2.FaultPlaneServiceWatchResponse]:
        """Follow the faults of this process."""
        del request
        if len(self._watchers) >= WATCHERS_MAX:
            refused = PeerError("QUOTA_STREAMS", f"at most {WATCHERS_MAX} watchers")
            await status.abort(context, refused)
        queue: asyncio.Queue[Change | None] = asyncio.Queue(CHANGES_MAX + 1)
        self._watchers.append(queue)
        try:
            await context.send_initial_metadata(())  # the watcher knows that it misses nothing
            while (change := await queue.get()) is not None:
                ended = _ENDS.get(change.reason)
                reason = None if ended is None else status.refusal(ended)
                yield fault_plane_pb2.FaultPlaneServiceWatchResponse(
                    fault=encode_fault(change.fault), active=change.active, reason=reason
                )
        finally:
            if queue in self._watchers:
                self._watchers.remove(queue)
