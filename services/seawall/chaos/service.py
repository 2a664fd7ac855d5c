"""The fault plane of a process; built only where `chaos.enabled` is set."""

import asyncio
from contextlib import suppress
from typing import Final

import grpc.aio

from seawall.chaos.actuators import Actuators
from seawall.chaos.config import ChaosSettings
from seawall.chaos.plane import Change, FaultPlane
from seawall.chaos.servicer import FaultPlaneServicer
from seawall.errors import LocalError
from seawall.runtime.faults.seams import Seams
from seawall.runtime.service import CHAOS, Context
from seawall.telemetry.metrics import ChaosMetrics

PERIOD_SECONDS: Final = 0.5
"""How often leases are looked at, at least, while a fault is active."""


class ChaosService:
    """Implements `seawall.runtime.service.Service`."""

    name = CHAOS

    def __init__(self, context: Context, seams: Seams) -> None:
        """Act on these places of this process."""
        self._context = context
        self._metrics = ChaosMetrics(context.registry)
        self._woken = asyncio.Event()
        self._named: dict[tuple[str, str], None] = {}
        self._servicer = FaultPlaneServicer(context.clock, self._refused)
        peers = [peer for peer in range(context.committee.size) if peer != context.site]
        self._plane = FaultPlane(Actuators(seams, context.site, peers), self._changed)
        self._servicer.attach(self._plane)
        for kind in self._plane.kinds:
            # There from the start: Prometheus sees no growth in what begins with its first event.
            self._metrics.injected(kind, "applied")

    def register(self, server: grpc.aio.Server) -> None:
        """Add the servicer to a server."""
        self._servicer.register(server)

    async def run(self) -> None:
        """Let leases run out, until cancelled; do nothing while there is no fault."""
        while True:
            now_us = self._context.clock.elapsed_us()
            self._plane.expire(now_us)
            self._measure(now_us)
            due_us = self._plane.due_us()
            self._woken.clear()
            seconds = None if due_us is None else min(PERIOD_SECONDS, (due_us - now_us) / 1e6)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._woken.wait()

    def ready(self) -> bool:
        """Say yes."""
        return True

    def _measure(self, now_us: int) -> None:
        """Say how long the last fault of each kind has yet."""
        left = dict.fromkeys(self._named, 0.0)
        for one in self._plane.active():
            place = (one.fault.kind, one.fault.experiment)
            left[place] = max(left[place], (one.until_us - now_us) / 1e6)
        for (kind, experiment), seconds in left.items():
            gauge = self._metrics.lease_remaining.labels(fault=kind, experiment=experiment)
            gauge.set(max(0.0, seconds))

    def _refused(self, kind: str) -> None:
        self._metrics.injected(kind, "refused").inc()

    def _changed(self, change: Change) -> None:
        fault = change.fault
        self._woken.set()
        self._named[fault.kind, fault.experiment] = None
        active = self._metrics.fault_active.labels(fault=fault.kind, experiment=fault.experiment)
        active.inc(1 if change.active else -1)
        if change.active:
            self._metrics.injected(fault.kind, "applied").inc()
        else:
            self._metrics.rollbacks.labels(cause=change.reason).inc()
        self._context.log.warning(
            "fault_changed",
            id=fault.id,
            kind=fault.kind,
            active=change.active,
            reason=change.reason,
        )
        self._servicer.notify(change)


def build(context: Context, settings: ChaosSettings) -> ChaosService:
    """Return the fault plane of this process.

    Raises:
        LocalError: FAULT_PLANE when the process has no places at which faults can act.

    """
    del settings
    if context.seams is None:
        raise LocalError("FAULT_PLANE", "this process has no places at which faults can act")
    return ChaosService(context, context.seams)
