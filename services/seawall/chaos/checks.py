"""Whether a fault can be done at all: its parameters, apart from what the process is.

Every refusal is a `PeerError` with a stable code; nothing has happened then.
"""

import re
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Final

from seawall.chaos.faults import (
    BandwidthFault,
    Caller,
    CallFault,
    ClockFault,
    CorruptFault,
    DelayFault,
    DiskFault,
    DuplicateFault,
    Fault,
    GrayFault,
    LinkFault,
    LossFault,
    ResetFault,
    SlowFault,
)
from seawall.errors import PeerError

ID_CHARACTERS_MAX: Final = 128
EXPERIMENT: Final = re.compile(r"[a-z0-9-]{0,63}")
LEASE_SECONDS_MAX: Final = 300

SECOND_US: Final = 1_000_000
DELAY_US_MAX: Final = 60 * SECOND_US
INTERVAL_US_MIN: Final = 100_000
KBIT_PER_SECOND_MAX: Final = 10_000_000
BUFFER_BYTES_MAX: Final = 64 << 20
BUFFER_BYTES: Final = 1 << 20
OFFSET_US_MAX: Final = 300 * SECOND_US
DRIFT_PPM_MAX: Final = 100_000
SYNC_US_MAX: Final = 10 * SECOND_US
SIGMA_MAX: Final = 3.0
ROUNDS_MAX: Final = 1000
FREEZE_US_MIN: Final = 1000


def lease_end_us(lease_seconds: int, now_us: int) -> int:
    """Return when a lease ends; raises `PeerError` FAULT_LEASE."""
    if not 1 <= lease_seconds <= LEASE_SECONDS_MAX:
        hint = f"choose 1 to {LEASE_SECONDS_MAX} seconds"
        raise PeerError("FAULT_LEASE", hint, field="lease_seconds")
    return now_us + lease_seconds * SECOND_US


def check_name(fault: Fault) -> None:
    """Raise `PeerError` FAULT_ID or FAULT_EXPERIMENT for a name that cannot be one."""
    if not 0 < len(fault.id) <= ID_CHARACTERS_MAX:
        hint = f"choose an id of 1 to {ID_CHARACTERS_MAX} characters"
        raise PeerError("FAULT_ID", hint, field="fault.id")
    if not EXPERIMENT.fullmatch(fault.experiment):
        hint = "up to 63 of a to z, 0 to 9 and -"
        raise PeerError("FAULT_EXPERIMENT", hint, field="fault.experiment")


def check_peers(kind: str, peers: Sequence[int], others: Sequence[int]) -> None:
    """Raise `PeerError` FAULT_PEERS unless these are other sites, each once."""
    if len(dict.fromkeys(peers)) != len(peers) or any(one not in others for one in peers):
        hint = "name other sites by their index, each once"
        raise PeerError("FAULT_PEERS", hint, field=f"fault.{kind}.peers")


def check_links(fault: LinkFault, others: Sequence[int]) -> None:
    """Raise `PeerError` FAULT_PEERS or FAULT_DIRECTION for links that are none."""
    check_peers(fault.kind, fault.peers, others)
    if not fault.peers:
        hint = "name other sites by their index, each once"
        raise PeerError("FAULT_PEERS", hint, field=f"fault.{fault.kind}.peers")
    if not fault.directions and not isinstance(fault, ResetFault):
        hint = "choose both, inbound or outbound"
        raise PeerError("FAULT_DIRECTION", hint, field=f"fault.{fault.kind}.direction")


def check_parameters(fault: Fault) -> None:
    """Raise `PeerError` FAULT_RANGE, FAULT_SHARE or FAULT_CALLERS for a parameter."""
    for name, holds in _bounds(fault).items():
        value = getattr(fault, name)
        code = "FAULT_SHARE" if name in _SHARES else "FAULT_RANGE"
        if (isinstance(value, float) and not isfinite(value)) or not holds(value):
            hint = "see docs/fault-plane.md for what it may be"
            raise PeerError(code, hint, field=f"fault.{fault.kind}.{name}")
    match fault:
        case DelayFault(add_us=0, jitter_us=0, reorder=0.0):
            _empty(fault, "add_us")
        case CallFault(delay_us=0, jitter_us=0, refuse=False):
            _empty(fault, "delay_us")
        case ClockFault(offset_us=0, drift_ppm=0):
            _empty(fault, "offset_us")
        case DiskFault(sync_add_us=0, lying=False, full=False):
            _empty(fault, "sync_add_us")
        case CallFault(callers=callers, peers=peers):
            _check_callers(callers, peers)
        case _:
            pass


_SHARES: Final = ("share", "loss", "reorder")


def _bounds(fault: Fault) -> dict[str, Callable[[float], bool]]:
    """Return what must hold of each parameter of a fault."""
    late = _within(0, DELAY_US_MAX)
    share, some = _within(0, 1), lambda value: 0 < value <= 1
    match fault:
        case DelayFault():
            return {"add_us": late, "jitter_us": late, "reorder": share, "reorder_by_us": late}
        case GrayFault():
            return {"add_us": late, "jitter_us": late, "loss": share}
        case LossFault() | DuplicateFault() | CorruptFault():
            return {"share": some}
        case BandwidthFault():
            buffer = _within(1, BUFFER_BYTES_MAX)
            return {"kbit_per_second": _within(1, KBIT_PER_SECOND_MAX), "buffer_bytes": buffer}
        case ResetFault():
            often = _within(INTERVAL_US_MIN, DELAY_US_MAX)
            return {"interval_us": lambda value: value == 0 or often(value)}
        case SlowFault():
            return {"pause_us": _within(1, DELAY_US_MAX)}
        case CallFault():
            return {"delay_us": late, "jitter_us": late}
        case ClockFault():
            off, drift = _within(-OFFSET_US_MAX, OFFSET_US_MAX), DRIFT_PPM_MAX
            return {"offset_us": off, "drift_ppm": _within(-drift, drift)}
        case DiskFault():
            return {"sync_add_us": _within(0, SYNC_US_MAX), "sync_sigma": _within(0, SIGMA_MAX)}
        case _:
            return {}


def _within(least: float, most: float) -> Callable[[float], bool]:
    return lambda value: least <= value <= most


def _empty(fault: Fault, field: str) -> None:
    hint = "ask for something: this does nothing"
    raise PeerError("FAULT_RANGE", hint, field=f"fault.{fault.kind}.{field}")


def _check_callers(callers: Sequence[Caller | None], peers: Sequence[int]) -> None:
    if None in callers or len(dict.fromkeys(callers)) != len(callers):
        hint = "choose among clients, sites and own site, each once"
        raise PeerError("FAULT_CALLERS", hint, field="fault.call.callers")
    if peers and Caller.SITES not in callers:
        hint = "peers are hit among sites: name sites as callers"
        raise PeerError("FAULT_CALLERS", hint, field="fault.call.callers")
