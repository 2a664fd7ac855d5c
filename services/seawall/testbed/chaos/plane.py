"""The actuator for faults inside processes: their fault planes, over gRPC."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeAlias

import grpc
import grpc.aio

from seawall.api.v1 import fault_plane_pb2
from seawall.chaos.runner.injection import Injection
from seawall.errors import LocalError, OperationalError, SeawallError
from seawall.runtime.status import error_from

CALL_SECONDS_MAX: Final = 5.0
"""For an answer; a process that is just starting is waited for as long."""
GONE: Final = "FAULT_ID"
"""The code with which a process says that it has no such fault."""

Dial: TypeAlias = Callable[[int], AbstractAsyncContextManager[Any]]
"""Gives a stub of the fault plane of a site, by the site's index."""


class PlaneActuator:
    """Implements `chaos.runner.protocols.Actuator`.

    A fault lives in the memory of its process: one that has ended has none.
    """

    def __init__(self, dial: Dial, *, seed: int, experiment: str) -> None:
        """Call fault planes through `dial`; what is random in a fault follows from `seed`."""
        self._dial = dial
        self._seed = seed
        self._experiment = experiment

    async def apply(self, injection: Injection, lease_seconds: int) -> None:
        """Inject a fault, or prolong it when it is in force already."""
        spec = self.spec_of(injection, lease_seconds)
        try:
            async with self._calling(injection.site) as plane:
                await plane.Apply(fault_plane_pb2.ApplyRequest(fault=spec), wait_for_ready=True)
        except SeawallError as fault:
            if fault.code != GONE:
                raise
            # Of `Apply` the code says that the fault is there.
            await self.renew(injection, lease_seconds)

    async def renew(self, injection: Injection, lease_seconds: int) -> None:
        """Prolong the lease."""
        request = fault_plane_pb2.RenewRequest(id=injection.id, lease_seconds=lease_seconds)
        async with self._calling(injection.site) as plane:
            await plane.Renew(request, wait_for_ready=True)

    async def revert(self, injection: Injection) -> None:
        """End the fault, if it is there."""
        try:
            async with self._calling(injection.site) as plane:
                request = fault_plane_pb2.RevertRequest(id=injection.id)
                await plane.Revert(request, wait_for_ready=True)
        except SeawallError as fault:
            if fault.code != GONE:
                raise

    async def active(self, site: int) -> tuple[str, ...]:
        """Return the ids of all faults of a site's process."""
        answer = await self._list(site)
        return tuple([spec.id for spec in answer.faults])

    async def kinds(self, site: int) -> tuple[str, ...]:
        """Return the kinds of fault that a site's process can do."""
        return tuple((await self._list(site)).kinds)

    async def strikes(self, injection: Injection) -> int:
        """Return how often a fault has struck, as its process counts; 0 when it is not there."""
        answer = await self._list(injection.site)
        counted = dict(zip([spec.id for spec in answer.faults], answer.strikes, strict=False))
        return int(counted.get(injection.id, 0))

    async def _list(self, site: int) -> Any:  # noqa: ANN401 - a generated message
        async with self._calling(site) as plane:
            return await plane.List(fault_plane_pb2.ListRequest(), wait_for_ready=True)

    def spec_of(self, injection: Injection, lease_seconds: int) -> fault_plane_pb2.FaultSpec:
        """Return an injection as the contract has it.

        Raises:
            LocalError: CHAOS_INJECTION for one that is none of the contract.

        """
        members: dict[str, Any] = {
            "id": injection.id,
            "lease_seconds": lease_seconds,
            "seed": self._seed,
            "experiment": self._experiment,
            injection.kind: injection.detail,
        }
        try:
            return fault_plane_pb2.FaultSpec(**members)
        except (TypeError, ValueError) as fault:
            hint = f"the contract of the fault plane has no such {injection.kind}"
            raise LocalError("CHAOS_INJECTION", hint) from fault

    @asynccontextmanager
    async def _calling(self, site: int) -> AsyncIterator[Any]:
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX), self._dial(site) as plane:
                yield plane
        except grpc.aio.AioRpcError as failure:
            raise error_from(failure) from failure
        except TimeoutError as fault:
            raise OperationalError("RPC_DEADLINE", "the fault plane does not answer") from fault
