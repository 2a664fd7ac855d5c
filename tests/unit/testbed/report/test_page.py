import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from seawall.testbed.demo.figures import Run
from seawall.testbed.demo.messages import Acknowledged, Version
from seawall.testbed.demo.outcomes import Band, Outcome, Sample, expect
from seawall.testbed.demo.runner import Result
from seawall.testbed.demo.schedule import draw_schedule
from seawall.testbed.demo.settings import full
from seawall.testbed.demo.state import State
from seawall.testbed.report.page import document_of, render_page
from seawall.testbed.report.svg import Axis, Plot

VOID = ("meta",)


class Balance(HTMLParser):
    """Checks that elements are closed in order, and collects what would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an element without content."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the start of an element."""
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Take the end of an element."""
        assert self.open.pop() == tag


def result(*outcomes: Outcome) -> Result:
    settings = full(1)
    run = Run()
    for at in range(20):
        run.versions.append((5.0 + at, Version(version=at, accuracy=at / 20, digest="")))
        run.updates.append((5.0 + at, Acknowledged(contributor=0, base=0, milliseconds=90 + at)))
        heights = (at, at, -1 if 5 < at < 9 else at, at)
        run.samples.append(
            Sample(seconds=5.0 + at, heights=heights, versions=heights, rounds=heights)
        )
    run.bands.append(Band(1, "SIGKILL, site-2 <v3>", 10.0, 14.0))
    run.bands.append(Band(2, "forged", 16.0))
    state = State(settings=settings, run=run)
    return Result(
        outcomes=outcomes,
        figures=run.figures(receipts=20, entries=100),
        audit=("ok   | claim | observed", "nonsense"),
        schedule=draw_schedule(settings),
        state=state,
    )


def test_the_page_is_balanced_and_fetches_nothing() -> None:
    page = render_page(result(expect("a", "X", "X")))
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    assert balance.fetched == []
    assert "1 of 1 expectations held" in page


def test_text_from_a_run_is_escaped() -> None:
    page = render_page(result(expect("<script>", "X", "<b>")))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "0 of 1 expectations held" in page
    assert "&lt;v3&gt;" in page


def test_the_document_names_every_outcome() -> None:
    spec = document_of(result(expect("a", "X", "X")))["spec"]
    assert isinstance(spec, dict)
    assert spec["holds"] is True
    assert [one["subject"] for one in spec["outcomes"]] == ["a"]


def test_an_empty_run_has_a_page() -> None:
    state = State(settings=full(1))
    empty = Result(
        outcomes=(),
        figures=state.run.figures(receipts=0, entries=0),
        audit=(),
        schedule=(),
        state=state,
    )
    assert render_page(empty).startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 100, [0, 20, 40, 60, 80, 100]), (0, 7, [0, 2, 4, 6]), (3.1, 3.9, [3.2, 3.4, 3.6, 3.8])],
)
def test_ticks_are_round_and_inside(low: float, high: float, ticks: list[float]) -> None:
    assert list(Axis(low=low, high=high, title="").ticks()) == ticks


def test_logarithmic_ticks() -> None:
    axis = Axis(low=10, high=1000, title="", logarithmic=True)
    assert list(axis.ticks()) == [10, 20, 50, 100, 200, 500, 1000]
    assert axis.share(100) == pytest.approx(0.5)


def test_a_plot_is_well_formed_xml() -> None:
    plot = Plot('a "title"', Axis(low=0, high=1, title="x & y"), Axis(low=0, high=1, title="<y>"))
    plot.line([(0, 0), (1, 1)], "a < b", "#000000")
    plot.line([], "nothing", "#000000")
    plot.dots([(0.5, 0.5)], "dots", "#000000")
    plot.band(0.2, 0.1, "1", "hint & more", "#ff0000")
    plot.level(0.5, "half", below=True)
    tree = ET.fromstring(plot.render())  # noqa: S314 - our own output
    assert tree.tag == "svg"
