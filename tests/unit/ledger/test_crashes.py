"""A killed ledger: whatever it acknowledged is there, and what is there fits together."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seawall.ledger.lmdb_store import LmdbStore
from seawall.ledger.log import Log
from seawall.ledger.payloads import Payloads
from seawall.ledger.segments import Segments
from seawall.runtime.crash import EXIT_CODE, POINTS
from tests.unit.ledger.chain import make_genesis, origin_of

ROOT = Path(__file__).resolve().parents[3]
LEDGER_POINTS = [point for point in POINTS if point.startswith("ledger.")]
GENESIS = make_genesis()


def start(directory: Path, *arguments: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'services'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "tests.unit.ledger.crash_writer", str(directory), *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def check(directory: Path, lines: list[str]) -> int:
    """Compare what a directory holds with what was acknowledged; return its height."""
    log = Log(LmdbStore(directory / "ledger.mdb"), GENESIS, origin_of(GENESIS))
    index = LmdbStore(directory / "payloads.mdb")
    payloads = Payloads(Segments(directory / "payloads"), index, lambda _: None)
    for line in lines:
        kind, first, *rest = line.split()
        if kind == "commit":
            row = log.row(int(first))
            assert row is not None
            assert row.root.hex() == rest[0]
        elif kind == "certified":
            assert log.certified_index >= int(first)
        else:
            assert payloads.size(bytes.fromhex(first)) == 8000
    height = log.head.index
    payloads.close()
    log.store.close()
    return height


@pytest.mark.parametrize("point", LEDGER_POINTS)
def test_a_crash_at_a_named_point_loses_nothing_acknowledged(point: str, tmp_path: Path) -> None:
    with start(tmp_path, point, "2") as process:
        assert process.stdout is not None
        acknowledged = process.stdout.read().splitlines()
    assert process.returncode == EXIT_CODE
    assert acknowledged
    check(tmp_path, acknowledged)


def test_a_loop_of_kills_loses_nothing_acknowledged(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    heights = []
    for kill_after in (1, 20, 90):
        with start(tmp_path) as process:
            assert process.stdout is not None
            acknowledged += [process.stdout.readline() for _ in range(kill_after)]
            process.kill()
            acknowledged += process.stdout.read().splitlines()
        heights.append(check(tmp_path, acknowledged))
    assert heights == sorted(heights)
    assert heights[-1] > 10
