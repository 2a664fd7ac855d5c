"""One update that this site knows of: how far it has come, and who hears of its steps."""

from enum import IntEnum
from typing import Final, Protocol

import msgspec

from seawall.errors import SeawallError
from seawall.formats.admission import AdmittedUpdate

MESSAGE_BYTES_MAX: Final = (1 << 20) + (64 << 10)
"""What the parts of a message's updates may have in all, however they are carried."""


class Stage(IntEnum):
    """How far an update has come; the numbers are those of the wire."""

    RECEIVED = 1
    ATTESTED = 2
    FINAL = 3
    COMMITTED = 4
    AGGREGATED = 5
    REFUSED = 6


class Event(msgspec.Struct, frozen=True):
    """One step of one update; `refusal` also says why a cut left a committed update out."""

    update_id: bytes
    stage: Stage
    refusal: SeawallError | None = None
    entry_index: int = 0
    version: int = 0


class Sink(Protocol):
    """Somebody who wants to hear of updates."""

    closed: bool

    def notify(self, number: int, event: Event) -> None:
        """Take an event of the update that the sender calls `number`; must not block."""
        ...


class Update:
    """One update that this site knows of.

    `admitted` and `payload` are there while the site works on it; `event` is the last step.
    `handed` says that consensus has it in a batch of this site, whose verdict is awaited; `tries`
    counts how often it was batched anew after one that decided nothing.
    """

    __slots__ = (
        "admitted",
        "arrived_us",
        "event",
        "handed",
        "payload",
        "sinks",
        "size_bytes",
        "tries",
        "update_id",
    )

    def __init__(
        self, update_id: bytes, admitted: AdmittedUpdate | None, payload: bytes, arrived_us: int
    ) -> None:
        """Start with no step taken."""
        self.update_id = update_id
        self.admitted = admitted
        self.payload = payload
        self.size_bytes = len(payload) + (admitted.beside_size_bytes if admitted else 0)
        self.arrived_us = arrived_us
        self.event: Event | None = None
        self.handed = False
        self.tries = 0
        self.sinks: list[tuple[Sink, int]] = []

    @property
    def stage(self) -> int:
        """Return the last stage, 0 before the first."""
        return self.event.stage if self.event is not None else 0

    @property
    def is_open(self) -> bool:
        """Say whether the update is on its way to a commit."""
        return self.stage < Stage.COMMITTED
