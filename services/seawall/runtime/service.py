"""The contract between a role and the process that runs it.

A role (consensus, ledger, integrity, ingestion, aggregation) is a `Service`: built from one
`Context`, registered on the process's servers, and run until it is cancelled. Everything that a
role may not take from the environment reaches it through the context: keys, clock, entropy,
directories, metrics, channels to other roles.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import grpc.aio

from seawall.crypto.signing import SigningKey
from seawall.domain.committee import Committee
from seawall.domain.genesis import Genesis
from seawall.runtime.admission_cache import AdmissionCache
from seawall.runtime.disk import Disk, SoundDisk
from seawall.runtime.faults.seams import Seams
from seawall.runtime.tls import FrameTarget
from seawall.telemetry.logs import Log
from seawall.telemetry.metrics import Registry

CONSENSUS = "consensus"
LEDGER = "ledger"
INTEGRITY = "integrity"
INGESTION = "ingestion"
AGGREGATION = "aggregation"
CHAOS = "chaos"
"""Not a role of its own: the fault plane, served beside the roles where chaos is enabled."""

ROLES = (LEDGER, INTEGRITY, CONSENSUS, INGESTION, AGGREGATION)
"""All roles, in the order in which one process starts them."""


class Clock(Protocol):
    """The process's clocks."""

    def elapsed_us(self) -> int:
        """Return monotonic microseconds since an arbitrary start."""
        ...

    def wall_ms(self) -> int:
        """Return Unix milliseconds; may jump."""
        ...


class Channels(Protocol):
    """Ways to other roles: the same stubs work over a socket and inside one process."""

    def to(self, role: str, site: int | None = None) -> grpc.aio.Channel:
        """Return a channel to `role` at `site` (its committee index; own site by default).

        Inside this process it calls the servicer without a socket and hands messages over by
        reference, so neither side may change a message it sent or received.
        """
        ...

    def client_server_tls(self) -> ssl.SSLContext:
        """Return TLS of this site for a server without gRPC that anybody may dial."""
        ...

    def frame_server_tls(self) -> ssl.SSLContext:
        """Return TLS of this site for a server without gRPC that other sites dial."""
        ...

    def frame_target(self, site: int) -> FrameTarget:
        """Return how to dial the frames of another site's consensus."""
        ...


class CrashPoints(Protocol):
    """Named places where an experiment may end the process."""

    def reach(self, point: str) -> None:
        """Pass the point `point`, or end the process here without any clean-up."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteKeys:
    """The private keys of one site, each with a life of its own.

    `coin` is its share of the common coin's key (32 bytes): empty without a coin, and in processes
    that do not run consensus.
    """

    consensus: SigningKey
    cosigner: SigningKey
    log: SigningKey
    coin: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Everything that a role gets from its process.

    `data_dir` belongs to this role alone and is locked. `entropy(n)` returns n random bytes.
    `admission` is one for all roles of the process: what one has verified, the others know.
    `worker` is this process's number among those that serve its role for the site. `disk` is asked
    before each write and sync. `seams` are where this process may misbehave on purpose; None unless
    chaos is enabled for it.
    """

    genesis: Genesis
    origin: str
    committee: Committee
    site: int
    keys: SiteKeys
    data_dir: Path
    channels: Channels
    clock: Clock
    entropy: Callable[[int], bytes]
    registry: Registry
    log: Log
    crash_points: CrashPoints
    admission: AdmissionCache
    worker: int = 0
    disk: Disk = field(default_factory=SoundDisk)
    seams: Seams | None = None


class Service(Protocol):
    """One role at work in this process."""

    name: str

    def register(self, server: grpc.aio.Server) -> None:
        """Add this role's servicers to a server (a real one, or the in-process one)."""
        ...

    async def run(self) -> None:
        """Serve until cancelled; raise when the role can no longer keep its promises."""
        ...

    def ready(self) -> bool:
        """Say whether the role is caught up and answers; never depends on peers' health."""
        ...
