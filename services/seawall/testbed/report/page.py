"""Writes the report of a demo: one page that needs no network, the table, and JSON."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from html import escape
from pathlib import Path

import msgspec

from seawall.testbed.demo import outcomes
from seawall.testbed.demo.runner import Result
from seawall.testbed.report import plots
from seawall.testbed.report.document import frame


def document_of(result: Result) -> dict[str, object]:
    """Return a demo as JSON values."""
    return {
        "apiVersion": "seawall.dev/v1",
        "kind": "DemoResult",
        "spec": {
            "settings": msgspec.to_builtins(result.state.settings),
            "holds": result.holds,
            "schedule": [asdict(attack) for attack in result.schedule],
            "outcomes": outcomes.to_json(result.outcomes),
            "figures": msgspec.to_builtins(result.figures),
            "audit": list(result.audit),
            "run": msgspec.to_builtins(result.state.run),
        },
    }


def write_report(result: Result, directory: Path) -> dict[str, Path]:
    """Write page, table and JSON; return their paths by name."""
    pages = {
        "report": ("report.html", render_page(result)),
        "table": ("outcomes.txt", outcomes.render(result.outcomes)),
        "json": ("result.json", json.dumps(document_of(result), indent=1) + "\n"),
    }
    for name, text in pages.values():
        (directory / name).write_text(text, encoding="utf-8")
    return {kind: directory / name for kind, (name, _) in pages.items()}


def render_page(result: Result) -> str:
    """Return the report as one HTML document without any reference to elsewhere."""
    title = f"Seawall demo, seed {result.state.settings.seed}"
    return frame(title, "\n".join(_body(result)))


def _body(result: Result) -> Iterator[str]:
    settings, run = result.state.settings, result.state.run
    good = sum(outcome.holds for outcome in result.outcomes)
    mood = "good" if result.holds else "bad"
    yield "<h1>Seawall demo</h1>"
    yield (
        f"<p>{settings.sites} sites as separate processes, {settings.contributors} contributors "
        f"training on handwritten digits, {settings.cheats} of them cheating, "
        f"{settings.slow_share:.0%} of them {settings.slow_factor} times as slow; "
        f"seed {settings.seed}.</p>"
    )
    yield f'<div class="verdict {mood}">{good} of {len(result.outcomes)} expectations held</div>'
    yield from _tiles(result)
    yield "<h2>Accuracy under attack</h2>"
    yield (
        "<p>Share of 360 test images that each model version labels correctly. Red spans are "
        "attacks, numbered as in the list below the plots.</p>"
    )
    yield f"<figure>{plots.accuracy(run, settings)}</figure>"
    names = [f"site-{index}" for index in range(settings.sites)]
    yield "<h2>Where each site stood</h2>"
    yield "<p>Commits in each site's ledger. A gap is a site that did not answer.</p>"
    yield f"<figure>{plots.heights(run, names)}</figure>"
    yield "<ol>" + "".join(f"<li>{escape(one.name)}</li>" for one in _in_order(result)) + "</ol>"
    yield "<h2>Latency</h2>"
    yield (
        "<p>From signed by a contributor to acknowledged: committed under a checkpoint that sites "
        "of quorum stake have cosigned.</p>"
    )
    yield f"<figure>{plots.latency_over_time(run)}</figure>"
    yield f'<figure style="margin-top:14px">{plots.latency_distribution(run)}</figure>'
    yield "<h2>What was expected, what was observed</h2>"
    yield from _outcomes(result)
    yield "<h2>The audit</h2>"
    yield (
        "<p>A program that shares no code with Seawall read the exported ledgers, receipts and "
        "payloads.</p>"
    )
    yield from _audit(result)
    yield "<h2>Time</h2>"
    yield from _phases(result)
    yield "<footer>Written by seawall demo. This page loads nothing from anywhere.</footer>"


def _in_order(result: Result) -> list[outcomes.Band]:
    return sorted(result.state.run.bands, key=lambda band: band.number)


def _tiles(result: Result) -> Iterator[str]:
    figures = result.figures
    tiles = [
        (f"{figures.accuracy:.1%}", "accuracy of the last version"),
        (str(result.state.version), "model versions"),
        (f"{figures.acknowledged:,}", "updates acknowledged"),
        (f"{figures.latency_ms['p50']:.0f} ms", "median latency"),
        (f"{figures.latency_ms['p99']:.0f} ms", "latency, 99th percentile"),
        (f"{figures.updates_per_second:g}", "updates a second"),
        (f"{figures.receipts:,}", "receipts, verified offline"),
        (f"{figures.entries:,}", "ledger entries"),
    ]
    cells = [
        f'<div class="tile"><b>{escape(a)}</b><span>{escape(b)}</span></div>' for a, b in tiles
    ]
    yield f'<div class="tiles">{"".join(cells)}</div>'


def _outcomes(result: Result) -> Iterator[str]:
    header = "".join(f"<th>{name}</th>" for name in ("", "what", "expected", "observed"))
    yield f'<div class="sheet"><table><tr>{header}</tr>'
    for one in result.outcomes:
        mood, mark = ("good", "ok") if one.holds else ("bad", "FAIL")
        detail = f" ({escape(one.detail)})" if one.detail and one.holds else ""
        yield (
            f'<tr><td class="mark {mood}">{mark}</td><td>{escape(one.subject)}</td>'
            f"<td>{escape(one.expected)}</td><td>{escape(one.observed)}{detail}</td></tr>"
        )
    yield "</table></div>"


def _audit(result: Result) -> Iterator[str]:
    yield '<div class="sheet"><table>'
    for line in result.audit:
        mark, claim, observed = ([*line.split(" | ", 2), "", ""])[:3]
        mood = "good" if mark.strip() == "ok" else "bad"
        yield (
            f'<tr><td class="mark {mood}">{escape(mark.strip())}</td><td>{escape(claim)}</td>'
            f'<td class="code">{escape(observed)}</td></tr>'
        )
    yield "</table></div>"


def _phases(result: Result) -> Iterator[str]:
    yield '<div class="sheet"><table>'
    for name, seconds in result.figures.seconds.items():
        yield f"<tr><td>{escape(name)}</td><td>{seconds:.1f} s</td></tr>"
    yield "</table></div>"
