"""The plots of an experiment's page, with its faults as bands behind them."""

import math
from collections.abc import Sequence
from typing import Final

from seawall.sim.network import SECOND_US
from seawall.testbed.experiment.happened import Happened
from seawall.testbed.experiment.outcome import Result
from seawall.testbed.experiment.samples import Update
from seawall.testbed.report.svg import COLOURS, Axis, Plot, Points

BAND: Final = "#dc2626"
BUCKETS: Final = 60
"""At most so many steps of a rate over time."""
DOTS_MAX: Final = 2_500
STEPS: Final = 200
TEN_SECONDS_MS: Final = 10_000


def throughput(result: Result) -> str:
    """Return updates a second over time: handed in, final, committed."""
    end_us = _end_us(result)
    width_us = max(SECOND_US // 5, end_us // BUCKETS)
    samples = result.samples
    series: list[tuple[str, Sequence[int | None], str]] = [
        ("handed in", samples.handed_in_us, "#9ca3af"),
        ("final", [update.final_us for update in samples.updates], COLOURS[2]),
        ("committed", [update.committed_us for update in samples.updates], COLOURS[0]),
    ]
    lines = [(name, _rates(times, width_us, end_us), colour) for name, times, colour in series]
    top = max((rate for _, points, _ in lines for _, rate in points), default=1.0)
    plot = Plot(
        "updates a second over time",
        _seconds(result),
        Axis(low=0, high=max(1.0, top) * 1.15, title="updates a second"),
    )
    _add_bands(plot, result.injected)
    for name, points, colour in lines:
        plot.line(points, name, colour)
    return plot.render()


def latency(result: Result) -> str:
    """Return the latency of every update over the time at which it was handed in."""
    end_us = _end_us(result)
    updates = [update for update in result.samples.updates if update.submitted_us < end_us]
    step = max(1, len(updates) // DOTS_MAX)
    final = _points(updates[::step], "final")
    committed = _points(updates[::step], "committed")
    values = sorted(value for _, value in [*final, *committed]) or [10.0, 100.0]
    low = 10.0 ** math.floor(math.log10(max(values[0], 0.1)))
    high = max(10.0 ** math.ceil(math.log10(values[-1])), 10 * low)
    axis = Axis(
        low=low, high=high, title="ms since handed in", text=_milliseconds, logarithmic=True
    )
    plot = Plot("latency of updates", _seconds(result), axis)
    _add_bands(plot, result.injected)
    plot.dots(committed, "committed", COLOURS[0])
    plot.dots(final, "final", COLOURS[2])
    return plot.render()


def heights(result: Result) -> str:
    """Return the commits of each site over time."""
    sites = result.experiment.spec.topology.sites
    end_us = _end_us(result)
    steps = [step for step in result.samples.heights if step[0] <= end_us]
    top = max((height for _, _, height in steps), default=1)
    plot = Plot(
        "commits of each site over time",
        _seconds(result),
        Axis(low=0, high=top * 1.1, title="commits"),
    )
    _add_bands(plot, result.injected)
    shown = range(min(sites, len(COLOURS)))
    for site in shown:
        points = [(at / SECOND_US, float(h)) for at, s, h in steps if s == site]
        # Wide lines first: where all stand together each is seen as an edge.
        width = 1.5 + 1.2 * (len(shown) - 1 - site)
        plot.line(_thinned(points), f"site-{site}", COLOURS[site], width=width)
    return plot.render()


def distributions(result: Result) -> str:
    """Return the share of updates committed within a time, before and under the faults."""
    baseline_us, heal_us, _ = result.ends_us
    parts = [("baseline", 0, baseline_us), ("under the faults", baseline_us, heal_us)]
    found = [
        (name, [u for u in result.samples.updates if start <= u.submitted_us < end and u.is_honest])
        for name, start, end in parts
    ]
    every = sorted(value for _, updates in found for _, value in _points(updates, "committed"))
    high = max(every[-1] if every else 1.0, 1.0)
    plot = Plot(
        "share of updates by latency",
        Axis(low=0, high=high, title="ms, handed in to committed"),
        Axis(low=0, high=118, title="updates, %"),
    )
    for (name, updates), colour in zip(found, (COLOURS[2], BAND), strict=True):
        values = sorted(value for _, value in _points(updates, "committed"))
        count = max(1, len(updates))
        points = [(value, 100.0 * (at + 1) / count) for at, value in enumerate(values)]
        reached = [(high, points[-1][1])] if points else []
        plot.line([*_thinned(points), *reached], name, colour)
    return plot.render()


def _milliseconds(value: float) -> str:
    """Return a tick that has room: from ten seconds on with its own unit."""
    return f"{value / 1000:g} s" if value >= TEN_SECONDS_MS else f"{value:g}"


def _rates(times: Sequence[int | None], width_us: int, end_us: int) -> Points:
    counts = [0] * (end_us // width_us)
    for at_us in times:
        if at_us is not None and at_us // width_us < len(counts):
            counts[at_us // width_us] += 1
    seconds = width_us / SECOND_US
    return [((place + 0.5) * seconds, count / seconds) for place, count in enumerate(counts)]


def _points(updates: Sequence[Update], until: str) -> list[tuple[float, float]]:
    """Return (seconds, milliseconds) of every update that got that far."""
    found = []
    for update in updates:
        reached = update.final_us if until == "final" else update.committed_us
        if reached is not None:
            waited = (reached - update.submitted_us) / 1000
            found.append((update.submitted_us / SECOND_US, max(waited, 0.1)))
    return found


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    step = max(1, len(points) // STEPS)
    return [*points[::step], *points[-1:]]


def _end_us(result: Result) -> int:
    """Return where the plots end: with the last phase, or where a violation stopped the run."""
    return max(SECOND_US, min(result.ends_us[2], result.elapsed_us))


def _seconds(result: Result) -> Axis:
    end_us = _end_us(result)
    return Axis(low=0.0, high=end_us / SECOND_US, title=f"seconds{result.clock[1:]}")


def _add_bands(plot: Plot, injected: Sequence[Happened]) -> None:
    labels: dict[int, list[str]] = {}
    for fault in injected:
        labels.setdefault(fault.begin_us, []).append(f"{fault.number}")
    for fault in injected:
        start = fault.begin_us / SECOND_US
        end = min(fault.end_us / SECOND_US, plot.x.high)
        # Faults that begin together would write over each other.
        label = ", ".join(labels.pop(fault.begin_us, ()))
        plot.band(start, end, label, f"fault {fault.number}: {fault.kind}", BAND)
