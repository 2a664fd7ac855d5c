"""Looks at the sites of a network from outside, over their client ports."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

import grpc
import grpc.aio
import msgspec

from seawall.api.v1 import (
    consensus_pb2,
    consensus_pb2_grpc,
    ledger_pb2,
    ledger_pb2_grpc,
)
from seawall.domain.genesis import Genesis
from seawall.runtime.channels import client_channel
from seawall.runtime.health import is_serving
from seawall.runtime.service import CONSENSUS, LEDGER, ROLES
from seawall.runtime.status import error_from

PROBE_SECONDS_MAX: Final = 2.0


class SiteView(msgspec.Struct, frozen=True, rename="camel"):
    """What one site says about itself; `error` is a code when it does not answer.

    `height` is its last commit, `certified` the last one under a checkpoint of quorum stake;
    `root` (hex) is that of its tree of `tree_size` entries; `versions` are the usable heads of
    the tasks, in the order of genesis; `connected` are the sites with a working link, `heard` how
    many messages have arrived from each. `silent` are its roles in other processes than ledger and
    consensus that are not ready, or not there.
    """

    site: int
    name: str
    error: str = ""
    round: int = 0
    height: int = 0
    certified: int = 0
    tree_size: int = 0
    root: str = ""
    updates: int = 0
    versions: tuple[int, ...] = ()
    connected: tuple[int, ...] = ()
    heard: tuple[int, ...] = ()
    recovering: bool = False
    silent: tuple[str, ...] = ()

    @property
    def up(self) -> bool:
        """Whether the site answers."""
        return not self.error


class Observer:
    """Channels to all sites of a network, opened once; an asynchronous context manager."""

    def __init__(self, genesis: Genesis) -> None:
        """Dial nobody yet."""
        self._genesis = genesis
        self._channels: dict[tuple[int, str], grpc.aio.Channel] = {}

    async def __aenter__(self) -> Self:
        """Open the channels; sites may come and go."""
        for index, site in enumerate(self._genesis.sites):
            for role in ROLES:
                address = site.client_address_of(role)
                if (index, address) not in self._channels:
                    self._channels[index, address] = client_channel(site, address=address)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the channels."""
        for channel in self._channels.values():
            await channel.close()

    def channel(self, site: int, role: str) -> grpc.aio.Channel:
        """Return the channel to the client port of a site's role."""
        return self._channels[site, self._genesis.sites[site].client_address_of(role)]

    async def look(self) -> tuple[SiteView, ...]:
        """Return what every site says now; waits for the slowest, at most two seconds."""
        views = [self._ask(index) for index in range(len(self._genesis.sites))]
        return tuple(await asyncio.gather(*views))

    async def _ask(self, site: int) -> SiteView:
        name = self._genesis.sites[site].name
        consensus: Any = consensus_pb2_grpc.ConsensusServiceStub(self.channel(site, CONSENSUS))
        ledger: Any = ledger_pb2_grpc.LedgerServiceStub(self.channel(site, LEDGER))
        try:
            async with asyncio.timeout(PROBE_SECONDS_MAX):
                replica, log, silent = await asyncio.gather(
                    consensus.ConsensusStatus(consensus_pb2.ConsensusStatusRequest()),
                    ledger.LedgerStatus(ledger_pb2.LedgerStatusRequest()),
                    self._silent(site),
                )
        except grpc.aio.AioRpcError as failure:
            return SiteView(site=site, name=name, error=error_from(failure).code)
        except TimeoutError:
            return SiteView(site=site, name=name, error="RPC_DEADLINE")
        return SiteView(
            site=site,
            name=name,
            round=replica.round,
            height=log.height,
            certified=log.certified_height,
            tree_size=log.tree_size,
            root=log.root.hex(),
            updates=log.updates,
            versions=tuple(log.versions),
            connected=tuple(replica.connected),
            heard=tuple(replica.heard),
            recovering=replica.recovering,
            silent=silent,
        )

    async def _silent(self, site: int) -> tuple[str, ...]:
        """Return the roles that are not ready, but for those that are asked for more than that."""
        asked = (self.channel(site, CONSENSUS), self.channel(site, LEDGER))
        roles = [role for role in ROLES if self.channel(site, role) not in asked]
        seconds = PROBE_SECONDS_MAX / 2
        questions = [is_serving(self.channel(site, role), role, seconds=seconds) for role in roles]
        answers = await asyncio.gather(*questions)
        return tuple(role for role, there in zip(roles, answers, strict=True) if not there)


def forks(views: Mapping[int, SiteView] | tuple[SiteView, ...]) -> tuple[tuple[str, str], ...]:
    """Return the pairs of sites that say trees of one size have two roots."""
    sites = tuple(views.values()) if isinstance(views, Mapping) else views
    answering = [view for view in sites if view.up and view.tree_size]
    return tuple(
        (first.name, second.name)
        for at, first in enumerate(answering)
        for second in answering[at + 1 :]
        if first.tree_size == second.tree_size and first.root != second.root
    )
