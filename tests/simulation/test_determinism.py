import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seawall.sim.plan import Passing, Plan
from seawall.sim.profiles import plan_of
from tests.scenario.staging import stage
from tests.unit.testbed.experiment.small import TEXT

SERVICES = Path(__file__).parents[2] / "services"


def replay(profile: str, seed: int, hash_seed: str, folder: Path) -> bytes:
    """Run one schedule in a process of its own and return its transcript."""
    file = folder / f"transcript-{hash_seed}"
    command = [sys.executable, "-m", "seawall.sim.replay"]
    options = ["--profile", profile, "--seed", str(seed), "--transcript", str(file)]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(SERVICES)}
    subprocess.run([*command, *options], check=True, env=environment, capture_output=True)
    return file.read_bytes()


@pytest.mark.parametrize(("profile", "seed"), [("mix", 3), ("twins", 10)])
def test_two_processes_with_different_hash_seeds_write_equal_transcripts(
    profile: str, seed: int, tmp_path: Path
) -> None:
    first = replay(profile, seed, "1", tmp_path)
    assert first == replay(profile, seed, "4242", tmp_path)
    assert first.count(b"\n") > 1000
    assert first != replay(profile, seed + 1, "1", tmp_path)


def test_an_experiment_says_the_same_under_different_hash_seeds(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(TEXT + "  faults:\n    - {partition: {shape: one}}\n")
    answers = []
    for hash_seed in ("1", "4242"):
        command = [sys.executable, "-m", "seawall.cli.main", "sim", str(file), "--json"]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(SERVICES)}
        answers.append(subprocess.run(command, check=False, env=environment, capture_output=True))
    assert answers[0].stdout == answers[1].stdout
    assert json.loads(answers[0].stdout)["status"]["verdict"] == "PASS"


def test_how_blocks_pass_changes_nothing_but_the_cost() -> None:
    outcomes = []
    for passing in Passing:
        world = stage(Plan(seed=3, twins=(1,), passing=passing, commits=20), "sync")
        world.run()
        outcomes.append([commit.digest for commit in world.seats[0].ledger.commits[:20]])
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_a_plan_runs_the_same_twice_in_one_process() -> None:
    texts = []
    for _ in range(2):
        world = stage(plan_of("mix", 11), "sync")
        world.log.enabled = True
        world.run()
        texts.append(world.log.digest())
    assert texts[0] == texts[1]
