"""`seawall chaos` without sites: what is refused, listed, planned, simulated."""

import json
import os
from pathlib import Path

import msgspec
import pytest

from seawall.chaos.runner.records import Began, Intended, Record, encode
from seawall.cli.main import main
from seawall.testbed.processes import ProcessRecord, record_of
from tests.tidy import checkout
from tests.unit.chaos.runner.sites import injection
from tests.unit.testbed.experiment.small import TEXT

EXPERIMENTS = checkout.ROOT / "experiments"

BAD = {
    "no experiment": ("x: 1\n", "EXPERIMENT_MISSING", 1),
    "unknown fault": (TEXT + "  faults: [{meteor: {}}]\n", "EXPERIMENT_UNKNOWN", 10),
    "unknown site": (TEXT + "  faults: [{crash: {targets: [9]}}]\n", "EXPERIMENT_TARGET", 10),
    "too long": (TEXT + "  faults: [{at: 9s, crash: {targets: [1]}}]\n", "EXPERIMENT_TIME", 10),
    "too many liars": (
        TEXT + "  faults:\n    - {byzantine: {behaviour: forge, targets: [0, 1]}}\n",
        "EXPERIMENT_BUDGET",
        11,
    ),
    "cheats on real sites": (
        TEXT.replace("1KiB}", "1KiB, byzantine: {share: 0.2, attack: equivocate}}"),
        "CHAOS_UNSUPPORTED",
        8,
    ),
    "twins on real sites": (
        TEXT + "  faults:\n    - {byzantine: {behaviour: twins, targets: [1], peers: [0, 2]}}\n",
        "CHAOS_UNSUPPORTED",
        11,
    ),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("command", ["validate", "plan", "run"])
def test_a_bad_experiment_is_refused_with_its_line_and_leaves_nothing(
    name: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, code, line = BAD[name]
    path, runs = tmp_path / "bad.yaml", tmp_path / "runs"
    path.write_text(text, encoding="utf-8")
    more = ["--runs", str(runs)] if command == "run" else []
    assert main(["chaos", command, str(path), "--on", "local", "--json", *more]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], error["line"]) == (code, line)
    assert not runs.exists()


def test_a_positive_control_wants_to_be_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "control.yaml"
    lies = "  faults: [{crash: {targets: all, disk: lost}}]\n  positive_control: true\n"
    path.write_text(TEXT + lies, encoding="utf-8")
    runs = tmp_path / "runs"
    words = ["chaos", "run", str(path), "--on", "local", "--runs", str(runs)]
    assert main([*words, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "CHAOS_CONTROL"
    assert main([*words, "--positive-control", "--dry-run"]) == 0
    assert "positive control" in capsys.readouterr().out
    assert not runs.exists()


def test_at_least_ten_experiments_run_in_both(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chaos", "list", str(EXPERIMENTS), "--json"]) == 0
    found = {one["name"]: one["on"] for one in json.loads(capsys.readouterr().out)}
    both = [name for name, on in found.items() if on == {"sim": None, "local": None}]
    assert len(both) >= 10
    asked = {
        *("minority-partition", "majority-partition", "bridge", "asymmetric-loss", "zone-delay"),
        *("leader-delay", "rolling-crash", "site-loss", "equivocating-validator", "update-flood"),
    }
    assert asked <= set(both)
    assert found["byzantine-plus-one"]["local"] == "CHAOS_UNSUPPORTED"
    assert found["equivocating-owner"]["local"] == "CHAOS_UNSUPPORTED"


def test_a_plan_names_targets_and_times(capsys: pytest.CaptureFixture[str]) -> None:
    path = EXPERIMENTS / "site-loss.yaml"
    assert main(["chaos", "plan", str(path), "--json"]) == 0
    (fault,) = json.loads(capsys.readouterr().out)["faults"]
    assert fault["hits"] == ["site-2"]
    assert [one["kind"] for one in fault["injections"]] == ["wipe"]
    assert main(["chaos", "plan", str(EXPERIMENTS / "leader-delay.yaml")]) == 0
    assert "the leaders of the moment" in capsys.readouterr().out


def test_a_simulated_run_leaves_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(TEXT, encoding="utf-8")
    runs = tmp_path / "runs"
    assert main(["chaos", "run", str(path), "--runs", str(runs), "--json", "--quiet"]) == 0
    home = Path(json.loads(capsys.readouterr().out)["run"])
    assert (home / "experiment.yaml").read_text("utf-8") == TEXT
    assert json.loads((home / "verdict.json").read_bytes())["status"]["verdict"] == "PASS"
    page = tmp_path / "page.html"
    words = ["chaos", "compare", home.name, home.name, "--runs", str(runs)]
    assert main([*words, "--report", str(page)]) == 0
    assert "<svg" in page.read_text("utf-8")


def test_stop_and_clean_find_nothing_where_nothing_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command, words in (("stop", "no run goes on"), ("clean", "nothing was left in force")):
        assert main(["chaos", command, "--runs", str(tmp_path)]) == 0
        assert words in capsys.readouterr().out
        assert main(["chaos", command, "missing", "--runs", str(tmp_path), "--json"]) == 2
        assert json.loads(capsys.readouterr().out)["error"]["code"] == "CHAOS_RUN"


def test_clean_leaves_a_run_alone_whose_runner_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "run"
    home.mkdir()
    (home / "experiment.yaml").write_text(TEXT, encoding="utf-8")
    records: list[Record] = [
        Began(at_us=0, run="run", experiment="small", platform="local", place=str(home)),
        Intended(at_us=1, injection=injection(0, 1), lease_seconds=30),
    ]
    (home / "journal.jsonl").write_bytes(b"".join(encode(one) + b"\n" for one in records))
    own = os.getpid()
    runner = ProcessRecord(name="chaos", pid=own, started=record_of(own) or 0.0)
    (home / "runner.json").write_bytes(msgspec.json.encode(runner))
    assert main(["chaos", "clean", "run", "--runs", str(tmp_path), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "CHAOS_RUNNING"
    assert main(["chaos", "clean", "--runs", str(tmp_path)]) == 0
    assert "nothing was left" in capsys.readouterr().out
