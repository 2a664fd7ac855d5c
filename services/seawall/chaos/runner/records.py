"""The journal of a run: what is about to be done is written down before it is done.

Who finds a journal without its runner knows from it what may still be in force: `outstanding`.
"""

from collections.abc import Iterable
from typing import Final, TypeAlias

import msgspec

from seawall.chaos.runner.injection import Breach, Confirmation, Injection
from seawall.errors import LocalError

RECORD_BYTES_MAX: Final = 1 << 16


class _Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="record", tag=str.lower):
    """Base of all records; `at_us` is microseconds since the run's start."""

    at_us: int


class Began(_Record, frozen=True, kw_only=True):
    """A run began: its name, the experiment's, the platform, and what its actuators must find.

    `place` is in the platform's words: a directory of sites, or a namespace and a release.
    """

    run: str
    experiment: str
    platform: str
    place: str


class Entered(_Record, frozen=True, kw_only=True):
    """The run entered a phase."""

    phase: str


class Intended(_Record, frozen=True, kw_only=True):
    """An injection is about to be applied. From here on it may be in force."""

    injection: Injection
    lease_seconds: int


class Applied(_Record, frozen=True, kw_only=True):
    """An injection is in force."""

    id: str


class Failed(_Record, frozen=True, kw_only=True):
    """An injection could not be applied; it may be in force all the same."""

    id: str
    code: str
    hint: str


class Confirmed(_Record, frozen=True, kw_only=True):
    """A probe looked for a fault."""

    fault: int
    confirmation: Confirmation


class Reverting(_Record, frozen=True, kw_only=True):
    """An injection is about to be reverted."""

    id: str


class Reverted(_Record, frozen=True, kw_only=True):
    """An injection is not in force any more."""

    id: str


class Stuck(_Record, frozen=True, kw_only=True):
    """An injection could not be reverted; its lease ends it, where it has one."""

    id: str
    code: str


class Breached(_Record, frozen=True, kw_only=True):
    """An invariant does not hold."""

    breach: Breach


class Ended(_Record, frozen=True, kw_only=True):
    """The run ended: `finished`, or what cut it short."""

    cause: str


Record: TypeAlias = (
    Began
    | Entered
    | Intended
    | Applied
    | Failed
    | Confirmed
    | Reverting
    | Reverted
    | Stuck
    | Breached
    | Ended
)


def encode(record: Record) -> bytes:
    """Return a record as one line of JSON, without its end of line."""
    return msgspec.json.encode(record)


def decode(lines: bytes) -> tuple[Record, ...]:
    """Return the records of a journal; a torn last line, which nothing rests on, is left out.

    Raises:
        LocalError: CHAOS_JOURNAL with the line.

    """
    *whole, rest = lines.split(b"\n")
    found: list[Record] = []
    for number, line in enumerate([*whole, rest] if rest else whole, 1):
        try:
            found.append(msgspec.json.decode(line[:RECORD_BYTES_MAX], type=Record))
        except msgspec.MsgspecError as fault:
            if line is rest:
                break
            hint = "this is no journal of a run: name another directory"
            raise LocalError("CHAOS_JOURNAL", hint, line=number) from fault
    return tuple(found)


def outstanding(records: Iterable[Record]) -> tuple[Injection, ...]:
    """Return the injections that may be in force after these records, in order of intention."""
    found: dict[str, Injection] = {}
    for record in records:
        match record:
            case Intended(injection=injection):
                found[injection.id] = injection
            case Reverted(id=name):
                found.pop(name, None)
            case _:
                pass
    return tuple(found.values())
