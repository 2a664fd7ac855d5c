"""The faults of one process: applied under a lease, and ended by the process itself.

A fault whose runner has died ends when its lease runs out; nothing outside is needed for that.
Time is an argument; `service` supplies it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from seawall.errors import LocalError, PeerError
from seawall.runtime.crash import ArmedCrashPoints
from seawall.runtime.cuts import Direction, LinkCuts

FAULTS_MAX: Final = 64
LEASE_SECONDS_MAX: Final = 300
ID_CHARACTERS_MAX: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashFault:
    """End the process at a named point, after letting `skip_count` passes by."""

    id: str
    point: str
    skip_count: int
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionFault:
    """Cut the links of this site's replica with others, in these directions."""

    id: str
    peers: tuple[int, ...]
    directions: tuple[Direction, ...]
    seed: int = 0


Fault: TypeAlias = CrashFault | PartitionFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A fault became active, or ended for a reason: `reverted` or `lease`."""

    fault: Fault
    active: bool
    reason: str = ""


class FaultPlane:
    """Active faults by id, in the order in which they were applied."""

    def __init__(
        self,
        crash_points: ArmedCrashPoints,
        notify: Callable[[Change], None],
        *,
        cuts: LinkCuts | None = None,
        peers: Sequence[int] = (),
    ) -> None:
        """Act on these crash points, and on links with these peers where `cuts` is given.

        `notify` hears of each change.
        """
        self._crash_points = crash_points
        self._notify = notify
        self._cuts = cuts
        self._peers = tuple(peers)
        self._active: dict[str, tuple[Fault, int]] = {}

    def __contains__(self, fault_id: str) -> bool:
        return fault_id in self._active

    def apply(self, fault: Fault, lease_seconds: int, now_us: int) -> None:
        """Inject a fault.

        Raises:
            PeerError: FAULT_ID when it is active already, empty or too long; FAULT_LEASE,
                FAULT_POINT, FAULT_PEERS, FAULT_DIRECTION, FAULT_COUNT; FAULT_KIND for a
                partition in a process without a replica.

        """
        if not 0 < len(fault.id) <= ID_CHARACTERS_MAX or fault.id in self._active:
            hint = f"choose a new id of 1 to {ID_CHARACTERS_MAX} characters"
            raise PeerError("FAULT_ID", hint, field="fault.id")
        if len(self._active) >= FAULTS_MAX:
            raise PeerError("FAULT_COUNT", f"revert some: at most {FAULTS_MAX}", field="fault")
        until_us = _lease_end(lease_seconds, now_us)
        match fault:
            case CrashFault():
                self._arm(fault)
            case PartitionFault():
                self._cut(fault)
        self._active[fault.id] = (fault, until_us)
        self._notify(Change(fault=fault, active=True))

    def renew(self, fault_id: str, lease_seconds: int, now_us: int) -> None:
        """Prolong a lease; raises `PeerError` FAULT_ID or FAULT_LEASE."""
        fault = self._find(fault_id)
        self._active[fault_id] = (fault, _lease_end(lease_seconds, now_us))

    def revert(self, fault_id: str) -> None:
        """End a fault; raises `PeerError` FAULT_ID."""
        self._end(self._find(fault_id), "reverted")

    def expire(self, now_us: int) -> None:
        """End every fault whose lease is over."""
        over = [fault for fault, until_us in self._active.values() if until_us <= now_us]
        for fault in over:
            self._end(fault, "lease")

    def active(self) -> tuple[tuple[Fault, int], ...]:
        """Return the active faults, each with the end of its lease in microseconds."""
        return tuple(self._active.values())

    def _arm(self, fault: CrashFault) -> None:
        try:
            self._crash_points.arm(fault.point, fault.skip_count)
        except LocalError as refused:
            raise PeerError("FAULT_POINT", refused.hint, field="fault.crash.point") from None

    def _cut(self, fault: PartitionFault) -> None:
        if self._cuts is None:
            hint = "this process runs no replica: ask the one that does"
            raise PeerError("FAULT_KIND", hint, field="fault.kind")
        distinct = len(dict.fromkeys(fault.peers)) == len(fault.peers)
        if not fault.peers or not distinct or any(one not in self._peers for one in fault.peers):
            hint = "name other sites by their index, each once"
            raise PeerError("FAULT_PEERS", hint, field="fault.partition.peers")
        if not fault.directions:
            hint = "choose both, inbound or outbound"
            raise PeerError("FAULT_DIRECTION", hint, field="fault.partition.direction")
        self._cuts.cut(fault.peers, fault.directions)

    def _find(self, fault_id: str) -> Fault:
        if fault_id not in self._active:
            raise PeerError("FAULT_ID", "no such fault is active", field="id")
        return self._active[fault_id][0]

    def _end(self, fault: Fault, reason: str) -> None:
        del self._active[fault.id]
        match fault:
            case CrashFault(point=point):
                others = [one for one, _ in self._active.values() if isinstance(one, CrashFault)]
                if all(other.point != point for other in others):
                    self._crash_points.disarm(point)
            case PartitionFault():
                assert self._cuts is not None, "it was cut through these"
                self._cuts.mend(fault.peers, fault.directions)
        self._notify(Change(fault=fault, active=False, reason=reason))


def _lease_end(lease_seconds: int, now_us: int) -> int:
    if not 1 <= lease_seconds <= LEASE_SECONDS_MAX:
        hint = f"choose 1 to {LEASE_SECONDS_MAX} seconds"
        raise PeerError("FAULT_LEASE", hint, field="lease_seconds")
    return now_us + lease_seconds * 1_000_000
