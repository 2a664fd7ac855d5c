"""All places of one process at which faults act."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Self

from seawall.runtime.crash import ArmedCrashPoints
from seawall.runtime.exchange import Wrap
from seawall.runtime.faults.calls import CallFaults, SiteOf
from seawall.runtime.faults.clocks import DeviantClock
from seawall.runtime.faults.disks import IllDisk
from seawall.runtime.faults.freezing import Freezer
from seawall.runtime.faults.lies import Lies
from seawall.runtime.faults.links import LinkFaults

REPLICA: Final = "consensus"
KEEPING: Final = ("ledger", "consensus", "aggregation")
"""Roles that keep something on their disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seams:
    """Where faults act in a process in which chaos is enabled.

    `links`, `lies` and `clock` are those of its replica: None in a process that runs none, and
    reads no wall clock; so is `disk` where no role keeps anything on it. Leases go by a clock of
    their own.
    """

    crash_points: ArmedCrashPoints
    calls: CallFaults = field(default_factory=CallFaults)
    freezer: Freezer = field(default_factory=Freezer)
    clock: DeviantClock | None = None
    disk: IllDisk | None = None
    links: LinkFaults | None = None
    lies: Lies | None = None

    @classmethod
    def of(cls, roles: Collection[str], crash_points: ArmedCrashPoints) -> Self:
        """Return the places of a process that serves these roles."""
        has_replica = REPLICA in roles
        return cls(
            crash_points=crash_points,
            clock=DeviantClock() if has_replica else None,
            disk=IllDisk() if any(role in roles for role in KEEPING) else None,
            links=LinkFaults() if has_replica else None,
            lies=Lies() if has_replica else None,
        )


def behind_faults(seams: Seams | None, site_of: SiteOf) -> Wrap | None:
    """Return what puts handlers behind the faults of calls; None where there can be none."""
    if seams is None:
        return None
    calls = seams.calls
    return lambda service, handlers: calls.wrapped(service, handlers, site_of)
