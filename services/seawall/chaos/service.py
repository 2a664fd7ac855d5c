"""The fault plane of a process; built only where `chaos.enabled` is set."""

import asyncio
from typing import Final

import grpc.aio

from seawall.chaos.config import ChaosSettings
from seawall.chaos.plane import Change, CrashFault, FaultPlane
from seawall.chaos.servicer import FaultPlaneServicer
from seawall.errors import LocalError
from seawall.runtime.crash import ArmedCrashPoints
from seawall.runtime.service import CHAOS, Context
from seawall.telemetry.metrics import ChaosMetrics

PERIOD_SECONDS: Final = 0.5


class ChaosService:
    """Implements `seawall.runtime.service.Service`."""

    name = CHAOS

    def __init__(self, context: Context, crash_points: ArmedCrashPoints) -> None:
        """Act on the crash points of this process, and on the links of its replica."""
        self._context = context
        self._metrics = ChaosMetrics(context.registry)
        self._servicer = FaultPlaneServicer(context.clock)
        everyone = range(context.committee.size)
        self._plane = FaultPlane(
            crash_points,
            self._changed,
            cuts=context.cuts,
            peers=[peer for peer in everyone if peer != context.site],
        )
        self._servicer.attach(self._plane)

    def register(self, server: grpc.aio.Server) -> None:
        """Add the servicer to a server."""
        self._servicer.register(server)

    async def run(self) -> None:
        """Let leases run out, until cancelled."""
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            self._plane.expire(self._context.clock.elapsed_us())

    def ready(self) -> bool:
        """Say yes."""
        return True

    def _changed(self, change: Change) -> None:
        step = 1 if change.active else -1
        kind = "crash" if isinstance(change.fault, CrashFault) else "partition"
        self._metrics.fault_active.labels(fault=kind).inc(step)
        if change.active:
            injected = self._metrics.injections
            injected.labels(fault=kind, actuator="process", outcome="applied").inc()
        else:
            self._metrics.rollbacks.labels(cause=change.reason).inc()
        self._context.log.warning(
            "fault_changed", id=change.fault.id, active=change.active, reason=change.reason
        )
        self._servicer.notify(change)


def build(context: Context, settings: ChaosSettings) -> ChaosService:
    """Return the fault plane of this process.

    Raises:
        LocalError: FAULT_PLANE when the process has no crash points that can be armed.

    """
    del settings
    if not isinstance(context.crash_points, ArmedCrashPoints):
        raise LocalError("FAULT_PLANE", "this process cannot arm crash points")
    return ChaosService(context, context.crash_points)
