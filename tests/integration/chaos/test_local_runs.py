"""Experiments on sites in processes: what is injected is seen, taken back, and judged."""

import asyncio
import datetime as dt
import sys
from pathlib import Path

import pytest

from seawall.chaos.experiment.reading import load
from seawall.chaos.runner.journal import FileJournal
from seawall.chaos.runner.records import Applied, Record, outstanding
from seawall.cli.main import main
from seawall.client import Chain
from seawall.testbed.chaos.local import LocalRun, network_plan, run_local
from seawall.testbed.chaos.plane import PlaneActuator
from seawall.testbed.chaos.run_directory import new_run, runs_in
from seawall.testbed.chaos.sites import LocalSites
from seawall.testbed.experiment.outcome import Result
from seawall.testbed.experiment.verdict import Verdict
from seawall.testbed.genesis_maker import make_network
from seawall.testbed.holds import is_held
from seawall.testbed.observer import Observer
from seawall.testbed.processes import environment
from seawall.testbed.supervisor import Supervisor, plans_of

SECONDS_MAX = 400

TEXT = """
apiVersion: seawall.dev/v1
kind: Experiment
metadata: {name: short}
spec:
  seed: 3
  topology: {sites: 4}
  workload: {contributors: 4, rate: 10/s, payload: 1KiB}
  phases: {baseline: 3s, hold: 10s, recover: 1s}
  faults:
"""
BOTH = """
    - {at: 0s, for: 7s, partition: {shape: one}}
    - {at: 7s, crash: {targets: [1]}}
    - {at: 0s, clock: {targets: [2], offset: 3s}}
"""
ALL_LOST = """
    - {at: 0s, for: 1s, crash: {targets: all, disk: lost}}
  positive_control: true
"""


async def run(text: str, runs: Path) -> tuple[Result, tuple[Record, ...]]:
    home = new_run(runs, "short", "local", dt.datetime.now(dt.UTC))
    how = LocalRun(home=home, network=None, stop=asyncio.Event(), hear=lambda _core, _command: None)
    result = await run_local(load(text.encode()), how)
    return result, await FileJournal(home.journal).read()


@pytest.mark.timeout(SECONDS_MAX)
async def test_faults_on_real_sites_are_seen_taken_back_and_lose_nothing(tmp_path: Path) -> None:
    result, records = await run(TEXT + BOTH, tmp_path)
    about = {one.subject: one for one in result.findings}
    for subject in ("rollback", "safety", *(name for name in about if name.startswith("fault"))):
        assert about[subject].holds, about[subject]
    assert len(result.injected) == 3
    assert outstanding(records) == ()
    assert sum(isinstance(one, Applied) for one in records) == 6
    assert result.figures.committed > 0
    assert result.verdict is not Verdict.UNSAFE


@pytest.mark.timeout(SECONDS_MAX)
async def test_when_every_site_loses_its_disk_the_run_is_unsafe(tmp_path: Path) -> None:
    result, records = await run(TEXT + ALL_LOST, tmp_path)
    assert result.verdict is Verdict.UNSAFE
    assert any(not one.holds for one in result.findings if one.subject == "safety")
    assert outstanding(records) == ()


@pytest.mark.timeout(SECONDS_MAX)
async def test_a_killed_runner_is_cleaned_up_after(tmp_path: Path) -> None:
    path, runs, sites = tmp_path / "long.yaml", tmp_path / "runs", tmp_path / "sites"
    text = TEXT.replace("hold: 10s", "hold: 300s") + "    - {crash: {targets: [1]}}\n"
    text += "    - {clock: {targets: [2], offset: 3s}}\n"
    path.write_text(text, encoding="utf-8")
    made = make_network(sites, network_plan(load(text.encode()).experiment))
    words = ["chaos", "run", str(path), "--on", "local", "--dir", str(sites), "--runs", str(runs)]
    async with (
        Supervisor(made.directory, made.origin, plans_of(made.directory, made.genesis)),
        Observer(made.genesis) as observer,
        LocalSites(made.directory, Chain.read(made.directory.genesis)) as local,
    ):
        runner = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "seawall.cli.main"),
            *words,
            *("--lease", "300"),
            stderr=asyncio.subprocess.PIPE,
            env=environment(),
        )
        assert runner.stderr is not None
        injected = 0
        async for line in runner.stderr:
            injected += b"injected" in line
            if injected == 2:
                break
        runner.kill()
        await runner.wait()
        assert runner.returncode == -9, "it is killed while its faults are in force"
        (home,) = runs_in(runs)
        assert len(outstanding(await FileJournal(home.journal).read())) == 2
        now_seconds = dt.datetime.now(dt.UTC).timestamp()
        assert is_held(made.directory, "site-1", now_seconds)
        cleaning = ["chaos", "clean", home.name, "--runs", str(runs)]
        assert await asyncio.to_thread(main, cleaning) == 0
        assert not is_held(made.directory, "site-1", now_seconds)
        plane = PlaneActuator(local.fault_plane, seed=1, experiment="short")
        assert await plane.active(2) == ()
        async with asyncio.timeout(SECONDS_MAX):
            while not all(view.up for view in await observer.look()):
                continue
    assert outstanding(await FileJournal(home.journal).read()) == ()
