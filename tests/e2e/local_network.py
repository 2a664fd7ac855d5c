"""A local network of site processes under a test, with contributors that never rest."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seawall.client import AsyncClient, Chain, Limits
from seawall.domain.parameters import ConsensusParameters
from seawall.errors import OperationalError
from seawall.testbed.export import Exported, export_chain
from seawall.testbed.genesis_maker import (
    NetworkPlan,
    contributor_name,
    make_network,
)
from seawall.testbed.judging import Findings, judge
from seawall.testbed.observer import Observer, SiteView
from seawall.testbed.supervisor import Supervisor, plans_of
from seawall.testbed.tasks import WIDE, wide_task

LONG = bool(os.environ.get("SEAWALL_LONG"))
"""Set SEAWALL_LONG=1 for the long form of the kill loops."""

CONTRIBUTORS = 4
COLUMNS = 64
LOOK_SECONDS = 0.2
SETTLE_SECONDS_MAX = 60.0
CUT_MS = 200
BASE_SECONDS_MAX = 2 * SETTLE_SECONDS_MAX
"""For how long a base can be trained from: an update waits while its site is down, and versions
of the others go on. One that is refused for its age would say nothing about crashes."""

PACE = ConsensusParameters(round_delay_ms_min=30, round_delay_ms_idle=200)
PATIENCE = Limits(rpc_seconds=2.0, received_seconds=2.0, committed_seconds=4.0)


@dataclass(slots=True)
class LocalNetwork:
    """Running sites, and what their contributors were told."""

    path: Path
    chain: Chain
    supervisor: Supervisor
    observer: Observer
    acknowledged: list[str] = field(default_factory=list)
    views: tuple[SiteView, ...] = ()
    news: asyncio.Event = field(default_factory=asyncio.Event)
    heads: dict[tuple[int, str], None] = field(default_factory=dict)
    """Every tree head that any site ever named: size, then root."""

    @property
    def names(self) -> list[str]:
        """The names of the sites."""
        return [site.name for site in self.chain.genesis.sites]

    async def until(
        self, holds: Callable[[tuple[SiteView, ...]], bool], seconds: float = SETTLE_SECONDS_MAX
    ) -> None:
        """Look at the sites until something holds."""
        async with asyncio.timeout(seconds):
            while True:
                if holds(await self.look()):
                    return
                await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> tuple[SiteView, ...]:
        """Look at the sites once."""
        self.views = await self.observer.look()
        for view in self.views:
            if view.up and view.tree_size:
                self.heads[view.tree_size, view.root] = None
        return self.views

    async def level(self) -> None:
        """Wait until every site has certified what any site has now."""
        await self.until(lambda views: all(view.up for view in views))
        height = max(view.height for view in self.views)
        await self.until(lambda views: all(view.certified >= height for view in views))

    async def acknowledge(self, count: int, seconds: float = SETTLE_SECONDS_MAX) -> None:
        """Wait until this many more updates are acknowledged."""
        wanted = len(self.acknowledged) + count
        async with asyncio.timeout(seconds):
            while len(self.acknowledged) < wanted:
                self.news.clear()
                await self.news.wait()

    async def export(self) -> Mapping[str, Exported]:
        """Copy ledgers and payloads into files."""
        genesis_bytes = (self.path / "genesis.json").read_bytes()
        return await export_chain(self.observer, self.chain.genesis, genesis_bytes, self.path)


@asynccontextmanager
async def running(
    path: Path, *, sites: int = 4, consensus: ConsensusParameters = PACE
) -> AsyncIterator[LocalNetwork]:
    """Make and run a network; every process has ended when this ends."""
    plan = NetworkPlan(
        sites=sites,
        chain="test",
        contributors=CONTRIBUTORS,
        tasks=(
            wide_task(
                columns=COLUMNS,
                interval_ms=CUT_MS,
                staleness_max=round(BASE_SECONDS_MAX * 1000 / CUT_MS),
            ),
        ),
        consensus=consensus,
    )
    made = make_network(path, plan)
    async with AsyncExitStack() as stack:
        supervisor = await stack.enter_async_context(
            Supervisor(made.directory, made.origin, plans_of(made.directory, made.genesis))
        )
        observer = await stack.enter_async_context(Observer(made.genesis))
        chain = Chain.read(made.directory.genesis)
        network = LocalNetwork(path, chain, supervisor, observer)
        await network.until(lambda views: all(view.up and view.certified for view in views))
        yield network


@asynccontextmanager
async def contributing(network: LocalNetwork, seed: int) -> AsyncIterator[None]:
    """Let contributors push updates one after the other, each until it is acknowledged."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for index in range(CONTRIBUTORS):
            group.create_task(_contribute(network, index, seed, stop))
        try:
            yield
        finally:
            stop.set()


def client_of(network: LocalNetwork, index: int) -> AsyncClient:
    """Return the client of one contributor, not entered yet."""
    return AsyncClient(
        [network.names[index % len(network.names)]],
        task=WIDE,
        genesis=network.chain,
        key=network.path / "contributors" / f"{contributor_name(index)}.key",
        limits=PATIENCE,
    )


def delta_of(generator: np.random.Generator) -> np.ndarray:
    """Return a small random delta."""
    return generator.integers(1, 1000, COLUMNS).astype(np.int32)


async def _contribute(network: LocalNetwork, index: int, seed: int, stop: asyncio.Event) -> None:
    generator = np.random.default_rng([seed, index])
    async with client_of(network, index) as sdk:
        while not stop.is_set():
            try:
                base = await sdk.pull()
                receipt = await sdk.push(delta_of(generator), base, 1)
                await receipt.wait("committed", SETTLE_SECONDS_MAX)
            except OperationalError:
                # Every site may be away for a moment; nothing was acknowledged.
                continue
            network.acknowledged.append(receipt.update_id.hex())
            network.news.set()


async def findings(network: LocalNetwork, acknowledged: Iterable[str]) -> Findings:
    """Return what is wrong with the ledgers, once all sites are level."""
    await network.level()
    ledgers = await network.export()
    return await judge(
        network.observer,
        network.chain.data,
        dict(enumerate(network.names)),
        acknowledged,
        ledgers,
        network.heads,
    )


def choices(seed: int) -> random.Random:
    """Return the source of a test's choices."""
    return random.Random(seed)
