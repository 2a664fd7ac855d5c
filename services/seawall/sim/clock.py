"""A seat's clocks: how they differ from the world's time, and when a timer by them is due."""

from dataclasses import dataclass
from typing import Final

from seawall.consensus.engine import Instant

MILLION: Final = 1_000_000


@dataclass(slots=True, kw_only=True)
class Clock:
    """A monotonic clock and a wall clock that drift together; an offset moves the wall clock only.

    The monotonic clock showed `_shown_us` at `_since_us` of the world, and runs from there at
    its rate: it never jumps.
    """

    boot_us: int
    wall_ms: int
    offset_ms: int = 0
    drift_ppm: int = 0
    _since_us: int = 0
    _shown_us: int = 0

    def change(self, now_us: int, offset_ms: int, drift_ppm: int) -> None:
        """Set offset and rate from this instant on."""
        self._shown_us = self._elapsed_us(now_us)
        self._since_us = now_us
        self.offset_ms = offset_ms
        self.drift_ppm = drift_ppm

    def instant(self, now_us: int) -> Instant:
        """Return what both clocks show."""
        elapsed_us = self._elapsed_us(now_us)
        wall_ms = self.wall_ms + elapsed_us // 1000 + self.offset_ms
        return Instant(elapsed_us=self.boot_us + elapsed_us, wall_ms=wall_ms)

    def due_us(self, wake_at_us: int) -> int:
        """Return the world's time at which the monotonic clock shows this."""
        ahead_us = wake_at_us - self.boot_us - self._shown_us
        return self._since_us - (-ahead_us * MILLION // (MILLION + self.drift_ppm))

    def _elapsed_us(self, now_us: int) -> int:
        passed_us = now_us - self._since_us
        return self._shown_us + passed_us * (MILLION + self.drift_ppm) // MILLION
