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
from seawall.runtime.status import error_from

PROBE_SECONDS_MAX: Final = 2.0


class SiteView(msgspec.Struct, frozen=True, rename="camel"):
    """What one site says about itself; `error` is a code when it does not answer.

    `height` is its last commit, `certified` the last one under a checkpoint of quorum stake;
    `root` (hex) is that of its tree of `tree_size` entries; `versions` are the usable heads of
    the tasks, in the order of genesis; `connected` are the sites with a working link.
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
    recovering: bool = False

    @property
    def up(self) -> bool:
        """Whether the site answers."""
        return not self.error


class Observer:
    """Channels to all sites of a network, opened once; an asynchronous context manager."""

    def __init__(self, genesis: Genesis) -> None:
        """Dial nobody yet."""
        self._genesis = genesis
        self._channels: list[grpc.aio.Channel] = []

    async def __aenter__(self) -> Self:
        """Open the channels; sites may come and go."""
        self._channels = [client_channel(site) for site in self._genesis.sites]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the channels."""
        for channel in self._channels:
            await channel.close()

    def channel(self, site: int) -> grpc.aio.Channel:
        """Return the channel to a site's client port."""
        return self._channels[site]

    async def look(self) -> tuple[SiteView, ...]:
        """Return what every site says now; waits for the slowest, at most two seconds."""
        views = [self._ask(index) for index in range(len(self._channels))]
        return tuple(await asyncio.gather(*views))

    async def _ask(self, site: int) -> SiteView:
        name = self._genesis.sites[site].name
        channel = self._channels[site]
        consensus: Any = consensus_pb2_grpc.ConsensusServiceStub(channel)
        ledger: Any = ledger_pb2_grpc.LedgerServiceStub(channel)
        try:
            async with asyncio.timeout(PROBE_SECONDS_MAX):
                replica, log = await asyncio.gather(
                    consensus.ConsensusStatus(consensus_pb2.ConsensusStatusRequest()),
                    ledger.LedgerStatus(ledger_pb2.LedgerStatusRequest()),
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
            recovering=replica.recovering,
        )


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
