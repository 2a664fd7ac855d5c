"""The course of one fault, and of each of its injections."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from seawall.chaos.runner.injection import Confirmation, Injection

UNSEEN: Final = Confirmation(is_seen=False, evidence="no probe has looked")


class Stage(IntEnum):
    """Where an injection stands."""

    PLANNED = 0
    APPLYING = 1
    ACTIVE = 2
    REVERTING = 3
    REVERTED = 4
    STUCK = 5
    DROPPED = 6
    """It never began, because the run ended before."""


OVER: Final = (Stage.REVERTED, Stage.STUCK, Stage.DROPPED)


@dataclass(slots=True)
class InjectionCourse:
    """One injection; times are microseconds since the run's start."""

    injection: Injection
    stage: Stage = Stage.PLANNED
    has_failed: bool = False
    renew_us: int = 0
    """When its lease is prolonged next."""
    retry_us: int = 0
    """When reverting it is tried again."""
    tries: int = 0

    @property
    def is_over(self) -> bool:
        """Return whether nothing more happens to it."""
        return self.stage in OVER


class FaultStage(IntEnum):
    """Where a fault stands."""

    WAITING = 0
    RESOLVING = 1
    WATCHED = 2
    """A probe takes note of how things are."""
    RUNNING = 3
    OVER = 4


@dataclass(slots=True)
class FaultCourse:
    """One fault of the file. `begun_us` and `ended_us` are when it was really done and undone."""

    number: int
    at_us: int
    end_us: int
    stage: FaultStage = FaultStage.WAITING
    injections: list[InjectionCourse] = field(default_factory=list)
    confirmation: Confirmation = UNSEEN
    look_us: int = 0
    is_looking: bool = False
    begun_us: int | None = None
    ended_us: int | None = None

    @property
    def is_over(self) -> bool:
        """Return whether nothing of it is in force, or about to be."""
        busy = self.stage in (FaultStage.RESOLVING, FaultStage.WATCHED)
        return not busy and all(one.is_over for one in self.injections)
