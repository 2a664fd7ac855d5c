"""Where a client dials each role of a site."""

from dataclasses import replace

import grpc.aio
import msgspec
import pytest

from seawall.client.chain import Chain
from seawall.client.links import Links
from seawall.domain.genesis import GenesisSite, RoleAddress
from seawall.errors import LocalError
from seawall.formats import genesis as genesis_format
from tests.unit.client.town_log import CHAIN

LEDGER, AGGREGATION = "127.0.0.1:4000", "127.0.0.1:4001"


def split_chain() -> Chain:
    """Return the town's chain, with two roles of its first site elsewhere."""
    first, *others = CHAIN.genesis.sites
    addresses = (
        RoleAddress("aggregation", "127.0.0.1:5001", AGGREGATION),
        RoleAddress("ledger", "127.0.0.1:5000", LEDGER),
    )
    split = msgspec.structs.replace(first, role_addresses=addresses)
    return Chain(genesis_format.encode(replace(CHAIN.genesis, sites=(split, *others))))


class Switchboard:
    """Opens channels that nobody uses, and remembers where they lead."""

    def __init__(self) -> None:
        self.dialled: list[tuple[str, str]] = []

    def open(self, site: GenesisSite, address: str) -> grpc.aio.Channel:
        """Open a channel."""
        self.dialled.append((site.name, address))
        return grpc.aio.insecure_channel(address)


async def test_each_role_is_dialled_where_genesis_says() -> None:
    board, chain = Switchboard(), split_chain()
    links = Links(chain, others=True, open_channel=board.open)
    first, *others = chain.genesis.sites
    assert board.dialled == [
        (first.name, first.client_address),
        (first.name, AGGREGATION),
        (first.name, LEDGER),
        *[(site.name, site.client_address) for site in others],
    ]
    assert list(links.all[0].channels) == [first.client_address, AGGREGATION, LEDGER]
    await links.close()


async def test_a_site_that_is_reached_elsewhere_is_there_with_every_role() -> None:
    board, chain = Switchboard(), split_chain()
    name = chain.genesis.sites[0].name
    links = Links(chain, f"{name}=gateway:443", others=False, open_channel=board.open)
    assert board.dialled == [(name, "gateway:443")]
    await links.close()


def test_a_site_is_known_by_each_of_its_client_addresses() -> None:
    chain = split_chain()
    assert [chain.site(one) for one in (LEDGER, AGGREGATION)] == [0, 0]
    assert chain.site(chain.genesis.sites[1].client_address) == 1
    with pytest.raises(LocalError, match="CLIENT_SITE"):
        chain.site("127.0.0.1:5000")
