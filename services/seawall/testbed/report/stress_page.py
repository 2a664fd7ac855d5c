"""The page of `seawall sim stress`: what faults cost at saturation, by protocol."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from math import isfinite

from seawall.sim.bench import PROTOCOLS
from seawall.sim.capacity import Capacity
from seawall.sim.saturation import (
    HEADER,
    LATENCY_RATIO_MAX,
    LOAD_SHARE,
    THROUGHPUT_SHARE_MIN,
    Study,
    row,
)
from seawall.sim.stress import Reading
from seawall.testbed.report.document import frame
from seawall.testbed.report.svg import COLOURS, Axis, Plot
from seawall.testbed.report.tables import table

HEADROOM = 1.1
MARGIN = 0.4


def render_page(studies: Sequence[Study], capacity: Capacity) -> str:
    """Return the report as one HTML document without any reference to elsewhere."""
    return frame("Seawall, faults at saturation", "\n".join(_body(studies, capacity)))


def _body(studies: Sequence[Study], capacity: Capacity) -> Iterator[str]:
    runs = [(study, run) for study in studies for run in study.runs]
    good = sum(study.holds(run) for study, run in runs)
    mood = "good" if good == len(runs) else "bad"
    yield "<h1>Faults at saturation</h1>"
    yield (
        "<p>Virtual time, links of 100 ms, sites with one core for consensus, one for the ledger, "
        f"and one uplink. The load is {LOAD_SHARE:.0%} of the highest that commits follow, and "
        "stays the same under faults: clients of a failed site go to the others.</p>"
    )
    yield (
        f'<div class="verdict {mood}">{good} of {len(runs)} runs keep '
        f"{THROUGHPUT_SHARE_MIN:.0%} of the throughput and {LATENCY_RATIO_MAX:g} times the latency"
        "</div>"
    )
    limits = ", ".join([f"{name} {value:,}" for name, value in asdict(capacity).items()])
    yield f"<p>{limits}</p>"
    for protocol in PROTOCOLS:
        chosen = [study for study in studies if study.setting.protocol == protocol]
        if chosen:
            yield from _protocol(protocol, chosen)
    yield "<footer>Written by seawall sim stress. This page loads nothing from anywhere.</footer>"


def _protocol(protocol: str, studies: Sequence[Study]) -> Iterator[str]:
    yield f"<h2>{protocol}: load and latency without faults</h2>"
    yield "<p>Median, from handed to a site to answered by its ledger.</p>"
    yield f"<figure>{_load(studies)}</figure>"
    yield f"<h2>{protocol}: under faults</h2>"
    yield "<p>Median latency, and throughput, over those of the run without faults.</p>"
    ratio = _by_trouble(
        studies, "latency, times", Study.latency_ratio, LATENCY_RATIO_MAX, "allowed"
    )
    yield f"<figure>{ratio}</figure>"
    share = _by_trouble(
        studies, "throughput, share", Study.throughput_share, THROUGHPUT_SHARE_MIN, "required"
    )
    yield f'<figure style="margin:14px 0">{share}</figure>'
    pairs = [(study, run) for study in studies for run in study.runs]
    marks = ["good" if study.holds(run) else "bad" for study, run in pairs]
    yield table(HEADER, [row(study, run) for study, run in pairs], marks)


def _name(study: Study) -> str:
    return f"n = {study.setting.size}{', jitter' if study.setting.jitter else ''}"


def _load(studies: Sequence[Study]) -> str:
    lines = [
        [(probe.offered, probe.latency_p50_ms / 1000) for probe in (*one.runs[:1], *one.probes)]
        for one in studies
    ]
    shown = [[(x, y) for x, y in points if isfinite(y)] for points in lines]
    everything = [point for points in shown for point in points]
    plot = Plot(
        "latency by load",
        Axis(
            low=0,
            high=max([x for x, _ in everything], default=1) * HEADROOM,
            title="offered updates/s",
            text="{:,.0f}".format,
        ),
        Axis(low=0, high=max([y for _, y in everything], default=1) * HEADROOM, title="s, median"),
    )
    for place, (study, points) in enumerate(zip(studies, shown, strict=True)):
        plot.line(sorted(points), _name(study), COLOURS[place % len(COLOURS)])
    return plot.render()


def _by_trouble(
    studies: Sequence[Study],
    title: str,
    value: Callable[[Study, Reading], float],
    limit: float,
    word: str,
) -> str:
    names = [run.trouble.value for run in studies[0].runs]
    found = [
        [(float(place), value(study, run)) for place, run in enumerate(study.runs)]
        for study in studies
    ]
    heights = [y for points in found for _, y in points if isfinite(y)]
    plot = Plot(
        f"{title}, by fault",
        Axis(
            low=-MARGIN,
            high=len(names) - 1 + MARGIN,
            title="",
            text=lambda at: names[round(at)] if 0 <= round(at) < len(names) else "",
        ),
        Axis(low=0, high=max([*heights, limit]) * HEADROOM, title=title),
    )
    for place, (study, points) in enumerate(zip(studies, found, strict=True)):
        shown = [(x, y) for x, y in points if isfinite(y)]
        plot.line(shown, _name(study), COLOURS[place % len(COLOURS)])
    plot.level(limit, f"{word}: {limit:g}")
    return plot.render()
