"""Figures of a run: they differ from run to run, and so stand apart from the table."""

import math
from collections.abc import Sequence

import msgspec

from seawall.testbed.demo.messages import Acknowledged, Version
from seawall.testbed.demo.outcomes import Band, Sample


class Figures(msgspec.Struct, frozen=True):
    """What a run measured; times in seconds unless the name says milliseconds.

    Attributes:
        seconds: of each phase, by name.
        acknowledged: updates of enrolled contributors that were acknowledged.
        failed: those that were not.
        updates_per_second: acknowledged updates over the time of training.
        versions_per_second: versions over the time of training.
        latency_ms: percentiles of the time from signed to acknowledged.
        accuracy: of the last version, 0..1.
        receipts: receipts written and verified.
        entries: entries in the longest ledger.

    """

    seconds: dict[str, float]
    acknowledged: int
    failed: int
    updates_per_second: float
    versions_per_second: float
    latency_ms: dict[str, float]
    accuracy: float
    receipts: int
    entries: int


class Run(msgspec.Struct):
    """What happened when; seconds count from the start of the demo."""

    versions: list[tuple[float, Version]] = []
    updates: list[tuple[float, Acknowledged]] = []
    failures: list[str] = []
    samples: list[Sample] = []
    bands: list[Band] = []
    phases: dict[str, float] = {}

    def figures(self, *, receipts: int, entries: int) -> Figures:
        """Return the figures of the run so far."""
        latencies = sorted(update.milliseconds for _, update in self.updates)
        times = [seconds for seconds, _ in self.versions]
        span = max(times[-1] - times[0], 0.001) if times else 0.001
        count = len(self.updates)
        return Figures(
            seconds={name: round(value, 1) for name, value in self.phases.items()},
            acknowledged=count,
            failed=len(self.failures),
            updates_per_second=round(count / span, 1),
            versions_per_second=round((len(self.versions) - 1) / span, 2) if times else 0.0,
            latency_ms={
                name: round(percentile(latencies, share), 1)
                for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
            },
            accuracy=self.versions[-1][1].accuracy if self.versions else 0.0,
            receipts=receipts,
            entries=entries,
        )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the least value that `share` of the ordered values do not exceed; 0 for none."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def curve(values: Sequence[float], *, width: int = 60, height: int = 10) -> list[str]:
    """Return values in 0..1 as a plot in plain text, newest at the right."""
    if not values:
        return []
    columns = min(width, len(values))
    picked = [values[round(at * (len(values) - 1) / max(columns - 1, 1))] for at in range(columns)]
    lines = []
    for row in range(height, 0, -1):
        low = (row - 1) / height
        cells = "".join(_cell(value, low, 1 / height) for value in picked)
        lines.append(f"{100 * row / height:>5.0f} % |{cells}")
    lines.append("        +" + "-" * columns)
    lines.append(f"         v0{f'v{len(values) - 1}':>{max(columns - 2, 0)}}")
    return lines


def _cell(value: float, low: float, step: float) -> str:
    if value >= low + step:
        return " "
    if value < low:
        return " "
    return "*"
