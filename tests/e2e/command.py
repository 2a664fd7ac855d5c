"""The `seawall` command as a user runs it, and the processes that it leaves."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil

from tests.tidy.checkout import ROOT

COMMAND_SECONDS_MAX = 90


def environment() -> dict[str, str]:
    """Return the environment of commands: this checkout's package."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "services")}


def seawall(
    *words: object, code: int = 0, seconds: float = COMMAND_SECONDS_MAX
) -> subprocess.CompletedProcess[str]:
    """Run one command and check its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "seawall.cli.main", *map(str, words)],
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds,
        env=environment(),
    )
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def answer(
    *words: object, code: int = 0, seconds: float = COMMAND_SECONDS_MAX
) -> dict[str, object]:
    """Run one command with --json and return its document."""
    document = json.loads(seawall(*words, "--json", code=code, seconds=seconds).stdout)
    assert isinstance(document, dict)
    return document


def audit(directory: Path) -> subprocess.CompletedProcess[str]:
    """Run the auditor, which must not find Seawall on its path."""
    command = [sys.executable, str(ROOT / "tools" / "audit.py"), str(directory)]
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(command, check=False, capture_output=True, text=True, env=clean)


def serving(directory: Path) -> list[int]:
    """Return the processes that have anything to do with a directory."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        words = process.info["cmdline"] or []
        if any(str(directory) in word for word in words):
            found.append(process.info["pid"])
    return found
