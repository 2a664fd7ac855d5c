"""The demo's short form holds, its auditor notices every change, and nothing outlives it."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.e2e.command import answer, audit, environment, serving
from tests.e2e.local_network import LONG

SEED = 4
END_SECONDS_MAX = 30.0
DEMO_PROCESSES = 6
"""The demo itself, four sites, the contributors."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the short demo once for the tests of this module."""
    directory = tmp_path_factory.mktemp("demo") / "run"
    document = answer("demo", "--short", "--seed", SEED, "--dir", directory, seconds=115)
    assert isinstance(document["spec"], dict)
    assert document["spec"]["holds"] is True
    assert serving(directory) == []
    return directory


def test_every_expectation_is_in_the_table_and_holds(demo: Path) -> None:
    lines = (demo / "outcomes.txt").read_text("utf-8").splitlines()[2:]
    assert len(lines) > 30
    assert [line for line in lines if not line.startswith("ok ")] == []


def test_the_report_stands_alone(demo: Path) -> None:
    page = (demo / "report.html").read_text("utf-8")
    assert page.count("<svg") == 4
    assert "http" not in page
    assert "src=" not in page


def test_the_auditor_accepts_the_export(demo: Path) -> None:
    done = audit(demo)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok   | ") == 4


CHANGES = {
    "an entry of one ledger": ("ledgers", "site-2.jsonl", b'"seq":1,', b'"seq":2,'),
    "the root of a checkpoint": ("ledgers", "site-1.note", b"=\n\n", b"A\n\n"),
    "a claim in a receipt": ("receipts", "*.json", b'numExamples\\":', b'numExamples\\":1'),
    "a bit of a payload": ("payloads", "*.safetensors", b"\x00", b"\x01"),
    "the quorum of genesis": (".", "genesis.json", b'"stake":1', b'"stake":2'),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_auditor_notices_a_change(demo: Path, tmp_path: Path, change: str) -> None:
    folder, pattern, old, new = CHANGES[change]
    copy = tmp_path / "copy"
    for name in ("ledgers", "payloads", "receipts"):
        shutil.copytree(demo / name, copy / name)
    shutil.copy(demo / "genesis.json", copy)
    place = max((copy / folder).glob(pattern))
    data = place.read_bytes()
    assert old in data
    at = data.rindex(old)
    place.write_bytes(data[:at] + new + data[at + len(old) :])
    done = audit(copy)
    assert done.returncode != 0
    assert "FAIL" in done.stdout or "Traceback" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_an_interrupted_demo(tmp_path: Path, number: signal.Signals) -> None:
    directory = tmp_path / "run"
    command = [sys.executable, "-m", "seawall.cli.main", "demo", "--dir", str(directory)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment(), start_new_session=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "training under attack" in line:
                break
        processes = [psutil.Process(pid) for pid in serving(directory)]
        assert len(processes) == DEMO_PROCESSES
        process.send_signal(number)
    assert process.returncode == (130 if number is signal.SIGINT else -number)
    _, alive = psutil.wait_procs(processes, timeout=END_SECONDS_MAX)
    assert alive == []


if LONG:

    @pytest.mark.timeout(400)
    def test_one_seed_gives_one_table(demo: Path, tmp_path: Path) -> None:
        answer("demo", "--short", "--seed", SEED, "--dir", tmp_path / "again", seconds=190)
        again = (tmp_path / "again" / "outcomes.txt").read_bytes()
        assert again == (demo / "outcomes.txt").read_bytes()
