"""The plots of a demo's report, from what happened when."""

import math
from collections.abc import Sequence

from seawall.testbed.demo.figures import Run, percentile
from seawall.testbed.demo.outcomes import Band
from seawall.testbed.demo.settings import DemoSettings
from seawall.testbed.report.svg import COLOURS, Axis, Plot

BAND = "#dc2626"
CUMULATIVE_STEPS = 200


def accuracy(run: Run, settings: DemoSettings) -> str:
    """Return test accuracy by version, over time, with the attacks behind it."""
    points = [(seconds, 100 * version.accuracy) for seconds, version in run.versions]
    plot = Plot("accuracy over time", _seconds(run), Axis(low=0, high=100, title="accuracy, %"))
    _add_bands(plot, run.bands)
    plot.level(100 * settings.accuracy_min, f"expected at the end: {settings.accuracy_min:.0%}")
    plot.line(points, "", COLOURS[0])
    plot.dots(points, "", COLOURS[0])
    return plot.render()


def heights(run: Run, names: Sequence[str]) -> str:
    """Return each site's commits over time; a gap is a site that did not answer."""
    top = max((max(sample.heights) for sample in run.samples), default=1)
    plot = Plot(
        "height of each site over time",
        _seconds(run),
        Axis(low=0, high=max(top, 1) * 1.05, title="commits"),
    )
    _add_bands(plot, run.bands)
    for site, name in enumerate(names):
        part: list[tuple[float, float]] = []
        parts = [part]
        for sample in run.samples:
            if sample.heights[site] < 0:
                part = []
                parts.append(part)
            else:
                part.append((sample.seconds, sample.heights[site]))
        label = name
        for line in parts:
            if line:
                width = 1.5 + 1.3 * (len(names) - 1 - site)
                plot.line(line, label, COLOURS[site % len(COLOURS)], width=width)
                label = ""
    return plot.render()


def latency_over_time(run: Run) -> str:
    """Return the latency of every update when it was acknowledged, on a logarithmic scale."""
    points = [(seconds, update.milliseconds) for seconds, update in run.updates]
    values = sorted(value for _, value in points) or [1.0, 10.0]
    low = 10.0 ** math.floor(math.log10(max(values[0], 1.0)))
    high = max(10.0 ** math.ceil(math.log10(max(values[-1], 2.0))), 10 * low)
    axis = Axis(low=low, high=high, title="ms, signed to acknowledged", logarithmic=True)
    plot = Plot("latency over time", _seconds(run), axis)
    _add_bands(plot, run.bands)
    plot.dots(points, "", COLOURS[3])
    plot.level(percentile(values, 0.5), "median")
    return plot.render()


def latency_distribution(run: Run) -> str:
    """Return the share of updates acknowledged within a time."""
    values = sorted(update.milliseconds for _, update in run.updates)
    high = max(percentile(values, 0.995), 1.0)
    plot = Plot(
        "share of updates by latency",
        Axis(low=0, high=high, title="ms, signed to acknowledged"),
        Axis(low=0, high=100, title="updates, %"),
    )
    count = max(len(values), 1)
    steps = max(1, count // CUMULATIVE_STEPS)
    points = [
        (min(value, high), 100 * (at + 1) / count)
        for at, value in enumerate(values)
        if at % steps == 0 or at == count - 1
    ]
    plot.line(points, "", COLOURS[2])
    for share in (50, 95, 99):
        label = f"p{share}: {percentile(values, share / 100):.0f} ms"
        plot.level(share, label, below=share != 99)  # noqa: PLR2004 - they stand close together
    return plot.render()


def _seconds(run: Run) -> Axis:
    start = run.samples[0].seconds if run.samples else 0.0
    end = run.samples[-1].seconds if run.samples else 1.0
    return Axis(low=start, high=max(end, start + 1.0), title="seconds since the start")


def _add_bands(plot: Plot, bands: Sequence[Band]) -> None:
    for band in bands:
        end = band.end if band.end >= 0 else plot.x.high
        plot.band(band.start, end, str(band.number), f"{band.number}: {band.name}", BAND)
