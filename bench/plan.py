"""What a whole run of the benchmark consists of, in which order, and how long it takes."""

import time
from collections.abc import Callable
from dataclasses import dataclass

SITES_DEFAULT = (4, 7, 10)
WINDOW_SITES = 4
"""Windows below are for so many sites; more sites share the same number of updates."""

WINDOW_MIN = 4
START_SECONDS = 6.0
"""Guess for starting and stopping four sites; more take longer in proportion."""

SIGNED_PER_SECOND = 15_000
"""Guess for how fast a generator signs ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A payload size and how it is driven.

    Attributes:
        label: as it is printed.
        payload_bytes: size of the safetensors file.
        window: updates on their way per site in the closed loop, with four sites.
        rate_max: bound on the rate for which updates are signed ahead.

    """

    label: str
    payload_bytes: int
    window: int
    rate_max: int

    def window_of(self, sites: int) -> int:
        """Return the updates on their way per site in the closed loop, with so many sites."""
        return max(WINDOW_MIN, self.window * WINDOW_SITES // sites)


SIZES = (
    Size(label="1 KB", payload_bytes=1 << 10, window=512, rate_max=6000),
    Size(label="64 KB", payload_bytes=1 << 16, window=96, rate_max=2000),
    Size(label="1 MB", payload_bytes=1 << 20, window=10, rate_max=300),
)

COMPARED = Size(label="252 B", payload_bytes=252, window=512, rate_max=6000)
"""What is sent where other systems get values of 250 bytes; payloads are multiples of 4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Seconds of each part, and how often each cell is run."""

    idle: float
    warm: float
    closed: float
    open: float
    single: float
    runs: int

    def run_seconds(self, sites: int, size: Size) -> float:
        """Return about how long one run takes, without a look at idle sites."""
        loaded = 3 * self.warm + self.closed + self.open + self.single
        signing = size.rate_max * (self.warm + self.closed) / SIGNED_PER_SECOND
        return loaded + signing + START_SECONDS * sites / WINDOW_SITES


FULL = Lengths(idle=15.0, warm=4.0, closed=20.0, open=20.0, single=15.0, runs=3)
QUICK = Lengths(idle=4.0, warm=2.0, closed=4.0, open=4.0, single=4.0, runs=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One number of sites and one payload size; `idle` asks for a look at sites without load."""

    sites: int
    size: Size
    idle: bool = False


def cells_of(sites: tuple[int, ...], labels: tuple[str, ...], *, idle: bool) -> tuple[Cell, ...]:
    """Return the cells in their order; the first one of each number of sites looks at idle sites.

    Raises:
        ValueError: there is no such payload size, or a number of sites below four.

    """
    known = {size.label: size for size in (*SIZES, COMPARED)}
    unknown = [label for label in labels if label not in known]
    if unknown or min(sites) < WINDOW_SITES:
        raise ValueError(f"choose sizes among {', '.join(known)}, and at least four sites")
    sizes = [known[label] for label in labels] or list(SIZES)
    return tuple(
        Cell(sites=n, size=size, idle=idle and size is sizes[0]) for n in sites for size in sizes
    )


class Progress:
    """Tells what goes on, and how long the rest will take at the pace so far."""

    def __init__(
        self,
        planned_seconds: float,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Expect so many seconds of work in all."""
        self._left = planned_seconds
        self._done = 0.0
        self._tell = tell
        self._clock = clock
        self._started = clock()

    def say(self, message: str) -> None:
        """Tell something, with the time that is left."""
        self._tell(f"{message} ({self.left_text} left)")

    def finished(self, planned_seconds: float) -> None:
        """Take note that a part is done for which so many seconds were planned."""
        self._done += planned_seconds
        self._left = max(0.0, self._left - planned_seconds)

    @property
    def left_seconds(self) -> float:
        """Return how long the rest will take."""
        spent = self._clock() - self._started
        pace = spent / self._done if self._done else 1.0
        return self._left * pace

    @property
    def left_text(self) -> str:
        """Return how long the rest will take, in words."""
        seconds = self.left_seconds
        return f"about {seconds / 60:.0f} min" if seconds >= 90 else f"about {seconds:.0f} s"  # noqa: PLR2004 - from here on minutes say enough
