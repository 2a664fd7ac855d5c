"""The kinds of faults as values: what each does, and to what.

Times are microseconds, shares lie between 0 and 1. What they mean stands in
`proto/seawall/api/v1/fault_plane.proto` and in docs/fault-plane.md.
"""

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, TypeAlias

from seawall.runtime.faults.links import Direction


class Caller(Enum):
    """Who calls a service."""

    CLIENTS = "clients"
    SITES = "sites"
    OWN_SITE = "own_site"


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What every fault has; `kind` is its name in the contract."""

    kind: ClassVar[str] = ""
    id: str
    seed: int = 0
    experiment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashFault(Base):
    """End the process at a named point, after letting `skip_count` passes by."""

    kind = "crash"
    point: str
    skip_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFault(Base):
    """Base of all faults on the links of this site's replica with `peers`."""

    peers: tuple[int, ...]
    directions: tuple[Direction, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionFault(LinkFault):
    """Cut links."""

    kind = "partition"


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayFault(LinkFault):
    """Slow links."""

    kind = "delay"
    add_us: int = 0
    jitter_us: int = 0
    reorder: float = 0.0
    reorder_by_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LossFault(LinkFault):
    """Lost segments, sent again."""

    kind = "loss"
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GrayFault(LinkFault):
    """Slow and lossy links."""

    kind = "gray"
    add_us: int = 0
    jitter_us: int = 0
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateFault(LinkFault):
    """Messages that arrive twice."""

    kind = "duplicate"
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CorruptFault(LinkFault):
    """Damaged bytes."""

    kind = "corrupt"
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BandwidthFault(LinkFault):
    """Narrow links; `buffer_bytes` may wait."""

    kind = "bandwidth"
    kbit_per_second: int
    buffer_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetFault(LinkFault):
    """Closed connections: at once, and again after each interval, if it is not 0."""

    kind = "reset"
    interval_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowFault(LinkFault):
    """Connections with a pause after each message."""

    kind = "slow"
    pause_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFault(Base):
    """Late or refused calls; nothing named in `methods`, `callers` or `peers` means all."""

    kind = "call"
    methods: tuple[str, ...] = ()
    callers: tuple[Caller | None, ...] = ()
    peers: tuple[int, ...] = ()
    delay_us: int = 0
    jitter_us: int = 0
    refuse: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeFault(Base):
    """A process that stands still."""

    kind = "freeze"
    duration_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFault(Base):
    """A wrong wall clock."""

    kind = "clock"
    offset_us: int = 0
    drift_ppm: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFault(Base):
    """A slow, lying or full disk."""

    kind = "disk"
    sync_add_us: int = 0
    sync_sigma: float = 0.0
    lying: bool = False
    full: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ByzantineFault(Base):
    """A lying replica."""

    kind = "byzantine"
    behaviour: str
    peers: tuple[int, ...] = ()
    rounds: int = 1


Shaping: TypeAlias = (
    PartitionFault
    | DelayFault
    | LossFault
    | GrayFault
    | DuplicateFault
    | CorruptFault
    | BandwidthFault
    | SlowFault
)
"""Faults that act on messages of links; `ResetFault` acts on connections."""

Fault: TypeAlias = (
    CrashFault
    | Shaping
    | ResetFault
    | CallFault
    | FreezeFault
    | ClockFault
    | DiskFault
    | ByzantineFault
)

LINK_KINDS = (
    PartitionFault,
    DelayFault,
    LossFault,
    GrayFault,
    DuplicateFault,
    CorruptFault,
    BandwidthFault,
    ResetFault,
    SlowFault,
)
KINDS = (
    CrashFault,
    *LINK_KINDS,
    CallFault,
    FreezeFault,
    ClockFault,
    DiskFault,
    ByzantineFault,
)
"""Every kind, in the order of the contract."""
