"""A journal on a modelled disk: what was synced survives a crash, the rest may not.

The journal is the one place where a crash can be put *inside* a replica's step without a hook in
the replica: an armed disk raises `Crashed` out of `append` or `sync`, exactly where a power cut
would have stopped the process.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from seawall.consensus.dag.records import BASE_BEGIN, BASE_END
from seawall.consensus.engine import Record


class CrashPoint(StrEnum):
    """Where in one step of a replica a crash can fall."""

    BEFORE_PERSIST = "before_persist"
    AFTER_PERSIST = "after_persist"
    BEFORE_SYNC = "before_sync"
    AFTER_SYNC = "after_sync"
    BEFORE_SEND = "before_send"
    AFTER_SEND = "after_send"


SEND_POINTS: Final = (CrashPoint.BEFORE_SEND, CrashPoint.AFTER_SEND)
"""The points between single messages of a step; all others are in the journal."""


class Crashed(Exception):  # noqa: N818 - an event of the simulated world, not an error of ours
    """The simulated process stopped here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskHealth:
    """What is wrong with a disk: syncs that take longer, that lie, or that find no space.

    `add_us` is the median of what each sync takes more, log-normal with `sigma` of log time. A
    `lying` disk answers a sync and keeps nothing durable: what it took is gone after a crash. On a
    `full` one nothing can be written, and the process ends when it tries.
    """

    add_us: int = 0
    sigma: float = 0.0
    lying: bool = False
    full: bool = False


class Disk:
    """A journal of records: a durable prefix, what a sync is writing, and an unsynced tail.

    `sync` returns at once; the world makes time pass and then calls `settle`. A crash in between
    falls into the sync and may leave any prefix of what it was writing. `lost_records` counts
    records that a sync had promised and a crash took, `synced_us` the time of all syncs, `refusals`
    the writes that found no space since one did.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.durable: list[Record] = []
        self.tail: list[Record] = []
        self.syncs = 0
        self.armed: CrashPoint | None = None
        self.health = DiskHealth()
        self.lost_records = 0
        self.synced_us = 0
        self.refusals = 0
        self._syncing: list[Record] = []
        # How much of `durable` a crash leaves while the disk lies; None: all of it.
        self._kept: int | None = None

    def set_health(self, health: DiskHealth) -> None:
        """Change what is wrong; what a disk has lied about is lost by a crash before it syncs."""
        self.health = health
        if health.lying and self._kept is None:
            self._kept = len(self.durable)

    def sync_us(self, usual_us: int, random: Random) -> int:
        """Draw how long a sync takes."""
        health = self.health
        taken_us = usual_us
        if health.add_us:
            taken_us += int(health.add_us * random.lognormvariate(0.0, health.sigma))
        self.synced_us += taken_us
        return taken_us

    @property
    def promised_records(self) -> int:
        """Return how many records a lying disk has acknowledged that a crash would take."""
        return 0 if self._kept is None else len(self.durable) - self._kept

    def append(self, records: Sequence[Record]) -> None:
        """Buffer records at the end."""
        if records and self.health.full:
            self.refusals += 1
            raise Crashed
        if records and self.armed is CrashPoint.BEFORE_PERSIST:
            raise Crashed
        self.tail.extend(records)
        if records and self.armed is CrashPoint.AFTER_PERSIST:
            raise Crashed

    def sync(self) -> None:
        """Start to make everything appended so far durable."""
        busy = bool(self.tail)
        if busy and self.armed is CrashPoint.BEFORE_SYNC:
            raise Crashed
        self._syncing.extend(self.tail)
        self.tail.clear()
        self.syncs += 1
        if busy and self.armed is CrashPoint.AFTER_SYNC:
            self.settle()
            raise Crashed

    def settle(self) -> None:
        """End the sync: what it wrote is durable, and what a new base replaces may go."""
        self.refusals = 0
        self.durable.extend(self._syncing)
        if self._kept is not None and not self.health.lying:
            self._kept = None
        if self._kept is None and any(record.kind == BASE_END for record in self._syncing):
            self._drop_superseded()
        self._syncing.clear()

    def crash(self, random: Random, *, torn: bool) -> None:
        """Lose what is not durable; a torn loss keeps a random prefix of it."""
        lost = self._syncing + self.tail
        if self._kept is not None:
            self.lost_records += self.promised_records
            del self.durable[self._kept :]
        elif torn:
            self.durable.extend(lost[: random.randint(0, len(lost))])
        self._syncing.clear()
        self.tail.clear()
        self.armed = None

    def _drop_superseded(self) -> None:
        kinds = [record.kind for record in self.durable]
        end = len(kinds) - 1 - kinds[::-1].index(BASE_END)
        begin = end - kinds[end::-1].index(BASE_BEGIN)
        del self.durable[:begin]

    def wipe(self) -> None:
        """Lose everything: a new, empty disk."""
        self.durable.clear()
        self._syncing.clear()
        self.tail.clear()
        self.armed = None
        self._kept = 0 if self.health.lying else None
