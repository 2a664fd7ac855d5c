"""The page of an experiment: verdict, figures, plots with fault bands, findings."""

import json
from collections.abc import Iterator, Sequence
from html import escape

from seawall.testbed.experiment import plots
from seawall.testbed.experiment.happened import Happened
from seawall.testbed.experiment.outcome import SIMULATOR, Result
from seawall.testbed.experiment.tables import PHASE_HEADER, note, numbers, phase_row
from seawall.testbed.experiment.verdict import Verdict
from seawall.testbed.report.document import frame


def render_page(result: Result) -> str:
    """Return the report as one HTML document without any reference to elsewhere."""
    title = f"Experiment {result.experiment.metadata.name}"
    return frame(title, "\n".join(_body(result)))


def _body(result: Result) -> Iterator[str]:
    experiment = result.experiment
    spec = experiment.spec
    mood = "good" if result.verdict is Verdict.PASS else "bad"
    zones = spec.topology.zones if isinstance(spec.topology.zones, str) else "zones of its own"
    where = "the simulator" if result.backend == SIMULATOR else f"real sites, {result.backend}"
    yield f"<h1>{escape(experiment.metadata.name)}</h1>"
    yield f"<p>{escape(experiment.metadata.description)}</p>"
    yield f'<div class="verdict {mood}">{result.verdict.name}{note(result)}</div>'
    yield (
        f"<p>{spec.topology.sites} sites in {escape(zones)}, {spec.engine.mode} leaders, "
        f"{spec.workload.rate:g} updates a second of {spec.workload.contributors} contributors, "
        f"seed {spec.seed}; {where}, {result.elapsed_us / 1_000_000:.3g} {result.clock}.</p>"
    )
    tiles = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>'
        for name, value in numbers(result)
    )
    yield f'<div class="tiles">{tiles}</div>'
    yield "<h2>What was expected, what was observed</h2>"
    yield from _findings(result)
    if result.replay:
        yield "<p>Show it again:</p>"
        yield f'<div class="sheet"><pre class="replay">{escape(result.replay)}</pre></div>'
    yield "<h2>Faults</h2>"
    yield from _faults(result.injected)
    yield "<h2>Throughput</h2>"
    yield "<p>Red spans are faults, numbered as above.</p>"
    yield f"<figure>{plots.throughput(result)}</figure>"
    yield "<h2>Latency</h2>"
    yield (
        "<p>Of every update, over the time at which its contributor handed it in. Final: the site "
        "states that nothing can reject it any more. Committed: accepted in a certified commit.</p>"
    )
    yield f"<figure>{plots.latency(result)}</figure>"
    yield f'<figure style="margin-top:14px">{plots.distributions(result)}</figure>'
    yield "<h2>By phase</h2>"
    yield from _table(PHASE_HEADER, [phase_row(phase) for phase in result.figures.phases])
    yield "<p>Latencies in ms. Faults happen in the phase hold.</p>"
    yield "<h2>Where each site stood</h2>"
    yield f"<figure>{plots.heights(result)}</figure>"
    yield "<h2>The experiment</h2>"
    source = json.dumps(result.source, indent=2)
    yield f'<div class="sheet"><pre>{escape(source)}</pre></div>'
    yield "<footer>Written by seawall. This page loads nothing from anywhere.</footer>"


def _findings(result: Result) -> Iterator[str]:
    header = "".join(f"<th>{name}</th>" for name in ("", "what", "expected", "observed"))
    yield f'<div class="sheet"><table class="plain"><tr>{header}</tr>'
    for one in result.findings:
        mood, mark = ("good", "ok") if one.holds else ("bad", one.verdict.name)
        yield (
            f'<tr><td class="mark {mood}">{mark}</td><td>{escape(one.subject)}</td>'
            f"<td>{escape(one.expected)}</td><td>{escape(one.observed)}</td></tr>"
        )
    yield "</table></div>"


def _faults(injected: Sequence[Happened]) -> Iterator[str]:
    if not injected:
        yield "<p>None.</p>"
        return
    rows = [
        (
            f"{fault.number}",
            fault.kind,
            f"{fault.begin_us / 1_000_000:.2f} s to {fault.end_us / 1_000_000:.2f} s",
            ", ".join(f"site-{site}" for site in fault.hit) or "links",
            f"{len(fault.directions) or '-'}",
        )
        for fault in injected
    ]
    yield from _table(("", "kind", "when", "hits", "directions of links"), rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    heads = "".join(f"<th>{escape(name)}</th>" for name in header)
    yield f'<div class="sheet"><table class="plain"><tr>{heads}</tr>'
    for row in rows:
        yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
    yield "</table></div>"
