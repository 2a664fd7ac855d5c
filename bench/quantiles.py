"""Order statistics of latencies, without interpolation: every figure is a measured value."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """What is reported of a set of durations, in milliseconds; count says of how many."""

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


def nearest_rank(ascending: Sequence[float], percent: float) -> float:
    """Return the least value that at least `percent` per cent of the values do not exceed.

    Raises:
        ValueError: there are no values, or the percentage is not above 0 and at most 100.

    """
    if not ascending:
        raise ValueError("a percentile needs at least one value")
    if not 0 < percent <= 100:  # noqa: PLR2004 - per cent
        raise ValueError("choose a percentage above 0 and at most 100")
    # Percentages have at most three decimals here; the rounding keeps 95 % of 20 at 19, not 20.
    rank = ceil(round(len(ascending) * percent / 100, 9))
    return ascending[rank - 1]


def summarise(seconds: Sequence[float]) -> Latency | None:
    """Return the percentiles of durations given in seconds, or None when there are none."""
    if not seconds:
        return None
    ascending = sorted(seconds)
    return Latency(
        count=len(ascending),
        p50_ms=nearest_rank(ascending, 50) * 1e3,
        p95_ms=nearest_rank(ascending, 95) * 1e3,
        p99_ms=nearest_rank(ascending, 99) * 1e3,
        max_ms=ascending[-1] * 1e3,
    )


def median(values: Sequence[float]) -> float:
    """Return the middle value, the lower one of two.

    Raises:
        ValueError: there are no values.

    """
    return nearest_rank(sorted(values), 50)
