import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import profiles
from bench.profiles import OTHER_THREADS

LOOP = "/usr/lib/python3.11/asyncio/base_events.py:9:BaseEventLoop._run_once"
OURS = "/x/services/seawall/ledger/log.py:120:Log.stage"
THEIRS = "/x/lib/python3.11/site-packages/nacl/bindings/crypto_sign.py:72:crypto_sign"
WAIT = "/usr/lib/python3.11/selectors.py:452:EpollSelector.select"


def write(directory: Path, name: str, *lines: str) -> None:
    (directory / f"{name}.stacks").write_text("".join(f"{line}\n" for line in lines))


def test_stacks_of_all_processes_are_added(tmp_path: Path) -> None:
    write(tmp_path, "1", f"{LOOP};{OURS} 6", f"{LOOP};{WAIT} 2")
    write(tmp_path, "2", f"{LOOP};{OURS};{THEIRS} 2")
    stacks = profiles.read(tmp_path)
    assert sum(stacks.values()) == 10
    found = {share.name: share for share in profiles.shares(stacks)}
    ours = found["seawall/ledger/log.py:Log.stage"]
    assert (ours.own_percent, ours.total_percent) == (60.0, 80.0)
    assert found["base_events.py:BaseEventLoop._run_once"].total_percent == 100.0
    assert found[OTHER_THREADS].own_percent == 20.0


def test_samples_belong_to_the_innermost_area(tmp_path: Path) -> None:
    write(tmp_path, "1", f"{LOOP};{OURS};{THEIRS} 6", f"{LOOP};{WAIT} 1", f"{LOOP} 3")
    stacks = profiles.read(tmp_path)
    assert profiles.areas(stacks, ["seawall/ledger"]) == pytest.approx(
        {"seawall/ledger": 60.0, "other": 30.0, OTHER_THREADS: 10.0}
    )


BUSY = """
import os, sys, time
print("up", flush=True)
while sum(range(1000)) and time.process_time() < 20: pass
"""


def test_a_process_samples_itself(tmp_path: Path) -> None:
    environment = {**os.environ, **profiles.environment(tmp_path)}
    command = [sys.executable, "-c", BUSY, "serve"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        try:
            found = 0
            while not found:
                found = sum(profiles.collect([process.pid], tmp_path).values())
            profiles.begin([process.pid])
        finally:
            process.kill()
    assert not list(tmp_path.glob("*.stacks"))


def test_a_process_that_does_not_serve_is_left_alone(tmp_path: Path) -> None:
    environment = {**os.environ, **profiles.environment(tmp_path)}
    subprocess.run([sys.executable, "-c", "pass"], check=True, env=environment)
    assert not list(tmp_path.iterdir())
