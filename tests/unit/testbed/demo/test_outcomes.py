from seawall.testbed.demo.figures import Run, curve, percentile
from seawall.testbed.demo.messages import Acknowledged, Finished, Version, decode, encode
from seawall.testbed.demo.outcomes import expect, render, require
from seawall.testbed.demo.view import sparkline


def test_the_table_holds_no_detail_of_a_run() -> None:
    first = (require("a", "at least 3", holds=True, detail="3.1"), expect("b", "X", "X"))
    second = (require("a", "at least 3", holds=True, detail="9.9"), expect("b", "X", "X"))
    assert render(first) == render(second)
    assert "3.1" not in render(first)


def test_what_does_not_hold_is_marked_and_explained() -> None:
    table = render((expect("a", "X", "Y"), require("b", "more", holds=False, detail="less")))
    lines = table.splitlines()[2:]
    assert [line.split()[0] for line in lines] == ["FAIL", "FAIL"]
    assert lines[0].endswith("Y")
    assert lines[1].endswith("not so: less")


def test_a_percentile_is_a_value_that_was_seen() -> None:
    values = [1.0, 2.0, 3.0, 4.0]
    assert [percentile(values, share) for share in (0.0, 0.5, 0.51, 0.99, 1.0)] == [1, 2, 3, 4, 4]
    assert percentile([], 0.5) == 0.0


def test_figures_of_a_run() -> None:
    run = Run()
    for at in range(5):
        run.versions.append((10.0 + at, Version(version=at, accuracy=0.2 * at, digest="")))
        run.updates.append((10.0 + at, Acknowledged(contributor=0, base=0, milliseconds=at)))
    figures = run.figures(receipts=5, entries=9)
    assert (figures.updates_per_second, figures.versions_per_second) == (1.2, 1.0)
    assert figures.latency_ms["p50"] == 2.0
    assert figures.accuracy == 0.8
    empty = Run().figures(receipts=0, entries=0)
    assert (empty.accuracy, empty.versions_per_second) == (0.0, 0.0)


def test_the_curve_rises_with_the_values() -> None:
    lines = curve([0.05, 0.55, 0.95], height=10)
    marks = [line.partition("|")[2] for line in lines[:10]]
    assert marks[0] == "  *"
    assert marks[4] == " * "
    assert marks[9] == "*  "
    assert curve([]) == []


def test_a_long_curve_is_thinned_but_keeps_its_ends() -> None:
    values = [at / 500 for at in range(500)]
    lines = curve(values, width=60)
    assert max(len(line) for line in lines) <= 60 + 9
    assert lines[-1].endswith("v499")


def test_a_sparkline_shows_the_newest() -> None:
    assert sparkline([0.0, 1.0, 0.5], 2) == "█▅"


def test_messages_are_read_as_they_were_written() -> None:
    for message in (
        Version(version=3, accuracy=0.5, digest="ab"),
        Finished(acknowledged=2, receipts=1, missing=1),
    ):
        assert decode(encode(message)) == message
