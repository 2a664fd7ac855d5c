"""The faults of one process: applied under a lease, and ended by the process itself.

A fault whose runner has died ends when its lease runs out; nothing outside is needed for that.
Time is an argument; `service` supplies it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from seawall.chaos.actuators import Action, Actuators
from seawall.chaos.checks import check_name, check_parameters, lease_end_us
from seawall.chaos.faults import CrashFault, Fault
from seawall.errors import PeerError

FAULTS_MAX: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A fault became active, or ended for a reason: `reverted`, `lease`, or `over` by itself."""

    fault: Fault
    active: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An active fault, the end of its lease in microseconds, and how often it has struck."""

    fault: Fault
    until_us: int
    strikes: int


@dataclass(slots=True)
class _Active:
    fault: Fault
    until_us: int
    action: Action

    @property
    def due_us(self) -> int:
        """Return when something is to be done about it next."""
        due_us = self.until_us
        if self.action.over_us is not None:
            due_us = min(due_us, self.action.over_us)
        if self.action.again is not None:
            due_us = min(due_us, self.action.again_us)
        return due_us


class FaultPlane:
    """Active faults by id, in the order in which they were applied."""

    def __init__(self, actuators: Actuators, notify: Callable[[Change], None]) -> None:
        """Act by these; `notify` hears of each change."""
        self._actuators = actuators
        self._notify = notify
        self._active: dict[str, _Active] = {}

    def __contains__(self, fault_id: str) -> bool:
        return fault_id in self._active

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return the names of the kinds that this process can do."""
        return self._actuators.kinds

    def apply(self, fault: Fault, lease_seconds: int, now_us: int) -> None:
        """Inject a fault.

        Raises:
            PeerError: FAULT_ID when it is active already, empty or too long; FAULT_EXPERIMENT,
                FAULT_LEASE, FAULT_COUNT; FAULT_RANGE, FAULT_SHARE, FAULT_CALLERS for parameters;
                FAULT_OVERLAP; and as `Actuators.begin`. Nothing has happened then.

        """
        check_name(fault)
        if fault.id in self._active:
            raise PeerError("FAULT_ID", "it is active already: choose a new id", field="fault.id")
        if len(self._active) >= FAULTS_MAX:
            raise PeerError("FAULT_COUNT", f"revert some: at most {FAULTS_MAX}", field="fault")
        until_us = lease_end_us(lease_seconds, now_us)
        check_parameters(fault)
        held = [name for one in self._active.values() for name in one.action.held]
        if fault.kind in held:
            hint = "another one is active: only one at a time"
            raise PeerError("FAULT_OVERLAP", hint, field="fault.kind")
        action = self._actuators.begin(fault, now_us, until_us)
        self._active[fault.id] = _Active(fault, until_us, action)
        self._notify(Change(fault=fault, active=True))

    def renew(self, fault_id: str, lease_seconds: int, now_us: int) -> None:
        """Prolong a lease; raises `PeerError` FAULT_ID or FAULT_LEASE."""
        found = self._find(fault_id)
        found.until_us = lease_end_us(lease_seconds, now_us)

    def revert(self, fault_id: str) -> None:
        """End a fault; raises `PeerError` FAULT_ID."""
        self._end(self._find(fault_id), "reverted")

    def expire(self, now_us: int) -> None:
        """End every fault that is over, and do once more what is to be done again."""
        for one in tuple(self._active.values()):
            action = one.action
            if one.until_us <= now_us:
                self._end(one, "lease")
            elif action.over_us is not None and action.over_us <= now_us:
                self._end(one, "over")
            elif action.again is not None and action.again_us <= now_us:
                action.again_us = now_us + action.interval_us
                action.again()

    def due_us(self) -> int | None:
        """Return when `expire` has something to do next; None while no fault is active."""
        return min((one.due_us for one in self._active.values()), default=None)

    def active(self) -> tuple[Standing, ...]:
        """Return the active faults."""
        return tuple(
            Standing(fault=one.fault, until_us=one.until_us, strikes=one.action.tally.count)
            for one in self._active.values()
        )

    def _find(self, fault_id: str) -> _Active:
        if fault_id not in self._active:
            raise PeerError("FAULT_ID", "no such fault is active", field="id")
        return self._active[fault_id]

    def _end(self, one: _Active, reason: str) -> None:
        del self._active[one.fault.id]
        if not self._shares_point(one.fault):
            one.action.end()
        self._notify(Change(fault=one.fault, active=False, reason=reason))

    def _shares_point(self, fault: Fault) -> bool:
        """Return whether another fault keeps the same crash point armed."""
        return isinstance(fault, CrashFault) and any(
            isinstance(other.fault, CrashFault) and other.fault.point == fault.point
            for other in self._active.values()
        )
