"""The sites that a client talks to: preferred ones first, silent ones left alone for a while."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias, TypeVar

import grpc
import grpc.aio

from seawall.api.v1 import aggregation_pb2_grpc, ingestion_pb2_grpc, ledger_pb2_grpc
from seawall.client.chain import Chain
from seawall.domain.genesis import GenesisSite
from seawall.errors import LocalError, OperationalError, SeawallError
from seawall.runtime.channels import client_channel
from seawall.runtime.status import error_from

Dial: TypeAlias = Callable[[GenesisSite, str], grpc.aio.Channel]
"""Opens a channel to a site at this address (host:port)."""

BACKOFF_SECONDS_MIN: Final = 0.2

_ROLES: Final = ("ingestion", "aggregation", "ledger")

PASSING_AREAS: Final = ("LEDGER_", "QUOTA_", "SHARED_", "STORE_")
PASSING: Final = (
    "BATCH_NUMBERS",
    "BATCH_TIMEOUT",
    "CHUNK_ORDER",
    "DEADLINE",
    "INCOMPLETE",
    "RPC_CANCELLED",
    "RPC_DEADLINE",
    "RPC_FAILED",
    "RPC_UNAVAILABLE",
    "RPC_UNIMPLEMENTED",
    "UPLOAD_UNKNOWN",
    "VERDICT_UNDECIDED",
    "VERSION_PENDING",
)
"""Codes that blame the site or the moment, not the request."""

T = TypeVar("T")


def dial(site: GenesisSite, address: str) -> grpc.aio.Channel:
    """Return a channel to a client port of a site; its certificate is pinned by genesis."""
    return client_channel(site, address=address)


class Link:
    """One site, as this client sees it."""

    def __init__(
        self, index: int, site: GenesisSite, address: str | None, open_channel: Dial
    ) -> None:
        """Make the stubs; nothing is sent yet.

        With an `address` every role is behind it; without, each is where genesis says. Roles at
        one address share a channel.
        """
        self.index = index
        self.name = site.name
        places = [address or site.client_address_of(role) for role in _ROLES]
        self.channels = {place: open_channel(site, place) for place in dict.fromkeys(places)}
        ingestion, aggregation, ledger = (self.channels[place] for place in places)
        self.ingestion = ingestion_pb2_grpc.IngestionServiceStub(ingestion)
        self.aggregation = aggregation_pb2_grpc.AggregationServiceStub(aggregation)
        self.ledger = ledger_pb2_grpc.LedgerServiceStub(ledger)
        self.failures = 0
        self.silent_until = 0.0

    def worked(self) -> None:
        """Note that the site answered."""
        self.failures = 0
        self.silent_until = 0.0

    def failed(self, seconds_max: float) -> float:
        """Note that it did not; return for how many seconds it is left alone now.

        Failures of several calls at one time count once.
        """
        now = asyncio.get_running_loop().time()
        if self.silent_until <= now:
            pause = min(BACKOFF_SECONDS_MIN * (1 << self.failures), seconds_max)
            self.failures = min(self.failures + 1, 16)
            self.silent_until = now + pause
        return self.silent_until - now


class Links:
    """All sites of a client, in order of preference."""

    def __init__(
        self,
        chain: Chain,
        sites: str | Sequence[str] | None = None,
        *,
        others: bool = True,
        backoff_seconds_max: float = 10.0,
        open_channel: Dial = dial,
    ) -> None:
        """Choose the sites.

        Args:
            chain: names them all.
            sites: preferred ones: a site's name, its client address, or NAME=HOST:PORT for one
                that is reached at another address; all of genesis when None.
            others: use the remaining sites of genesis too, after these.
            backoff_seconds_max: longest time for which a silent site is left alone.
            open_channel: how to reach a site.

        Raises:
            LocalError: CLIENT_SITE.

        """
        named = [sites] if isinstance(sites, str) else list(sites or [])
        addresses: dict[int, str | None] = {}
        for one in named:
            name, _, address = one.partition("=")
            addresses.setdefault(chain.site(name), address or None)
        if others or not named:
            for index in range(len(chain.genesis.sites)):
                addresses.setdefault(index, None)
        self._backoff_seconds_max = backoff_seconds_max
        self.all = tuple(
            Link(index, chain.genesis.sites[index], address, open_channel)
            for index, address in addresses.items()
        )

    def __len__(self) -> int:
        return len(self.all)

    def failed(self, link: Link) -> float:
        """Note that a site did not answer; return for how many seconds it is left alone."""
        return link.failed(self._backoff_seconds_max)

    def ranked(self, avoid: Sequence[int] = ()) -> list[Link]:
        """Return all sites: those that answer before silent ones, those of `avoid` last."""
        now = asyncio.get_running_loop().time()
        return sorted(
            self.all,
            key=lambda link: (
                avoid.count(link.index),
                link.silent_until if link.silent_until > now else 0.0,
            ),
        )

    async def ask(
        self,
        question: Callable[[Link], Awaitable[T]],
        *,
        seconds: float,
        every_fault: bool = False,
    ) -> T:
        """Return the first answer, asking one site after the other.

        A site that is silent, overloaded or out of order is passed by; so is, with `every_fault`,
        one whose answer does not hold. Any other refusal counts as the answer.

        Args:
            question: asks one site.
            seconds: bound of each attempt.
            every_fault: see above.

        Raises:
            SeawallError: what the last site, or the one that refused, answered.

        """
        fault: SeawallError = LocalError("CLIENT_SITE", "name at least one site", field="sites")
        for link in self.ranked():
            try:
                async with asyncio.timeout(seconds):
                    answer = await question(link)
            except TimeoutError:
                fault = OperationalError("RPC_DEADLINE", f"{link.name} did not answer in time")
            except grpc.RpcError as failure:
                fault = error_from(failure)
            except SeawallError as failure:
                fault = failure
            else:
                link.worked()
                return answer
            if is_passing(fault):
                self.failed(link)
            elif not every_fault:
                raise fault
        raise fault

    async def close(self) -> None:
        """Close every channel."""
        for link in self.all:
            for channel in link.channels.values():
                await channel.close()


def is_passing(fault: SeawallError) -> bool:
    """Say whether the same request may succeed later, or at another site."""
    return fault.code in PASSING or fault.code.startswith(PASSING_AREAS)
