"""The faults of one process: applied under a lease, and ended by the process itself.

A fault whose runner has died ends when its lease runs out; nothing outside is needed for that.
Time is an argument; `service` supplies it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from seawall.errors import LocalError, PeerError
from seawall.runtime.crash import ArmedCrashPoints

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
class Change:
    """A fault became active, or ended for a reason: `reverted` or `lease`."""

    fault: CrashFault
    active: bool
    reason: str = ""


class FaultPlane:
    """Active faults by id, in the order in which they were applied."""

    def __init__(self, crash_points: ArmedCrashPoints, notify: Callable[[Change], None]) -> None:
        """Act on these crash points; `notify` hears of each change."""
        self._crash_points = crash_points
        self._notify = notify
        self._active: dict[str, tuple[CrashFault, int]] = {}

    def __contains__(self, fault_id: str) -> bool:
        return fault_id in self._active

    def apply(self, fault: CrashFault, lease_seconds: int, now_us: int) -> None:
        """Inject a fault.

        Raises:
            PeerError: FAULT_ID when it is active already, empty or too long; FAULT_LEASE,
                FAULT_POINT, FAULT_COUNT.

        """
        if not 0 < len(fault.id) <= ID_CHARACTERS_MAX or fault.id in self._active:
            hint = f"choose a new id of 1 to {ID_CHARACTERS_MAX} characters"
            raise PeerError("FAULT_ID", hint, field="fault.id")
        if len(self._active) >= FAULTS_MAX:
            raise PeerError("FAULT_COUNT", f"revert some: at most {FAULTS_MAX}", field="fault")
        until_us = _lease_end(lease_seconds, now_us)
        try:
            self._crash_points.arm(fault.point, fault.skip_count)
        except LocalError as refused:
            raise PeerError("FAULT_POINT", refused.hint, field="fault.crash.point") from None
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

    def active(self) -> tuple[tuple[CrashFault, int], ...]:
        """Return the active faults, each with the end of its lease in microseconds."""
        return tuple(self._active.values())

    def _find(self, fault_id: str) -> CrashFault:
        if fault_id not in self._active:
            raise PeerError("FAULT_ID", "no such fault is active", field="id")
        return self._active[fault_id][0]

    def _end(self, fault: CrashFault, reason: str) -> None:
        del self._active[fault.id]
        if all(other.point != fault.point for other, _ in self._active.values()):
            self._crash_points.disarm(fault.point)
        self._notify(Change(fault=fault, active=False, reason=reason))


def _lease_end(lease_seconds: int, now_us: int) -> int:
    if not 1 <= lease_seconds <= LEASE_SECONDS_MAX:
        hint = f"choose 1 to {LEASE_SECONDS_MAX} seconds"
        raise PeerError("FAULT_LEASE", hint, field="lease_seconds")
    return now_us + lease_seconds * 1_000_000
