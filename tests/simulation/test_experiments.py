"""The experiments of the repository come out as they say."""

import json
import shlex
from pathlib import Path

import pytest

from seawall.chaos.experiment.reading import load, with_seed
from seawall.cli.main import main
from seawall.sim import replay
from seawall.testbed.experiment.runner import run_simulated
from seawall.testbed.experiment.verdict import Verdict
from tests.tidy import checkout
from tests.unit.testbed.experiment.small import small

EXPERIMENTS = sorted((checkout.ROOT / "experiments").glob("*.yaml"))
UNSAFE = {"byzantine-plus-one": "I3"}
"""Positive controls, and the invariant that must catch each."""
HALTS = {"majority-partition", "majorities-ring"}


def name_of(path: Path) -> str:
    return path.stem


def test_there_are_experiments_of_every_kind() -> None:
    assert len(EXPERIMENTS) >= 16
    kinds = {
        fault.kind
        for path in EXPERIMENTS
        for fault in load(path.read_bytes()).experiment.spec.faults
    }
    assert kinds >= {"partition", "delay", "loss", "gray", "crash", "disk", "byzantine"}


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name_of)
def test_an_experiment_has_the_verdict_that_it_says(path: Path) -> None:
    result = run_simulated(load(path.read_bytes()))
    failed = [finding for finding in result.findings if not finding.holds]
    assert result.experiment.metadata.name == path.stem
    if path.stem in UNSAFE:
        assert result.verdict is Verdict.UNSAFE
        assert result.findings[0].observed.startswith(UNSAFE[path.stem])
        assert replay.main(shlex.split(result.replay)[3:]) == 1
        return
    assert failed == []
    assert result.verdict is Verdict.PASS
    assert (result.figures.progressed == 0) == (path.stem in HALTS)
    assert result.figures.phases[0].final_latency.missing == 0


def test_the_command_prints_json_and_writes_page_and_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = checkout.ROOT / "experiments" / "site-loss.yaml"
    page, trace = tmp_path / "deep" / "report.html", tmp_path / "trace.json"
    words = ["sim", str(path), "--json", "--seed", "8", "--site", "1"]
    assert main([*words, "--report", str(page), "--trace", str(trace)]) == 0
    status = json.loads(capsys.readouterr().out)["status"]
    assert (status["verdict"], status["exitCode"], status["seed"]) == ("PASS", 0, 8)
    assert status["faults"][0]["evidence"] == "1 of 1 processes stopped"
    assert status["figures"]["phases"][1]["committed_latency"]["count"] > 20
    assert json.loads(trace.read_bytes())["expected"]["commits"]
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 4
    assert "fault 0: crash" in text
    assert "http" not in text.replace("http-equiv", "")


def test_equal_seeds_give_equal_results_and_others_do_not() -> None:
    loaded = small("{crash: {targets: one}}")
    first, again = run_simulated(loaded), run_simulated(loaded)
    assert first.figures == again.figures
    assert first.commits == again.commits
    assert run_simulated(with_seed(loaded, 9)).figures != first.figures
