"""Whole sites, all roles, real sockets, in one event loop: what clients are tried on."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from seawall.cli.compose import roles_of
from seawall.client import AsyncClient, Limits
from seawall.config import PORTS_PER_SITE, SiteConfig, load
from seawall.domain.parameters import ConsensusParameters
from seawall.runtime.serve import Ports, serve
from seawall.telemetry.logs import open_log
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.genesis_maker import NetworkPlan, make_network
from seawall.testbed.tasks import digits_task, wide_task

SITES_MAX = 4
PORTS_FROM = 10_000
PORT_RANGES = 600
"""Each test process has a range of its own, so that several may run side by side."""

FAST = ConsensusParameters(round_delay_ms_min=10, round_delay_ms_idle=100)
QUICK = Limits(received_seconds=2, committed_seconds=4, backoff_seconds_max=1)


@dataclass
class RunningSite:
    """One site at work."""

    config: SiteConfig
    stop: asyncio.Event
    task: asyncio.Task[None]


class Network:
    """Four sites under one directory; each may be stopped and started."""

    def __init__(self, path: Path, group: asyncio.TaskGroup) -> None:
        self.directory = NetworkDirectory(path)
        self.running: dict[int, RunningSite] = {}
        self._group = group

    async def start(self, site: int) -> None:
        """Start a site and return when its ports are open."""
        config = load(self.directory.settings(f"site-{site}"))
        started: asyncio.Future[Ports] = asyncio.get_running_loop().create_future()
        stop = asyncio.Event()
        log = open_log("warning")
        work = serve(config, roles_of(config), log=log, stop=stop, on_started=started.set_result)
        task = self._group.create_task(work, name=f"site-{site}")
        self.running[site] = RunningSite(config, stop, task)
        await started

    async def stop(self, site: int) -> None:
        """Stop a site in good order."""
        running = self.running.pop(site)
        running.stop.set()
        await running.task

    def client(
        self, contributor: str | None, task: str = "digits", **members: object
    ) -> AsyncClient:
        """Return a client of one contributor, or one that only pulls."""
        key = None if contributor is None else self.directory.contributor_key(contributor)
        arguments = {"limits": QUICK, **members}
        return AsyncClient(
            task=task,
            genesis=self.directory.genesis,
            key=key,
            **arguments,  # type: ignore[arg-type]  # varied by tests
        )


@asynccontextmanager
async def network(path: Path, sites: int = SITES_MAX) -> AsyncIterator[Network]:
    """Make a network of sites with the digits task and a wide one, and run it."""
    plan = NetworkPlan(
        sites=sites,
        port=PORTS_FROM + os.getpid() % PORT_RANGES * PORTS_PER_SITE * SITES_MAX,
        contributors=4,
        consensus=FAST,
        tasks=(digits_task(1, contributors=4, interval_ms=200), wide_task(interval_ms=200)),
    )
    make_network(path, plan)
    async with asyncio.timeout(90), asyncio.TaskGroup() as group:
        running = Network(path, group)
        for site in range(sites):
            await running.start(site)
        yield running
        for site in list(running.running):
            await running.stop(site)
