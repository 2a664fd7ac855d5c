"""Sites of a local network as the runner of an experiment reaches them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import grpc.aio

from seawall.api.v1 import fault_plane_pb2_grpc
from seawall.client import Chain
from seawall.errors import LocalError
from seawall.runtime.channels import peer_channel
from seawall.runtime.service import CONSENSUS
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.processes import ProcessRecord, is_running, read_run


@dataclass(slots=True)
class LocalSites:
    """A local network: where it lies, and its chain; an asynchronous context manager.

    Channels to fault planes are opened once, and closed at its end.
    """

    directory: NetworkDirectory
    chain: Chain
    _channels: dict[int, grpc.aio.Channel] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        channels, self._channels = tuple(self._channels.values()), {}
        for channel in channels:
            await channel.close()

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the sites, by index."""
        return tuple([site.name for site in self.chain.genesis.sites])

    def processes(self, site: int) -> tuple[ProcessRecord, ...]:
        """Return the processes of a site that run now."""
        record = read_run(self.directory.run)
        every = () if record is None else record.processes
        return tuple([one for one in every if one.site == site and is_running(one)])

    def require_running(self) -> None:
        """Refuse a network that does not run.

        Raises:
            LocalError: CHAOS_SITES.

        """
        record = read_run(self.directory.run)
        if record is None or not is_running(record.supervisor):
            hint = f"nothing runs in {self.directory.path}: start it with seawall up --chaos"
            raise LocalError("CHAOS_SITES", hint, field="--dir")

    @asynccontextmanager
    async def fault_plane(self, site: int) -> AsyncIterator[Any]:
        """Have a stub of a site's fault plane, called under the site's own certificate."""
        if site not in self._channels:
            self._channels[site] = self._dial(site)
        yield fault_plane_pb2_grpc.FaultPlaneServiceStub(self._channels[site])

    def _dial(self, site: int) -> grpc.aio.Channel:
        member = self.chain.genesis.sites[site]
        keys = self.directory.keys(member.name)
        key, certificate = (keys / "tls.key").read_bytes(), (keys / "tls.crt").read_bytes()
        return peer_channel(member, key, certificate, address=member.peer_address_of(CONSENSUS))
