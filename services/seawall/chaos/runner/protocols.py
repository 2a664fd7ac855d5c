"""What a platform supplies to run an experiment: actuators, probes, a journal, a workload.

All methods may raise `seawall.errors.SeawallError`, and take a bounded time of their own or are
cut off by the driver (`driver.STEP_SECONDS_MAX`). A laptop's are in `testbed.chaos`.
"""

from collections.abc import Sequence
from typing import Protocol

from seawall.chaos.runner.injection import Breach, Confirmation, Injection
from seawall.chaos.runner.records import Record
from seawall.chaos.runner.steps import Phase


class Actuator(Protocol):
    """Applies injections to sites, and takes them back."""

    async def apply(self, injection: Injection, lease_seconds: int) -> None:
        """Put an injection in force; it ends by itself after the lease where that is possible.

        Called again when a lease could not be prolonged: then it may be in force already, and that
        is fine.
        """
        ...

    async def renew(self, injection: Injection, lease_seconds: int) -> None:
        """Prolong a lease from now; raise when the injection is not in force any more."""
        ...

    async def revert(self, injection: Injection) -> None:
        """End an injection, or find that it is not in force; only raise when it may still be.

        Also called by `chaos clean`, in another process than the one that applied it.
        """
        ...

    async def active(self, site: int) -> tuple[str, ...]:
        """Return the ids of the injections that are in force at a site."""
        ...


class Probe(Protocol):
    """Looks for the effect of one fault, independently of what injects it."""

    async def begin(self) -> None:
        """Take note of how things are; the fault is about to begin."""
        ...

    async def look(self) -> Confirmation:
        """Return what has been seen of the fault so far; asked until it is seen."""
        ...


class Journal(Protocol):
    """Keeps the records of runs durably."""

    async def write(self, record: Record) -> None:
        """Add a record; it is durable when this returns."""
        ...

    async def read(self) -> tuple[Record, ...]:
        """Return all records."""
        ...


class Workload(Protocol):
    """Hands in updates, whatever becomes of them, and tells what did."""

    async def start(self) -> None:
        """Begin to hand in updates; return when the first one is committed."""
        ...

    def enter(self, phase: Phase, now_us: int) -> None:
        """Hear of a phase that begins now, microseconds since the run's start."""
        ...

    async def finish(self) -> None:
        """End the load, and wait a bounded time for what is under way."""
        ...


class Ledgers(Protocol):
    """Reads what the sites say, and finds what cannot be."""

    async def look(self) -> tuple[Breach, ...]:
        """Look at every site once, while the run goes on."""
        ...

    async def check(self) -> tuple[Breach, ...]:
        """Read all ledgers at the end, and compare them with what was acknowledged."""
        ...


class Platform(Protocol):
    """Everything about where an experiment runs."""

    @property
    def name(self) -> str:
        """Return the name of the platform, as `--on` has it."""
        ...

    @property
    def place(self) -> str:
        """Return what a later `clean` must know to find the sites; see `records.Began`."""
        ...

    def resolve(self, fault: int, primaries: Sequence[int]) -> tuple[Injection, ...]:
        """Return what a fault of the experiment is here; `primaries` lead at the moment."""
        ...

    async def primaries(self) -> tuple[int, ...]:
        """Return the leaders of the moment."""
        ...

    def actuator(self, name: str) -> Actuator:
        """Return the actuator of this name, as injections have it."""
        ...

    def probe(self, fault: int, injections: tuple[Injection, ...]) -> Probe:
        """Return a probe for a fault that is about to begin."""
        ...

    @property
    def journal(self) -> Journal:
        """Return where this run's records go."""
        ...

    @property
    def workload(self) -> Workload:
        """Return what loads the sites."""
        ...

    @property
    def ledgers(self) -> Ledgers:
        """Return what reads the ledgers."""
        ...
