"""Running sites that faults are done to, and what they were seen to say."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.faults.namespaces import Namespaces, namespaces
from seawall.api.v1 import fault_plane_pb2_grpc
from seawall.client import Chain
from seawall.domain.parameters import ConsensusParameters
from seawall.runtime.channels import peer_channel
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.export import Exported, export_chain
from seawall.testbed.genesis_maker import NetworkPlan, make_network
from seawall.testbed.observer import Observer, SiteView
from seawall.testbed.supervisor import Supervisor, plans_of
from seawall.testbed.tasks import wide_task

SITES = 4
CONTRIBUTORS = 8
COLUMNS = 64
CUT_MS = 1_000
STALENESS_MAX = 10_000
"""Versions go on as in service, and no base of a run is ever too old."""

PORT = 24_000
"""Base port of the first site where each has an address of its own."""

LOOK_SECONDS = 0.2
START_SECONDS_MAX = 90.0
PACE = ConsensusParameters(round_delay_ms_min=30, round_delay_ms_idle=200)


@dataclass(slots=True)
class FaultNetwork:
    """Running sites. `heads` are all tree heads that any of them ever named: size, then root."""

    directory: NetworkDirectory
    chain: Chain
    supervisor: Supervisor
    observer: Observer
    namespaces: Namespaces | None
    views: tuple[SiteView, ...] = ()
    heads: dict[tuple[int, str], int] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the sites."""
        return tuple(site.name for site in self.chain.genesis.sites)

    @asynccontextmanager
    async def fault_plane(self, site: int) -> AsyncIterator[Any]:
        """Have a stub of a site's fault plane, called under the site's own certificate."""
        keys = self.directory.keys(self.names[site])
        key, certificate = (keys / "tls.key").read_bytes(), (keys / "tls.crt").read_bytes()
        async with peer_channel(self.chain.genesis.sites[site], key, certificate) as channel:
            yield fault_plane_pb2_grpc.FaultPlaneServiceStub(channel)

    def peer_port(self, site: int) -> int:
        """Return the port at which a site answers other sites."""
        return int(self.chain.genesis.sites[site].peer_address.rpartition(":")[2])

    async def look(self) -> tuple[SiteView, ...]:
        """Look at every site once, and remember the heads of their trees."""
        self.views = await self.observer.look()
        for view in self.views:
            if view.up and view.tree_size:
                self.heads.setdefault((view.tree_size, view.root), view.site)
        return self.views

    async def until(
        self, holds: Callable[[tuple[SiteView, ...]], bool], seconds: float = START_SECONDS_MAX
    ) -> None:
        """Look at the sites until something holds.

        Raises:
            TimeoutError: it does not.

        """
        async with asyncio.timeout(seconds):
            while True:
                if holds(await self.look()):
                    return
                await asyncio.sleep(LOOK_SECONDS)

    async def level(
        self, seconds: float = START_SECONDS_MAX, *, without: int | None = None
    ) -> None:
        """Wait until every site has certified whatever any has now; one may be left out."""

        def asked(views: tuple[SiteView, ...]) -> list[SiteView]:
            return [view for view in views if view.site != without]

        await self.until(lambda views: all(view.up for view in asked(views)), seconds)
        height = max(view.height for view in asked(self.views))
        await self.until(
            lambda views: all(view.certified >= height for view in asked(views)), seconds
        )

    async def export(self, home: Path) -> Mapping[str, Exported]:
        """Copy every site's ledger into files."""
        genesis_bytes = self.directory.genesis.read_bytes()
        return await export_chain(self.observer, self.chain.genesis, genesis_bytes, home)

    def logged(self, site: str, event: str) -> int:
        """Return how often a site has logged an event."""
        return self.directory.log(site).read_text("utf-8").count(f'"event":"{event}"')


@asynccontextmanager
async def running(
    path: Path,
    *,
    apart: bool = False,
    sites: int = SITES,
    settings: Mapping[str, Sequence[str]] | None = None,
    liar: int | None = None,
) -> AsyncIterator[FaultNetwork]:
    """Make and run a network; with `apart` each site has a network namespace.

    `settings` are further lines of single sites' settings files, by name of the site. A `liar`
    need not be ready: others may end their links with it as fast as it opens them.
    """
    async with AsyncExitStack() as stack:
        separate = await stack.enter_async_context(namespaces(sites)) if apart else None
        plan = NetworkPlan(
            sites=sites,
            chain="faults",
            contributors=CONTRIBUTORS,
            tasks=(wide_task(columns=COLUMNS, interval_ms=CUT_MS, staleness_max=STALENESS_MAX),),
            consensus=PACE,
            hosts=() if separate is None else separate.hosts,
            port=None if separate is None else PORT,
        )
        made = make_network(path, plan)
        for name, lines in (settings or {}).items():
            with made.directory.settings(name).open("a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
        plans = plans_of(made.directory, made.genesis)
        if separate is not None:
            plans = tuple(replace(one, prefix=separate.prefix(one.site)) for one in plans)
        supervisor = await stack.enter_async_context(Supervisor(made.directory, made.origin, plans))
        observer = await stack.enter_async_context(Observer(made.genesis))
        chain = Chain.read(made.directory.genesis)
        network = FaultNetwork(made.directory, chain, supervisor, observer, separate)
        asked = [site for site in range(sites) if site != liar]
        await network.until(
            lambda views: all(
                views[site].up
                and views[site].certified
                and not [one for one in asked if one not in (site, *views[site].connected)]
                for site in asked
            )
        )
        yield network
