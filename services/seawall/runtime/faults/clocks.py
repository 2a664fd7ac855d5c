"""A wall clock that an experiment sets wrong; the monotonic one stays right."""

from dataclasses import dataclass
from typing import Final

from seawall.runtime.clock import SystemClock

_PPM: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deviation:
    """How far a wall clock is off: a constant, and what it gains from `since_us` on."""

    offset_us: int
    drift_ppm: int
    since_us: int

    def at_us(self, elapsed_us: int) -> int:
        """Return how far it is off at a moment of the monotonic clock."""
        return self.offset_us + (elapsed_us - self.since_us) * self.drift_ppm // _PPM


class DeviantClock(SystemClock):
    """The system's clocks; several deviations of the wall clock add up.

    Read by the replica's thread while the event loop changes it: the tuple is replaced as a whole.
    """

    def __init__(self) -> None:
        """Start right."""
        self._deviations: tuple[Deviation, ...] = ()

    def wall_ms(self) -> int:
        """Return Unix milliseconds as a wrong clock gives them; never below zero."""
        if not self._deviations:
            return super().wall_ms()
        elapsed_us = self.elapsed_us()
        off_us = sum(one.at_us(elapsed_us) for one in self._deviations)
        return max(0, super().wall_ms() + off_us // 1000)

    def add(self, deviation: Deviation) -> None:
        """Set the clock wrong."""
        self._deviations = (*self._deviations, deviation)

    def remove(self, deviation: Deviation) -> None:
        """Take back one call of `add` with the same argument."""
        self._deviations = tuple(one for one in self._deviations if one is not deviation)
