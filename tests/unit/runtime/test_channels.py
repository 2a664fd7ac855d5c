"""Which address each role of each site is dialled at, seen by those who listen there."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import grpc.aio
import pytest

from seawall.crypto.signing import SigningKey
from seawall.domain.genesis import Genesis, GenesisSite, RoleAddress
from seawall.domain.parameters import AdmissionParameters, ConsensusParameters
from seawall.errors import LocalError
from seawall.runtime.certificates import make_certificate
from seawall.runtime.channels import SiteChannels
from seawall.runtime.local import LocalServer

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
KEY_PEM, CERTIFICATE_PEM = make_certificate("site-0", ("127.0.0.1",), not_before=START)


class Door:
    """A port that notes that somebody came, and turns them away."""

    def __init__(self) -> None:
        self.came = asyncio.Event()
        self.address = ""

    async def take(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Turn somebody away."""
        self.came.set()
        writer.close()


@asynccontextmanager
async def doors(count: int) -> AsyncIterator[list[Door]]:
    found = [Door() for _ in range(count)]
    async with AsyncExitStack() as stack:
        for door in found:
            server = await asyncio.start_server(door.take, "127.0.0.1", 0)
            await stack.enter_async_context(server)
            door.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield found


async def leads_to(channel: grpc.aio.Channel, door: Door, others: Sequence[Door]) -> None:
    for other in others:
        other.came.clear()
    channel.get_state(try_to_connect=True)
    async with asyncio.timeout(5):
        await door.came.wait()
    assert [other.came.is_set() for other in others if other is not door] == [False] * (
        len(others) - 1
    )


def site(name: str, own: Door, **roles: Door) -> GenesisSite:
    key = SigningKey.from_seed(name.encode().ljust(32)).public
    return GenesisSite(
        name=name,
        zone="local",
        stake=1,
        consensus_key=key,
        cosigner_name=name,
        cosigner_key=key,
        tls_certificate_pem=CERTIFICATE_PEM.decode(),
        peer_address=own.address,
        client_address="127.0.0.1:1",
        role_addresses=tuple(
            RoleAddress(role, door.address, "127.0.0.1:1") for role, door in sorted(roles.items())
        ),
    )


def channels_of(
    sites: Sequence[GenesisSite],
    local: dict[str, LocalServer] | None = None,
    addresses: dict[str, str] | None = None,
) -> SiteChannels:
    genesis = Genesis(
        chain="test",
        sites=tuple(sites),
        consensus=ConsensusParameters(),
        admission=AdmissionParameters(),
        log_key=bytes(32),
        root_keys=(),
        root_threshold=1,
        tasks=(),
        contributors=(),
    )
    return SiteChannels(genesis, 0, (KEY_PEM, CERTIFICATE_PEM), local or {}, addresses=addresses)


async def test_each_role_of_another_site_is_dialled_where_genesis_says() -> None:
    async with doors(4) as every:
        own, base, ledger, consensus = every
        others = every[1:]
        member = site("site-1", base, ledger=ledger, consensus=consensus)
        channels = channels_of([site("site-0", own), member])
        await leads_to(channels.to("integrity", 1), base, others)
        await leads_to(channels.to("ledger", 1), ledger, others)
        await leads_to(channels.to("consensus", 1), consensus, others)
        await channels.close()


async def test_roles_at_one_address_share_a_channel_except_consensus() -> None:
    async with doors(2) as (base, apart):
        plain = site("site-1", base)
        split = site("site-2", base, ledger=apart, aggregation=apart)
        channels = channels_of([site("site-0", base), plain, split])
        for index in (1, 2):
            assert channels.to("ledger", index) is channels.to("aggregation", index)
            assert channels.to("integrity", index) is channels.to("ingestion", index)
            assert channels.to("integrity", index) is not channels.to("consensus", index)
        assert channels.to("ledger", 1) is channels.to("integrity", 1)
        assert channels.to("ledger", 2) is not channels.to("integrity", 2)
        await channels.close()


async def test_the_own_site_s_roles_are_here_or_configured_or_in_genesis() -> None:
    async with doors(4) as every, LocalServer() as server:
        base, ledger, consensus, configured = every
        member = site("site-0", base, ledger=ledger, consensus=consensus, ingestion=ledger)
        channels = channels_of([member], {"ingestion": server}, {"consensus": configured.address})
        await leads_to(channels.to("ledger"), ledger, every)
        await leads_to(channels.to("consensus"), configured, every)
        await leads_to(channels.to("integrity", 0), base, every)
        assert isinstance(channels.to("ingestion"), type(server.channel()))
        with pytest.raises(LocalError, match="RPC_SITE"):
            channels.to("ledger", 1)
        await channels.close()
