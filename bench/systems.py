"""What is compared between systems: latency one by one, peak, and a steady load below it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.quantiles import Latency, median

STEADY_SHARE = 0.7
"""Load of the steady phase, as a share of the peak that the same run reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One phase of load on a system.

    Attributes:
        rate: transactions acknowledged per second.
        latency: of each, from when it was due to the acknowledgement; None when not measured.
        cpu_seconds_per_1000: processor time of all nodes for 1,000 transactions.
        errors: transactions that were refused or not answered.

    """

    rate: float
    latency: Latency | None
    cpu_seconds_per_1000: float
    errors: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemReport:
    """One run of one system.

    Attributes:
        name: system and configuration.
        nodes: processes that replicate.
        bytes: size of a transaction as its client sees it.
        low: latency when one client sends one at a time.
        peak: highest load.
        steady: open loop at `STEADY_SHARE` of the peak.
        note: what one has to know to compare it.
        peak_ratio: Seawall's peak by this one's, the middle one of all turns.
        low_ratio: Seawall's median latency one at a time by this one's, likewise.

    """

    name: str
    nodes: int
    bytes: int
    low: Latency | None
    peak: Load | None
    steady: Load | None
    note: str = ""
    peak_ratio: float | None = None
    low_ratio: float | None = None


def best_of(runs: Sequence[SystemReport], ours: Sequence[SystemReport]) -> SystemReport:
    """Return the run with the highest peak, of runs of one system, and ratios of all turns.

    `ours` are Seawall's runs in the same turns.
    """
    best = max(runs, key=lambda run: 0.0 if run.peak is None else run.peak.rate)
    turns = list(zip(ours, runs, strict=True))
    peaks = [
        own.peak.rate / other.peak.rate
        for own, other in turns
        if own.peak is not None and other.peak is not None and other.peak.rate
    ]
    lows = [
        own.low.p50_ms / other.low.p50_ms
        for own, other in turns
        if own.low is not None and other.low is not None
    ]
    return replace(
        best,
        peak_ratio=median(peaks) if peaks else None,
        low_ratio=median(lows) if lows else None,
    )
