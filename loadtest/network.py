"""What a load run knows of a network: genesis, keys, where sites are, and where the log stands.

Calls are synchronous ones of gRPC: under gevent those of one process go on side by side, where
those of asyncio, which the client library uses, would not.
"""

import ssl
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np

from seawall.api.v1 import (
    aggregation_pb2,
    aggregation_pb2_grpc,
    ledger_pb2,
    ledger_pb2_grpc,
)
from seawall.client import Base, Chain, Head, Sealer, SeenCheckpoint
from seawall.crypto.merkle import EMPTY_ROOT
from seawall.crypto.signing import SigningKey, key_id
from seawall.formats import entry as entries
from seawall.runtime.channels import DIALLING_OPTIONS
from seawall.runtime.keys import read_key
from seawall.runtime.tls import dialling_credentials, server_name
from seawall.testbed.directory import NetworkDirectory

CALL_SECONDS_MAX: Final = 20.0
START_SECONDS_MAX: Final = 120.0
"""How long sites may take to answer for the first time: a Job may start before they do."""

ENTRIES_MAX: Final = 500_000
"""Entries that are read to learn which numbers are used; a longer log wants another way."""


@dataclass(frozen=True, slots=True)
class Web:
    """The HTTP port of a site."""

    host: str
    port: int
    name: str
    tls: ssl.SSLContext


class Network:
    """A network as a load run sees it."""

    def __init__(self, genesis: Path, keys: Path, web: dict[int, tuple[str, int]]) -> None:
        """Read genesis and the keys of its contributors; nothing is sent.

        Args:
            genesis: the genesis file.
            keys: directory of key files, NAME.key.
            web: host and port of the HTTP side of each site that has one.

        """
        self.chain = Chain.read(genesis)
        self.sites = self.chain.genesis.sites
        self.keys: tuple[SigningKey, ...] = tuple(
            read_key(keys / f"{one.name}.key")
            for one in self.chain.genesis.contributors
            if "contributor" in one.roles and (keys / f"{one.name}.key").exists()
        )
        if not self.keys:
            raise SystemExit(f"no key of a contributor of this chain is in {keys}")
        self.web = {site: self._web(site, *where) for site, where in web.items()}
        self.sealers = {
            task.name: tuple(Sealer(self.chain, task.name, key) for key in self.keys)
            for task in self.chain.genesis.tasks
        }

    @property
    def tasks(self) -> tuple[tuple[str, int], ...]:
        """Return names and payload sizes of the tasks."""
        return tuple((one.name, one.payload_size_bytes) for one in self.chain.genesis.tasks)

    def channel(self, site: int, role: str) -> grpc.Channel:
        """Return a channel of its own to a role: with a connection that nobody else uses."""
        member = self.sites[site]
        named = ("grpc.ssl_target_name_override", server_name(member.name))
        return grpc.secure_channel(
            member.client_address_of(role),
            dialling_credentials(member),
            options=(*DIALLING_OPTIONS, named),
        )

    def _web(self, site: int, host: str, port: int) -> Web:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.load_verify_locations(cadata=self.sites[site].tls_certificate_pem)
        return Web(host, port, server_name(self.sites[site].name), tls)


class Log:
    """The ledgers and the models of all sites."""

    def __init__(self, network: Network) -> None:
        """Open a channel to each."""
        self._network = network
        count = len(network.sites)
        self._channels = [network.channel(site, "ledger") for site in range(count)]
        self._channels.append(network.channel(0, "aggregation"))
        self._ledgers: list[Any] = [
            ledger_pb2_grpc.LedgerServiceStub(one) for one in self._channels[:count]
        ]
        self._aggregation: Any = aggregation_pb2_grpc.AggregationServiceStub(self._channels[-1])

    def close(self) -> None:
        """Close the channels."""
        for channel in self._channels:
            channel.close()

    def base_of(self, task: str) -> Base:
        """Return the newest version of a task, as far as signing needs it.

        A site is believed: a wrong one gets updates that are refused, and this is no client.
        """
        request = aggregation_pb2.GetHeadRequest(task=task)
        answer = self._aggregation.GetHead(request, timeout=CALL_SECONDS_MAX, wait_for_ready=True)
        seen = SeenCheckpoint(
            size=answer.checkpoint_size,
            root=answer.checkpoint_root or EMPTY_ROOT,
            note=answer.checkpoint_note,
            height=answer.height,
        )
        head = Head(
            task=task,
            version=answer.version,
            digest=answer.payload_digest,
            size_bytes=answer.payload_size_bytes,
            commit_index=answer.commit_index,
            final=answer.final,
            checkpoint=seen,
        )
        return Base(head, np.zeros(0, dtype=np.int32), {})

    def accepted(self, seconds_max: float = CALL_SECONDS_MAX) -> list[int]:
        """Return how many updates each site's ledger has accepted."""
        request = ledger_pb2.LedgerStatusRequest()
        return [
            one.LedgerStatus(request, timeout=seconds_max, wait_for_ready=True).updates
            for one in self._ledgers
        ]

    def receipt(self, site: int, update_id: bytes, wait_ms: int) -> bytes:
        """Return the receipt of an update at one site; it may have to be waited for."""
        request = ledger_pb2.ReceiptRequest(update_id=update_id, wait_ms=wait_ms)
        seconds = CALL_SECONDS_MAX + wait_ms / 1000
        document: bytes = self._ledgers[site].Receipt(request, timeout=seconds).document
        return document

    def next_numbers(self) -> list[int]:
        """Return the first number of each key that is higher than all it has used."""
        place = {key_id(key.public).hex(): at for at, key in enumerate(self._network.keys)}
        numbers = [1] * len(place)
        for entry in self._updates():
            at = place.get(entry.contributor)
            if at is not None:
                numbers[at] = max(numbers[at], entry.seq + 1)
        return numbers

    def _updates(self) -> Iterator[entries.UpdateEntry]:
        request = ledger_pb2.EntriesRequest(limit=ENTRIES_MAX)
        for page in self._ledgers[0].Entries(request, timeout=6 * CALL_SECONDS_MAX):
            for data in page.entries:
                entry = entries.parse(data)
                if isinstance(entry, entries.UpdateEntry):
                    yield entry


def web_of(directory: Path, sites: tuple[str, ...]) -> dict[int, tuple[str, int]]:
    """Return the HTTP ports that the settings of a local network name."""
    files = NetworkDirectory(directory)
    found = {}
    for index, name in enumerate(sites):
        for process in ("site", "ingestion"):
            path = files.settings(name, process)
            if not path.exists():
                continue
            settings = tomllib.loads(path.read_text())
            host, _, port = settings.get("ingestion", {}).get("http_address", "").rpartition(":")
            if host and int(port):
                found[index] = (host, int(port))
    return found
