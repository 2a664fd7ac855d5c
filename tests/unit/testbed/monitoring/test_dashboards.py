"""Dashboards are what Grafana's library reads, and ask for series that sites expose."""

import json
from collections.abc import Callable

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from seawall.cli.main import main
from seawall.testbed.monitoring.boards import BOARDS
from seawall.testbed.monitoring.grafana import FAULT_TEXTS, FAULTS, render
from seawall.testbed.monitoring.panels import Board
from seawall.testbed.monitoring.rules import ALERTS, RECORDINGS
from tests.tidy.checkout import ROOT
from tests.unit.testbed.monitoring.lint import Document, findings
from tests.unit.testbed.monitoring.promql import exposed, names, site_registry

FILES = ROOT / "helm" / "seawall" / "files"
SCRAPING = {"up"}
"""What Prometheus itself knows of a target."""

every_board = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)


def known() -> set[str]:
    return exposed(site_registry()) | SCRAPING | {one.record for one in RECORDINGS}


def test_there_are_six_and_they_are_the_files_of_the_chart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    titles = [board.title.partition(" / ")[2] for board in BOARDS]
    assert titles == [
        "Overview",
        "Consensus",
        "Ledger",
        "Integrity and ingestion",
        "Chaos",
        "Load and system",
    ]
    assert main(["dashboards", "--out", str(FILES), "--check"]) == 0
    assert capsys.readouterr().out == "7 files are up to date\n"


@every_board
def test_a_dashboard_is_read_by_the_library_and_written_the_same(board: Board) -> None:
    register_default_plugins()
    document = json.loads(render(board))
    for annotation in document["annotations"]["list"]:
        assert annotation["expr"] == FAULTS
        for member in FAULT_TEXTS:
            del annotation[member]
    assert json.loads(JSONEncoder().encode(Dashboard.from_json(document))) == document


@every_board
def test_a_dashboard_breaks_no_rule(board: Board) -> None:
    assert list(findings(render(board))) == []


@every_board
def test_every_expression_asks_for_what_sites_expose(board: Board) -> None:
    for panel in board.panels:
        asked = set[str]().union(*(names(query.expr) for query in panel.queries))
        foreign = {name for name in asked if name.startswith("container_")}
        assert asked - foreign <= known(), panel.title
        assert bool(foreign) == panel.foreign, panel.title
    assert names(FAULTS) <= known()


@pytest.mark.parametrize("expr", [one.expr for one in (*RECORDINGS, *ALERTS)])
def test_every_rule_asks_for_what_sites_expose(expr: str) -> None:
    assert names(expr) <= known()


def spoilt(change: Callable[[Document], object]) -> list[str]:
    document = json.loads(render(BOARDS[0]))
    change(document)
    return list(findings(json.dumps(document)))


SPOILING: list[tuple[Callable[[Document], object], str]] = [
    (lambda one: one.pop("title"), "title"),
    (lambda one: one["templating"]["list"].pop(0), "no variable for the data source"),
    (
        lambda one: one["templating"]["list"][1].update(datasource={"uid": "mine"}),
        "variable network: data source",
    ),
    (lambda one: one["annotations"]["list"][0].update(datasource=None), "annotation: data source"),
    (lambda one: one["panels"][1].update(id=1), "ids of panels"),
    (lambda one: one["panels"][0].pop("description"), "Committed updates: description"),
    (
        lambda one: one["panels"][0]["fieldConfig"]["defaults"].pop("unit"),
        "Committed updates: unit",
    ),
    (lambda one: one["panels"][0].update(datasource="mine"), "Committed updates: data source"),
    (lambda one: one["panels"][0]["targets"][0].update(refId=""), "Committed updates: refId"),
    (
        lambda one: one["panels"][0]["targets"][0].update(datasource=None),
        "Committed updates: data source of a query",
    ),
    (lambda one: one["panels"][-1]["gridPos"].update(x=20), "Model versions: too wide"),
    (
        lambda one: one["panels"][0]["gridPos"].update(h=5),
        "Committed updates overlaps Committed updates by site",
    ),
    (
        lambda one: one["panels"][0]["targets"][0].update(expr='rate(a_total{n="$network"}[1m])'),
        "Committed updates: rate without $__rate_interval",
    ),
    (
        lambda one: one["panels"][0]["targets"][0].update(
            expr='increase(seawall_ledger_height{n="$network"}[$__rate_interval])'
        ),
        "Committed updates: increase of seawall_ledger_height, which is no counter",
    ),
    (
        lambda one: one["panels"][0]["targets"][0].update(expr="sum(up)"),
        "Committed updates: does not go by the network",
    ),
    (lambda one: one.update(description="x" * 300_000), "size"),
]


@pytest.mark.parametrize(("change", "finding"), SPOILING, ids=[one[1] for one in SPOILING])
def test_every_rule_finds_what_is_planted(
    change: Callable[[Document], object], finding: str
) -> None:
    assert finding in spoilt(change)


def test_what_is_no_expression_is_refused() -> None:
    with pytest.raises(ValueError, match="parenthes"):
        names("sum(rate(seawall_ledger_updates_total[$__rate_interval])")
