"""The page says of every family, rule, alert and dashboard what it is, and of nothing else."""

import re

from seawall.telemetry.metrics import SharedMetrics
from seawall.testbed.monitoring.boards import BOARDS
from seawall.testbed.monitoring.rules import ALERTS, RECORDINGS
from tests.tidy.checkout import ROOT
from tests.unit.testbed.monitoring.promql import site_registry

PAGE = (ROOT / "docs" / "metrics.md").read_text("utf-8")


def rows(title: str) -> list[list[str]]:
    """Return the cells of the table below a heading, without its head."""
    section = re.split(r"^##+ ", PAGE, flags=re.MULTILINE)
    (text,) = [one for one in section if one.startswith(f"{title}\n")]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_every_family_has_a_row() -> None:
    registry = site_registry()
    SharedMetrics(registry)
    families = {family.name for family in registry.collect()}
    own = {name.removeprefix("seawall_") for name in families if name.startswith("seawall_")}
    own = own - {"build"} | {"build_info"}
    told = [name.strip("`") for name, _ in rows("Families")]
    assert sorted(told) == sorted(own)


def test_every_alert_has_a_row_with_its_severity() -> None:
    told = {
        name.rstrip(" *").strip("`"): (name.endswith("*"), severity)
        for name, _, severity, _ in rows("Alerts")
    }
    assert told == {one.name: (one.expected, one.severity) for one in ALERTS}


def test_every_recording_and_dashboard_has_a_row() -> None:
    assert [name.strip("`") for name, _ in rows("Recording rules")] == [
        one.record for one in RECORDINGS
    ]
    titles = [board.title.partition(" / ")[2] for board in BOARDS]
    assert [name for name, _ in rows("Dashboards")] == titles
