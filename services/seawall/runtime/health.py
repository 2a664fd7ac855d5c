"""Health of a process: `grpc.health.v1`, on the serving ports and on a plaintext port.

Names: one per role; `readiness` when all of them are ready; `liveness` while the event loop turns
and the disk takes writes. Liveness never depends on other sites: restarting a replica because its
neighbours are unreachable would make a partition worse.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio

from seawall.runtime.service import Service
from seawall.telemetry.logs import Log

PERIOD_SECONDS: Final = 1.0
PROBE_EVERY: Final = 5
"""Periods between two writes to the disk."""

LIVENESS: Final = "liveness"
READINESS: Final = "readiness"

_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    """Watches the services of a process and answers for them."""

    def __init__(self, services: Sequence[Service], data_dir: Path, log: Log) -> None:
        """Start with everything not serving but the event loop."""
        self._services = tuple(services)
        self._probe = data_dir / "probe"
        self._log = log
        self._servicer = aio.HealthServicer()
        self._last: dict[str, bool] = {}

    def register(self, server: grpc.aio.Server) -> None:
        """Add the health service to a server."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def run(self) -> None:
        """Keep the answers up to date until cancelled."""
        turn = 0
        alive = True
        while True:
            if turn % PROBE_EVERY == 0:
                alive = self._disk_takes_writes()
            await self._report(alive=alive)
            turn += 1
            await asyncio.sleep(PERIOD_SECONDS)

    async def stop(self) -> None:
        """Answer NOT_SERVING from now on."""
        await self._servicer.enter_graceful_shutdown()

    async def _report(self, *, alive: bool) -> None:
        states = {service.name: service.ready() for service in self._services}
        states[READINESS] = all(states.values())
        states[LIVENESS] = alive
        states[""] = states[READINESS]
        for name, state in states.items():
            if self._last.get(name) == state:
                continue
            self._last[name] = state
            await self._servicer.set(name, _SERVING if state else _NOT_SERVING)
            if name:
                self._log.info("health_changed", name=name, serving=state)

    def _disk_takes_writes(self) -> bool:
        try:
            descriptor = os.open(self._probe, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(descriptor, b"seawall\n", 0)
            finally:
                os.close(descriptor)
        except OSError as fault:
            self._log.warning("disk_refuses_writes", reason=fault.strerror)
            return False
        return True


async def is_serving(channel: grpc.aio.Channel, name: str, *, seconds: float) -> bool:
    """Say whether a process answers that this service of it is serving, within a time."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=seconds)
    except grpc.aio.AioRpcError:
        return False
    return bool(answer.status == _SERVING)
