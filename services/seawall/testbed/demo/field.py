"""What attacks work with: the sites, keys, the current version, and what is to be checked later."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from seawall.client import AsyncClient, Chain
from seawall.crypto.signing import SigningKey
from seawall.domain.genesis import Genesis
from seawall.runtime.keys import read_key
from seawall.testbed.demo.outcomes import Outcome
from seawall.testbed.demo.settings import DemoSettings
from seawall.testbed.demo.workers import Workers
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.observer import Observer, SiteView
from seawall.testbed.supervisor import Supervisor

Entries = Mapping[str, Sequence[bytes]]
"""Exported entries by the name of their site."""


@dataclass(slots=True, kw_only=True)
class Field:
    """The running demo, as attacks see it.

    Attributes:
        settings: what the demo is made of.
        directory: where it lives.
        chain: the chain, as contributors know it.
        supervisor: keeps the sites.
        observer: looks at them.
        workers: the contributors' process.
        later: checks of the exported ledgers, one for each line of the table.
        refused: update ids that must be in no ledger.
        views: what the sites said last.
        mallory: held by whoever sends with Mallory's key; a key has one sender at a time.
        down: held while a site is down: one at a time is what four sites bear.
        taken: one lock for each site, held by the attack that is on it.

    """

    settings: DemoSettings
    directory: NetworkDirectory
    chain: Chain
    supervisor: Supervisor
    observer: Observer
    workers: Workers
    later: list[Callable[[Entries], Outcome]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    views: tuple[SiteView, ...] = ()
    mallory: asyncio.Lock = field(default_factory=asyncio.Lock)
    down: asyncio.Lock = field(default_factory=asyncio.Lock)
    taken: dict[int, asyncio.Lock] = field(default_factory=dict)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def genesis(self) -> Genesis:
        """The genesis of the chain."""
        return self.chain.genesis

    @property
    def version(self) -> int:
        """The newest version of the digits task that any site knows."""
        return max((view.versions[0] for view in self.views if view.versions), default=0)

    async def look(self) -> None:
        """Look at all sites, and wake whoever waits for a change."""
        views = await self.observer.look()
        async with self._news:
            self.views = views
            self._news.notify_all()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds; it is asked after each look at the sites."""
        async with self._news:
            await self._news.wait_for(holds)

    async def reached(self, version: int) -> None:
        """Wait for a version of the digits task."""
        await self.until(lambda: self.version >= version)

    @asynccontextmanager
    async def attacking(self, *sites: int) -> AsyncIterator[None]:
        """Wait until these sites are up and nobody else attacks them; keep others away."""
        async with AsyncExitStack() as stack:
            for site in sorted(sites):
                lock = self.taken.setdefault(site, asyncio.Lock())
                await stack.enter_async_context(lock)
            await self.until(lambda: all(self.is_level(site) for site in sites))
            yield

    def is_level(self, site: int, height: int = 1) -> bool:
        """Say whether a site answers, takes part, and has certified this height."""
        view = self.views[site]
        return view.up and not view.recovering and view.certified >= height

    def key(self, name: str) -> SigningKey:
        """Return the key of a contributor of this demo."""
        return read_key(self.directory.contributor_key(name))

    def client(self, name: str, task: str, site: int) -> AsyncClient:
        """Return a client with somebody's key that prefers one site, not entered yet."""
        return AsyncClient(
            [self.genesis.sites[site].name],
            task=task,
            genesis=self.chain,
            key=self.directory.contributor_key(name),
        )
