import datetime as dt
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from seawall.chaos.runner.injection import Confirmation
from seawall.chaos.runner.records import Applied, Confirmed, Entered, Reverted
from seawall.errors import LocalError
from seawall.testbed.chaos.compare import HEADER, read_run, render, rows
from seawall.testbed.chaos.reports import junit, markdown, toolkit_journal, write_reports
from seawall.testbed.chaos.run_directory import RunDirectory, new_run, runs_in
from tests.unit.testbed.chaos.results import result

BEGAN = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
RECORDS = (
    Entered(at_us=0, phase="baseline"),
    Applied(at_us=1, id="run/0/1"),
    Confirmed(at_us=2, fault=0, confirmation=Confirmation(is_seen=False, evidence="nothing")),
    Reverted(at_us=3, id="run/0/1"),
)


def written(runs: Path, backend: str, wait_us: int) -> RunDirectory:
    home = new_run(runs, "small", backend, BEGAN)
    home.write("experiment.yaml", b"")
    write_reports(result(backend, wait_us=wait_us), home, RECORDS, BEGAN)
    return home


def test_a_run_leaves_every_file_and_pages_that_load_nothing(tmp_path: Path) -> None:
    home = written(tmp_path, "local", 100_000)
    names = {path.name for path in home.path.iterdir()}
    assert names >= {"verdict.json", "samples.json", "report.html", "report.md", "junit.xml"}
    page = (home.path / "report.html").read_text("utf-8")
    assert page.count("<svg") == 4
    assert "real sites, local" in page
    assert "virtual" not in page
    assert "&lt;stopped&gt;" in page
    assert "http" not in page


def test_every_finding_is_a_test_case_and_what_is_wrong_is_a_failure() -> None:
    good = ET.fromstring(junit(result("local"), BEGAN))  # noqa: S314 - our own
    suite = good.find("testsuite")
    assert suite is not None
    assert suite.attrib["failures"] == suite.attrib["errors"] == "0"
    assert len(suite.findall("testcase")) == len(result("local").findings)
    bad = ET.fromstring(junit(result("local", breaches=("a fork",)), BEGAN))  # noqa: S314 - ours
    failures = bad.findall("testsuite/testcase/failure")
    assert [one.attrib["type"] for one in failures] == ["UNSAFE"]
    assert "a fork" in failures[0].attrib["message"]


def test_a_page_of_text_has_the_verdict_and_tables() -> None:
    text = markdown(result("local", breaches=("a | b",)))
    assert text.startswith("# small: UNSAFE")
    assert "a \\| b" in text


def test_the_journal_for_other_tools_says_completed_only_of_what_says_something() -> None:
    good = toolkit_journal(result("local"), RECORDS, BEGAN)
    assert (good["status"], good["deviated"]) == ("completed", False)
    assert [one["status"] for one in good["run"]] == ["succeeded", "failed"]
    assert len(good["rollbacks"]) == 1
    bad = toolkit_journal(result("local", breaches=("a fork",)), RECORDS, BEGAN)
    assert (bad["status"], bad["deviated"]) == ("failed", True)
    json.dumps(bad)


def test_runs_are_put_side_by_side(tmp_path: Path) -> None:
    homes = [written(tmp_path, "simulator", 100_000), written(tmp_path, "local", 400_000)]
    runs = [read_run(home) for home in homes]
    table = [dict(zip(HEADER[:4], row[:4], strict=True)) for row in rows(runs)]
    assert [one["on"] for one in table] == ["simulator", "local"]
    assert [one["baseline final p50"] for one in table] == ["50", "200"]
    page = render(runs)
    assert page.count("<svg") == 4
    assert page.count("polyline") >= 6
    assert "http" not in page


def test_runs_of_one_second_have_names_of_their_own(tmp_path: Path) -> None:
    first, second = written(tmp_path, "local", 1_000), written(tmp_path, "local", 1_000)
    assert first.name != second.name
    assert {one.name for one in runs_in(tmp_path)} == {first.name, second.name}


@pytest.mark.parametrize("content", [None, b"{}", b"no json"])
def test_a_run_without_a_verdict_is_not_compared(tmp_path: Path, content: bytes | None) -> None:
    home = written(tmp_path, "local", 1_000)
    if content is None:
        home.verdict.unlink()
    else:
        home.verdict.write_bytes(content)
    with pytest.raises(LocalError, match="CHAOS_RUN"):
        read_run(home)
