"""One change to one site, as an actuator makes it and takes it back."""

from typing import Any, Final

import msgspec

LEASE_SECONDS_MAX: Final = 300
"""No fault outlives its runner by more."""


class Injection(msgspec.Struct, frozen=True, kw_only=True):
    """What a fault of the file is for one site: a fault of many sites has many.

    Attributes:
        id: unique among all runs; what the target knows it by.
        fault: number of the fault in the file.
        actuator: name of the actuator that applies and reverts it.
        kind: what the actuator does; `detail` is in its words, JSON values only.
        site: index of the site that it is done to, as in genesis.
        begin_us: when it begins, microseconds after the beginning of hold.
        end_us: when it ends, from there as well.
        stays: it is only taken back after the ledgers were read, as a site that is lost for good.

    """

    id: str
    fault: int
    actuator: str
    kind: str
    site: int
    begin_us: int
    end_us: int
    stays: bool = False
    detail: dict[str, Any] = {}

    @property
    def target(self) -> str:
        """Return the name of what it is done to, for people."""
        return f"site-{self.site}"


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a probe saw a fault's effect, and what it saw."""

    is_seen: bool
    evidence: str


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """An invariant that does not hold: which one, and what breaks it."""

    invariant: str
    detail: str
