"""The actuator that ends processes of a local network and keeps them down."""

import asyncio
import shutil
import signal
import time

from seawall.chaos.runner.injection import Injection
from seawall.chaos.runner.planning import WIPE
from seawall.errors import OperationalError
from seawall.testbed import holds
from seawall.testbed.chaos.sites import LocalSites
from seawall.testbed.processes import send, wait_gone

GONE_SECONDS_MAX = 5.0


class ProcessActuator:
    """Implements `chaos.runner.protocols.Actuator`; works with any supervisor of the directory.

    SIGKILL ends a process, not the machine: what it wrote and did not sync is still there when it
    starts again, so `torn` is `intact` here.
    """

    def __init__(self, sites: LocalSites) -> None:
        """Act on these sites."""
        self._sites = sites

    async def apply(self, injection: Injection, lease_seconds: int) -> None:
        """End all processes of a site, and keep them down for as long as the lease lasts."""
        await asyncio.to_thread(self._apply, injection, lease_seconds)

    async def renew(self, injection: Injection, lease_seconds: int) -> None:
        """Keep them down for longer."""
        name = self._sites.names[injection.site]
        place = holds.place_of(self._sites.directory, name, injection.id)
        if place.name not in holds.holds_of(self._sites.directory, name, time.time()):
            raise OperationalError("CHAOS_HOLD", "the site is not kept down any more")
        self._hold(injection, lease_seconds)

    async def revert(self, injection: Injection) -> None:
        """Let the supervisor start them again."""
        name = self._sites.names[injection.site]
        holds.release(self._sites.directory, name, injection.id)

    async def active(self, site: int) -> tuple[str, ...]:
        """Return the names of what keeps a site down."""
        return holds.holds_of(self._sites.directory, self._sites.names[site], time.time())

    def _apply(self, injection: Injection, lease_seconds: int) -> None:
        self._hold(injection, lease_seconds)
        processes = self._sites.processes(injection.site)
        for process in processes:
            send(process, signal.SIGKILL)
        if wait_gone(processes, seconds=GONE_SECONDS_MAX):
            raise OperationalError("SITE_STOP", "a process of the site could not be ended")
        if injection.kind == WIPE:
            data = self._sites.directory.data(self._sites.names[injection.site])
            shutil.rmtree(data, ignore_errors=True)

    def _hold(self, injection: Injection, lease_seconds: int) -> None:
        name = self._sites.names[injection.site]
        holds.hold(self._sites.directory, name, injection.id, time.time() + lease_seconds)
