"""What goes into the core of a run, and what comes out of it."""

from enum import StrEnum
from typing import TypeAlias

import msgspec

from seawall.chaos.runner.injection import Breach, Confirmation, Injection
from seawall.chaos.runner.records import Record


class Phase(StrEnum):
    """Where a run stands. Faults begin, are confirmed, and end within `hold`."""

    PREPARE = "prepare"
    BASELINE = "baseline"
    HOLD = "hold"
    HEAL = "heal"
    RECOVER = "recover"
    CHECK = "check"
    RESTORE = "restore"
    """What was to stay until here is taken back."""
    DONE = "done"


class Cause(StrEnum):
    """Why a run ended."""

    FINISHED = "finished"
    STOPPED = "stopped"
    """Somebody asked it to end: a signal."""
    BREACH = "breach"
    """An invariant did not hold."""
    INJECTION = "injection"
    """A fault could not be injected."""
    LEDGERS = "ledgers"
    """The ledgers could not be read at the end."""


class _Step(msgspec.Struct, frozen=True):
    """Base of events and commands."""


# --- events: what has happened --------------------------------------------------------------


class Started(_Step, frozen=True):
    """Sites run and load flows: the baseline begins."""


class Tick(_Step, frozen=True):
    """Time has passed."""


class Resolved(_Step, frozen=True):
    """Whom a fault hits now."""

    fault: int
    injections: tuple[Injection, ...]


class Watching(_Step, frozen=True):
    """A probe has taken note of how things are before a fault."""

    fault: int


class WasApplied(_Step, frozen=True):
    """An injection is in force."""

    id: str


class ApplyFailed(_Step, frozen=True):
    """An injection could not be applied, or a fault not be resolved (then `id` is empty)."""

    fault: int
    id: str
    code: str
    hint: str


class RenewFailed(_Step, frozen=True):
    """A lease could not be prolonged: the target has restarted, or is out of reach."""

    id: str


class Looked(_Step, frozen=True):
    """A probe has looked for a fault."""

    fault: int
    confirmation: Confirmation


class WasReverted(_Step, frozen=True):
    """An injection is not in force any more."""

    id: str


class RevertFailed(_Step, frozen=True):
    """An injection could not be reverted; it is tried again."""

    id: str
    code: str


class Broke(_Step, frozen=True):
    """An invariant does not hold."""

    breach: Breach


class Stop(_Step, frozen=True):
    """Somebody wants the run to end."""


class Checked(_Step, frozen=True):
    """The ledgers were read; what in them does not hold, or why they could not be read."""

    breaches: tuple[Breach, ...]
    failure: str = ""


Event: TypeAlias = (
    Started
    | Tick
    | Resolved
    | Watching
    | WasApplied
    | ApplyFailed
    | RenewFailed
    | Looked
    | WasReverted
    | RevertFailed
    | Broke
    | Stop
    | Checked
)


# --- commands: what the host must do, in this order -----------------------------------------


class Note(_Step, frozen=True):
    """Write a record to the journal, durably, before anything that follows is begun."""

    record: Record


class Enter(_Step, frozen=True):
    """Take note of a phase that begins now."""

    phase: Phase


class Resolve(_Step, frozen=True):
    """Say whom a fault hits now; answer with `Resolved` or `ApplyFailed`."""

    fault: int


class Watch(_Step, frozen=True):
    """Let a probe take note of how things are before a fault; answer with `Watching`."""

    fault: int
    injections: tuple[Injection, ...]


class Apply(_Step, frozen=True):
    """Apply an injection, also again; answer with `WasApplied` or `ApplyFailed`."""

    injection: Injection
    lease_seconds: int


class Renew(_Step, frozen=True):
    """Prolong the lease of an injection; answer with `RenewFailed`, or with nothing."""

    injection: Injection
    lease_seconds: int


class Look(_Step, frozen=True):
    """Let the probe look for a fault's effect; answer with `Looked`."""

    fault: int


class Revert(_Step, frozen=True):
    """Revert an injection; answer with `WasReverted` or `RevertFailed`."""

    injection: Injection


class Check(_Step, frozen=True):
    """Read the ledgers; answer with `Checked`."""


Command: TypeAlias = Note | Enter | Resolve | Watch | Apply | Renew | Look | Revert | Check
