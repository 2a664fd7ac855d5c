"""The figures of a run: rates and latencies by phase, recovery, and what was retained."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from seawall.sim.network import SECOND_US
from seawall.testbed.experiment.samples import Samples, Update

QUANTILES: Final = (0.5, 0.95, 0.99)
MILLISECOND_US: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Quantiles in milliseconds over `count` updates; None where that many never got there."""

    count: int
    missing: int
    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseFigures:
    """One phase: rates a second of virtual time, and latencies of what was handed in during it.

    `committed` and `final` count updates by when they got there, whenever they were handed in.
    """

    name: str
    start_us: int
    end_us: int
    handed_in: float
    final: float
    committed: float
    final_latency: Latency
    committed_latency: Latency


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All figures; see docs/experiments.md.

    `spared_final` and `spared_committed` are latencies under the faults at sites that no fault
    hits itself. `recovery_seconds` is None where some site has not resumed, `sensitivity_seconds`
    the area between the distributions of committed latencies before and under the faults.
    """

    phases: tuple[PhaseFigures, ...]
    spared_final: Latency
    spared_committed: Latency
    recovery_seconds: float | None
    throughput_retained: float | None
    sensitivity_seconds: float | None
    progressed: int
    updates: int
    committed: int


def quantiles(values: Sequence[int | None]) -> Latency:
    """Return the quantiles of latencies in microseconds; None is longer than any number."""
    found = sorted(value for value in values if value is not None)

    def quantile(share: float) -> float | None:
        place = int(share * len(values))
        return found[place] / MILLISECOND_US if place < len(found) else None

    p50, p95, p99 = (quantile(share) for share in QUANTILES)
    missing = len(values) - len(found)
    return Latency(count=len(values), missing=missing, p50=p50, p95=p95, p99=p99)


def area_us(first: Sequence[int], second: Sequence[int]) -> int:
    """Return the area between the cumulative distributions of two samples.

    Source: Gramoli et al., Stabl, arXiv 2409.13142.
    """
    ends = sorted([*first, *second])
    a, b = sorted(first), sorted(second)
    area, at_a, at_b = 0.0, 0, 0
    for left, right in pairwise(ends):
        while at_a < len(a) and a[at_a] <= left:
            at_a += 1
        while at_b < len(b) and b[at_b] <= left:
            at_b += 1
        area += abs(at_a / len(a) - at_b / len(b)) * (right - left)
    return int(area)


def figures_of(
    samples: Samples,
    ends_us: tuple[int, int, int],
    hit: Sequence[int],
    running: Sequence[int],
    stopped_us: int,
) -> Figures:
    """Return the figures of a run with these ends of its phases.

    `hit` are sites that faults hit, `running` the honest sites that run at the end, and
    `stopped_us` is where the run ended.
    """
    baseline_us, heal_us, end_us = ends_us
    # A run that was stopped by a violation has no more than it had until then.
    ran_us = [min(end, stopped_us) for end in (0, *ends_us)]
    names = ("baseline", "hold", "recover")
    honest = [update for update in samples.updates if update.is_honest]
    phases = tuple(
        _phase(name, samples, honest, start, end)
        for name, (start, end) in zip(names, pairwise(ran_us), strict=True)
    )
    held = _between(honest, baseline_us, heal_us)
    spared = [update for update in held if update.site not in hit]
    before = _between(honest, 0, baseline_us)
    reached = [u.committed_us for u in held if u.committed_us is not None]
    resumed = [samples.resumed_us.get(site) for site in running]
    back = [at_us for at_us in resumed if at_us is not None]
    recovery = (max(back) - heal_us) / SECOND_US if back and len(back) == len(resumed) else None
    retained = phases[1].committed / phases[0].committed if phases[0].committed else None
    first = [_latency(u, u.committed_us, stopped_us) for u in before]
    second = [_latency(u, u.committed_us, stopped_us) for u in held]
    counted = _between(samples.updates, 0, end_us)
    return Figures(
        phases=phases,
        spared_final=quantiles([_since(u, u.final_us) for u in spared]),
        spared_committed=quantiles([_since(u, u.committed_us) for u in spared]),
        recovery_seconds=recovery,
        throughput_retained=retained,
        sensitivity_seconds=area_us(first, second) / SECOND_US if first and second else None,
        progressed=sum(at_us < heal_us for at_us in reached),
        updates=len(counted),
        committed=sum(update.committed_us is not None for update in counted),
    )


def _between(updates: Sequence[Update], start_us: int, end_us: int) -> list[Update]:
    return [update for update in updates if start_us <= update.submitted_us < end_us]


def _since(update: Update, at_us: int | None) -> int | None:
    return None if at_us is None else at_us - update.submitted_us


def _latency(update: Update, at_us: int | None, stopped_us: int) -> int:
    """Return a latency; what never got there counts as long as the run went on."""
    return (stopped_us if at_us is None else at_us) - update.submitted_us


def _phase(
    name: str, samples: Samples, honest: Sequence[Update], start_us: int, end_us: int
) -> PhaseFigures:
    seconds = (end_us - start_us) / SECOND_US
    members = _between(honest, start_us, end_us)
    finals = [update.final_us for update in honest]
    committed = [update.committed_us for update in honest]

    def rate(times: Sequence[int | None]) -> float:
        inside = sum(at is not None and start_us <= at < end_us for at in times)
        return inside / seconds if seconds else 0.0

    return PhaseFigures(
        name=name,
        start_us=start_us,
        end_us=end_us,
        handed_in=rate(samples.handed_in_us),
        final=rate(finals),
        committed=rate(committed),
        final_latency=quantiles([_since(u, u.final_us) for u in members]),
        committed_latency=quantiles([_since(u, u.committed_us) for u in members]),
    )
