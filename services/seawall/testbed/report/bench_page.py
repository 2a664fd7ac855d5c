"""The page of `seawall sim bench`: the table, and how cost grows with the number of sites."""

from collections.abc import Callable, Iterator, Sequence

from seawall.sim.bench import DELAY_US, EXPECTED_FINAL, HEADER, PROTOCOLS, Figures, holds, row
from seawall.sim.network import MILLISECOND_US
from seawall.testbed.report.document import frame
from seawall.testbed.report.svg import COLOURS, Axis, Plot, Points
from seawall.testbed.report.tables import table

HEADROOM = 1.15


def render_page(cases: Sequence[Figures]) -> str:
    """Return the report as one HTML document without any reference to elsewhere."""
    return frame("Seawall, consensus in message delays", "\n".join(_body(cases)))


def _body(cases: Sequence[Figures]) -> Iterator[str]:
    good = sum(holds(figures) for figures in cases)
    mood = "good" if good == len(cases) else "bad"
    yield "<h1>Consensus in message delays</h1>"
    yield (
        f"<p>Virtual time: every link takes {DELAY_US // MILLISECOND_US} ms (1 δ), disks and "
        "ledgers nothing, nobody waits on purpose, all sites are honest.</p>"
    )
    yield f'<div class="verdict {mood}">{good} of {len(cases)} cases take the expected delays</div>'
    yield "<h2>Latency</h2>"
    yield (
        "<p>Median, from the proposal of a block to FINAL for its updates, the same three delays "
        "for every protocol, and to its commit in the total order, for blocks that do not "
        "lead.</p>"
    )
    yield f"<figure>{_latency(cases)}</figure>"
    yield "<h2>Cost of one committed update</h2>"
    yield "<p>Of all sites together. More updates in a block make each of them cheaper.</p>"
    for title, value in (
        ("messages an update", lambda one: one.messages),
        ("bytes an update", lambda one: one.bytes),
        ("signature checks an update", lambda one: one.signatures),
    ):
        yield f'<figure style="margin-top:14px">{_cost(cases, title, value)}</figure>'
    yield "<h2>All figures</h2>"
    yield (
        "<p>δ: message delays. expected: of leader and other blocks. update: from handed to its "
        "site to committed there, with the wait for the site's next block.</p>"
    )
    header = [*HEADER, "holds"]
    rows = [[*row(one), "yes" if holds(one) else "NO"] for one in cases]
    yield table(header, rows, ["good" if holds(one) else "bad" for one in cases])
    yield "<footer>Written by seawall sim bench. This page loads nothing from anywhere.</footer>"


def _latency(cases: Sequence[Figures]) -> str:
    highest = max([one.other or 0.0 for one in cases])
    plot = Plot(
        "latency by number of sites",
        _sizes(cases),
        Axis(low=0, high=highest + 1, title="message delays"),
    )
    for place, (name, points) in enumerate(_lines(cases, lambda one: one.other or 0.0)):
        plot.line(points, f"{name}, committed", COLOURS[place])
        plot.dots(points, "", COLOURS[place])
    plot.level(EXPECTED_FINAL, f"FINAL: {EXPECTED_FINAL}", below=True)
    for name, points in _lines(cases, lambda one: one.final or 0.0):
        plot.dots(points, "measured FINAL" if name == "sync" else "", COLOURS[len(PROTOCOLS)])
    return plot.render()


def _cost(cases: Sequence[Figures], title: str, value: Callable[[Figures], float]) -> str:
    values = [max(value(one), 1e-3) for one in cases]
    axis = Axis(
        low=min(values) / HEADROOM, high=max(values) * HEADROOM, title=title, logarithmic=True
    )
    plot = Plot(f"{title} by number of sites", _sizes(cases), axis)
    for place, (name, points) in enumerate(_lines(cases, value)):
        plot.line(points, name, COLOURS[place], width=2.0 + 1.5 * (len(PROTOCOLS) - 1 - place))
    return plot.render()


def _lines(
    cases: Sequence[Figures], value: Callable[[Figures], float]
) -> Iterator[tuple[str, Points]]:
    """Yield each protocol's name and its points by size."""
    for name, wave_length in PROTOCOLS.items():
        points = [(float(one.size), value(one)) for one in cases if one.wave_length == wave_length]
        if points:
            yield name, sorted(points)


def _sizes(cases: Sequence[Figures]) -> Axis:
    sizes = [one.size for one in cases]
    return Axis(
        low=min(sizes) / HEADROOM, high=max(sizes) * HEADROOM, title="sites", logarithmic=True
    )
