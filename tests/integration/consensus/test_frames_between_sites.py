"""Links without gRPC around them: between sites that offer them, and with a way back."""

import datetime as dt
import ssl
from pathlib import Path

import pytest

from seawall.consensus.frames import dial
from seawall.errors import OperationalError
from seawall.runtime.certificates import make_certificate
from seawall.runtime.tls import frame_dialling_tls, server_name
from tests.integration.consensus.cluster import Cluster, cluster
from tests.integration.sites import TestSites, make_sites

FRAMES = {"frame_address": "127.0.0.1:0"}


@pytest.fixture
def sites(tmp_path: Path) -> TestSites:
    """Make a chain of four sites."""
    return make_sites(tmp_path)


def transports(group: Cluster, site: int) -> dict[int, str]:
    """Return what carries each link of a site."""
    links = group.running[site].running.links
    return {peer: link.transport for peer, link in links.items()}


async def test_sites_that_take_frames_are_linked_by_them(sites: TestSites) -> None:
    async with cluster(sites) as group:
        await group.start(0, 1, 2, 3, consensus=FRAMES)
        await group.until_commits(10)
        await group.until_certified(5)
        for site in range(4):
            assert set(transports(group, site).values()) == {"frames"}
        # It comes back on another port, and is asked for it.
        await group.stop(1)
        await group.until_commits(len(group.memories[0].commits) + 5, (0, 2, 3))
        await group.start(1, consensus=FRAMES)
        await group.until_commits(len(group.memories[0].commits) + 10)
        assert set(transports(group, 1).values()) == {"frames"}
        assert group.agree()


async def test_a_site_whose_frames_cannot_be_reached_is_linked_by_grpc(sites: TestSites) -> None:
    async with cluster(sites) as group:
        # Genesis says 127.0.0.1, so nobody looks for site 0 at another address.
        await group.start(0, consensus={"frame_address": "127.0.0.2:0"})
        await group.start(1)
        await group.start(2, 3, consensus=FRAMES)
        await group.until_commits(10)
        assert set(transports(group, 0).values()) == {"grpc"}
        assert transports(group, 3) == {0: "grpc", 1: "grpc", 2: "frames"}
        assert group.agree()


async def test_only_certificates_of_genesis_open_a_link(sites: TestSites) -> None:
    keys = sites.directory / "site-3" / "keys"
    pair = (keys / "tls.key").read_bytes(), (keys / "tls.crt").read_bytes()
    site, other = sites.genesis.sites[0], sites.genesis.sites[1]
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    stranger = make_certificate("site-3", ("127.0.0.1",), not_before=yesterday)
    async with cluster(sites) as group:
        await group.start(0, consensus=FRAMES)
        port = group.running[0].running.frame_port

        async def attempt(tls: ssl.SSLContext, name: str) -> bool:
            stream = await dial("127.0.0.1", port, tls, name, seconds_max=10)
            if stream is None:
                return False
            # With TLS 1.3 the refusal of our certificate comes after our side of the handshake.
            try:
                return await stream.read() is not None
            except OperationalError:
                return False
            finally:
                stream.close()

        # The certificate of site 0 is asked for, and ours is that of site 3.
        assert await attempt(frame_dialling_tls(site, *pair), server_name(site.name))
        assert not await attempt(frame_dialling_tls(other, *pair), server_name(other.name))
        assert not await attempt(frame_dialling_tls(site, *pair), server_name(other.name))
        assert not await attempt(frame_dialling_tls(site, *stranger), server_name(site.name))
