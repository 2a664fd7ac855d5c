"""Runs side by side: one file in the simulator, on a laptop and on a cluster, or over time."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from seawall.errors import LocalError, OperationalError
from seawall.testbed.chaos.run_directory import RunDirectory
from seawall.testbed.experiment.samples import Samples
from seawall.testbed.report.document import frame
from seawall.testbed.report.svg import COLOURS, Axis, Plot

FILE_BYTES_MAX: Final = 256 << 20
STEPS: Final = 200
SECOND_US: Final = 1_000_000
RUNS_MAX: Final = len(COLOURS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One run of a comparison."""

    name: str
    status: dict[str, Any]
    experiment: str
    samples: Samples

    @property
    def label(self) -> str:
        """Return how it is called in plots: where it ran."""
        return f"{self.status['backend']}, {self.name}"


def read_run(home: RunDirectory) -> Compared:
    """Return what a finished run has left.

    Raises:
        LocalError: CHAOS_RUN for a run without a verdict.
        OperationalError: CHAOS_RUN_READ.

    """
    try:
        with home.verdict.open("rb") as file:
            document = json.loads(file.read(FILE_BYTES_MAX))
        with home.samples.open("rb") as file:
            samples = Samples.decode(file.read(FILE_BYTES_MAX))
        name = str(document["metadata"]["name"])
        return Compared(name=home.name, status=document["status"], experiment=name, samples=samples)
    except FileNotFoundError as fault:
        hint = f"{home.name} has no verdict: it goes on, or was cut short"
        raise LocalError("CHAOS_RUN", hint, field="RUN") from fault
    except OSError as fault:
        raise OperationalError("CHAOS_RUN_READ", f"cannot read {home.path}") from fault
    except (ValueError, KeyError, TypeError) as fault:
        hint = f"{home.verdict} is not what a run writes"
        raise LocalError("CHAOS_RUN", hint, field="RUN") from fault


HEADER: Final = (
    *("run", "on", "verdict", "baseline final p50", "p95", "committed p50", "p95"),
    *("hold final p50", "p95", "committed p50", "p95"),
    *("retained", "recovery", "sensitivity", "committed"),
)


def rows(runs: Sequence[Compared]) -> list[tuple[str, ...]]:
    """Return one row for each run, under `HEADER`; latencies in ms."""
    return [tuple(_cells(run)) for run in runs]


def _cells(run: Compared) -> Iterator[str]:
    figures = run.status["figures"]
    yield from (run.name, str(run.status["backend"]), str(run.status["verdict"]))
    for phase in figures["phases"][:2]:
        for kind in ("final_latency", "committed_latency"):
            for quantile in ("p50", "p95"):
                yield _number(phase[kind][quantile], "{:.0f}")
    yield _number(figures["throughput_retained"], "{:.0%}")
    yield _number(figures["recovery_seconds"], "{:.2f} s")
    yield _number(figures["sensitivity_seconds"], "{:.3f} s")
    yield f"{figures['committed']} of {figures['updates']}"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def render(runs: Sequence[Compared]) -> str:
    """Return the page: figures, findings, and distributions of the same phase over each other."""
    names = list(dict.fromkeys(run.experiment for run in runs))
    return frame(f"Comparison of {', '.join(names)}", "\n".join(_body(runs, names)))


def _body(runs: Sequence[Compared], names: Sequence[str]) -> Iterator[str]:
    yield f"<h1>{escape(', '.join(names))}: {len(runs)} runs side by side</h1>"
    yield "<p>Latencies in ms, handed in to final and to committed; simulated ones are virtual.</p>"
    yield from _figures(runs)
    yield "<h2>What was found</h2>"
    yield from _findings(runs)
    for phase, title in enumerate(("Before the faults", "Under the faults")):
        yield f"<h2>{title}: committed latency</h2>"
        yield f"<figure>{_distribution(runs, phase)}</figure>"
    yield "<h2>Committed over time</h2>"
    yield "<p>Updates a second; red is the hold phase.</p>"
    for run, colour in zip(runs, COLOURS, strict=False):
        yield f'<figure style="margin-top:14px">{_throughput(run, colour)}</figure>'
    yield "<footer>Written by seawall chaos compare. This page loads nothing.</footer>"


def _figures(runs: Sequence[Compared]) -> Iterator[str]:
    """Yield the table turned: one column a run, so that many figures fit the page."""
    yield '<div class="sheet"><table class="plain">'
    columns = rows(runs)
    for place, name in enumerate(HEADER):
        tag = "td" if place else "th"
        cells = "".join(f"<{tag}>{escape(column[place])}</{tag}>" for column in columns)
        group = "hold " if 7 < place < 11 else "baseline " if 3 < place < 7 else ""  # noqa: PLR2004 - columns
        label = group + name if not name.startswith(("hold", "baseline")) else name
        yield f"<tr><th>{escape(label)}</th>{cells}</tr>"
    yield "</table></div>"


def _findings(runs: Sequence[Compared]) -> Iterator[str]:
    subjects = list(dict.fromkeys(one["subject"] for run in runs for one in run.status["findings"]))
    heads = "".join(f"<th>{escape(run.label)}</th>" for run in runs)
    yield f'<div class="sheet"><table class="plain"><tr><th>what</th>{heads}</tr>'
    for subject in subjects:
        cells = []
        for run in runs:
            found = [one for one in run.status["findings"] if one["subject"] == subject]
            if not found:
                cells.append("<td>-</td>")
                continue
            good = found[0]["verdict"] == "PASS"
            mood, mark = ("good", "ok") if good else ("bad", found[0]["verdict"])
            observed = escape(found[0]["observed"])
            cells.append(f'<td><span class="mark {mood}">{mark}</span>: {observed}</td>')
        yield f"<tr><td>{escape(subject)}</td>{''.join(cells)}</tr>"
    yield "</table></div>"


def _distribution(runs: Sequence[Compared], phase: int) -> str:
    lines = [(run.label, _waits_ms(run, phase)) for run in runs]
    # Virtual and real latencies may be orders apart.
    lowest = min([waits[0] for _, waits in lines if waits], default=1.0)
    highest = max([waits[-1] for _, waits in lines if waits], default=10.0)
    low = 10.0 ** math.floor(math.log10(max(lowest, 0.1)))
    high = max(10.0 ** math.ceil(math.log10(max(highest, 0.1))), 10 * low)
    plot = Plot(
        "share of updates by latency",
        Axis(low=low, high=high, title="ms, handed in to committed", logarithmic=True),
        Axis(low=0, high=118, title="updates, %"),
    )
    for (name, waits), colour in zip(lines, COLOURS, strict=False):
        total = max(1, len(_members(runs, name, phase)))
        step = max(1, len(waits) // STEPS)
        points = [
            (min(wait, high), 100.0 * (at + 1) / total)
            for at, wait in enumerate(waits)
            if at % step == 0 or at == len(waits) - 1
        ]
        plot.line(points, name, colour)
    return plot.render()


def _members(runs: Sequence[Compared], label: str, phase: int) -> list[int | None]:
    run = next(one for one in runs if one.label == label)
    ends = (0, *run.status["endsUs"])
    return [
        None if one.committed_us is None else one.committed_us - one.submitted_us
        for one in run.samples.updates
        if one.is_honest and ends[phase] <= one.submitted_us < ends[phase + 1]
    ]


def _waits_ms(run: Compared, phase: int) -> list[float]:
    found = [wait for wait in _members([run], run.label, phase) if wait is not None]
    return sorted(wait / 1000 for wait in found)


def _throughput(run: Compared, colour: str) -> str:
    baseline_us, heal_us, end_us = run.status["endsUs"]
    width_us = max(SECOND_US // 5, end_us // 60)
    counts = [0] * max(1, end_us // width_us)
    for one in run.samples.updates:
        if one.committed_us is not None and one.committed_us // width_us < len(counts):
            counts[one.committed_us // width_us] += 1
    seconds = width_us / SECOND_US
    points = [((at + 0.5) * seconds, count / seconds) for at, count in enumerate(counts)]
    top = max(1.0, *[rate for _, rate in points])
    plot = Plot(
        f"committed a second, {run.label}",
        Axis(low=0, high=max(end_us / SECOND_US, 1.0), title=f"seconds, {run.label}"),
        Axis(low=0, high=top * 1.15, title="updates a second"),
    )
    hold = f"hold of {run.label}"
    plot.band(baseline_us / SECOND_US, heal_us / SECOND_US, "hold", hold, "#dc2626")
    plot.line(points, "committed", colour)
    return plot.render()
