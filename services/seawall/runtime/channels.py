"""Channels to other roles and other sites, with the options that long-lived links need.

A role of this process is called without a socket; everything else over TLS. Each site is dialled
twice: consensus has a connection of its own, so that payload chunks never stand before blocks.
"""

import ssl
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import grpc
import grpc.aio

from seawall.domain.genesis import Genesis, GenesisSite
from seawall.errors import LocalError
from seawall.runtime.local import LocalServer
from seawall.runtime.tls import (
    FrameTarget,
    client_server_tls,
    dialling_credentials,
    frame_dialling_tls,
    frame_server_tls,
    server_name,
)

Option: TypeAlias = tuple[str, int | str]

MESSAGE_SIZE_BYTES_MAX: Final = (1 << 20) + (128 << 10)
"""Largest message that is received: 1 MiB of content, and 128 KiB for what stands around it."""

_SHARED: Final[tuple[Option, ...]] = (
    ("grpc.max_receive_message_length", MESSAGE_SIZE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_SIZE_BYTES_MAX),
    ("grpc.max_metadata_size", 16_384),
    # A frozen peer is only noticed with all three: keepalive alone does not see it.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)
DIALLING_OPTIONS: Final[tuple[Option, ...]] = (
    *_SHARED,
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    # A pod that was replaced has another address under its name: half a minute, the default, is
    # long to go on dialling the old one.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    # Otherwise channels to one address share a connection.
    ("grpc.use_local_subchannel_pool", 1),
)
SERVING_OPTIONS: Final[tuple[Option, ...]] = (
    *_SHARED,
    # Two servers on one port would share its connections at random: only workers want that.
    ("grpc.so_reuseport", 0),
    # Digests and numbers do not compress, and nobody gets to send a bomb: only the identity.
    ("grpc.compression_enabled_algorithms_bitset", 1),
    # Strictly below what callers send, or they are cut off for pinging too often.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.max_concurrent_streams", 256),
)


def client_channel(
    site: GenesisSite, *, address: str | None = None, options: Iterable[Option] = ()
) -> grpc.aio.Channel:
    """Return a channel to a site's client port, its certificate pinned.

    Args:
        site: the site as it stands in genesis.
        address: host:port to dial instead of the one in genesis.
        options: further channel arguments; they win over the defaults.

    """
    return _dial(address or site.client_address, site, dialling_credentials(site), options)


def peer_channel(
    site: GenesisSite,
    key_pem: bytes,
    certificate_pem: bytes,
    *,
    address: str | None = None,
    options: Iterable[Option] = (),
) -> grpc.aio.Channel:
    """Return a channel to a site's peer port by mutual TLS; arguments as for `client_channel`."""
    credentials = dialling_credentials(site, key_pem, certificate_pem)
    return _dial(address or site.peer_address, site, credentials, options)


def _dial(
    address: str,
    site: GenesisSite,
    credentials: grpc.ChannelCredentials,
    options: Iterable[Option],
) -> grpc.aio.Channel:
    named = ("grpc.ssl_target_name_override", server_name(site.name))
    arguments = dict((*DIALLING_OPTIONS, named, *options))
    return grpc.aio.secure_channel(address, credentials, options=tuple(arguments.items()))


class SiteChannels:
    """Channels of one process of a site; each is opened once and kept."""

    def __init__(
        self,
        genesis: Genesis,
        site: int,
        tls: tuple[bytes, bytes],
        local: Mapping[str, LocalServer],
        *,
        addresses: Mapping[str, str] | None = None,
    ) -> None:
        """Start without a connection.

        Args:
            genesis: names every site's address and certificate.
            site: index of the own site.
            tls: private key and certificate of the own site, PEM.
            local: the in-process server of each role that this process serves.
            addresses: host:port of roles of the own site that other processes serve; they win
                over those in genesis.

        """
        self._genesis = genesis
        self._site = site
        self._tls = tls
        self._local = local
        self._addresses = dict(addresses or {})
        self._channels: dict[tuple[str, int, str], grpc.aio.Channel] = {}

    def to(self, role: str, site: int | None = None) -> grpc.aio.Channel:
        """Return a channel to `role` at `site`, the own site by default.

        Raises:
            LocalError: RPC_SITE for an index that is not in genesis.

        """
        target = self._site if site is None else site
        if not 0 <= target < len(self._genesis.sites):
            raise LocalError("RPC_SITE", "choose a site of genesis", field="site")
        own = target == self._site
        member = self._genesis.sites[target]
        address = member.peer_address_of(role)
        if own:
            address = self._addresses.get(role, address)
        lane = role if own or role == "consensus" else "bulk"
        channel = self._channels.get((lane, target, address))
        if channel is None:
            if own and role in self._local:
                channel = self._local[role].channel()
            else:
                channel = peer_channel(member, *self._tls, address=address)
            self._channels[lane, target, address] = channel
        return channel

    def client_server_tls(self) -> ssl.SSLContext:
        """Return TLS of this site for a server without gRPC that anybody may dial."""
        return client_server_tls(*self._tls)

    def frame_server_tls(self) -> ssl.SSLContext:
        """Return TLS of this site for a server without gRPC that other sites dial."""
        return frame_server_tls(self._genesis, *self._tls)

    def frame_target(self, site: int) -> FrameTarget:
        """Return how to dial the frames of another site's consensus."""
        member = self._genesis.sites[site]
        host = member.peer_address_of("consensus").rpartition(":")[0].strip("[]")
        tls = frame_dialling_tls(member, *self._tls)
        return FrameTarget(host, tls, server_name(member.name))

    async def close(self) -> None:
        """Close every channel."""
        channels, self._channels = tuple(self._channels.values()), {}
        for channel in channels:
            await channel.close()
