"""Fuzzes every target, one process after the other: `make fuzz`.

    python -m tests.fuzz.run --seconds 60 --target block --target records
    python -m tests.fuzz.run --target block --replay FILE

A target starts from its corpus in the repository and from what earlier runs found (kept in
`out/fuzz/corpus`). An input that breaks a property is kept in `out/fuzz/crashes`; the run shows the
failure, names the command that replays it, and exits with 1. Where Atheris cannot be installed (it
has wheels for Linux on x86-64 only) Hypothesis drives the same targets, without coverage.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path
from time import monotonic, time
from typing import Final

from tests.fuzz.targets import TARGETS
from tests.fuzz.worker import OUT

ROOT: Final = Path(__file__).resolve().parents[2]
LINES_SHOWN: Final = 30
GRACE_SECONDS: Final = 120
"""Beyond its time a worker may need this for its last input, and to read its corpus."""

_UNITS: Final = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_COVERAGE: Final = re.compile(r"cov: (\d+)")


def main() -> None:
    """Run as the arguments say."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument(
        "--target", action="append", choices=TARGETS, help="only this one; may be repeated"
    )
    parser.add_argument("--replay", type=Path, help="run one file through one target, and no more")
    parser.add_argument("--seed", type=int, default=0, help="of the search; 0 takes a new one")
    options = parser.parse_args()
    names = options.target or list(TARGETS)
    if options.replay is not None:
        for name in names:
            TARGETS[name](options.replay.read_bytes())
        _show(f"{options.replay} holds")
        return
    start = options.seed or int(time())
    _show(f"{len(names)} targets, {options.seconds} s each, seed {start}")
    failed = [name for name in names if not _fuzz(name, options.seconds, start)]
    if failed:
        sys.exit(f"fuzz: properties broken in: {', '.join(failed)}")


def _show(line: str) -> None:
    """Show a line at once."""
    sys.stdout.write(f"fuzz: {line}\n")
    sys.stdout.flush()


def _fuzz(name: str, seconds: int, start: int) -> bool:
    """Fuzz one target; return whether every property held."""
    began = monotonic()
    command = [sys.executable, "-m", "tests.fuzz.worker", name, str(seconds), str(start)]
    known = _crashes(name)
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds + GRACE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        _show(f"{name}: does not end")
        return False
    units, coverage = _UNITS.search(done.stderr), _COVERAGE.findall(done.stderr)
    tried = units[1] if units else "?"
    reached = f", coverage {coverage[-1]}" if coverage else ""
    _show(f"{name}: {tried} inputs in {monotonic() - began:.0f} s{reached}")
    if done.returncode == 0:
        return True
    lines = [line for line in done.stdout.splitlines() + done.stderr.splitlines() if _is_told(line)]
    sys.stdout.write("\n".join(lines[-LINES_SHOWN:]) + "\n")
    for path in sorted(_crashes(name) - known):
        replay = f"--target {name} --replay {path.relative_to(ROOT)}"
        _show(f'replay: make fuzz FUZZ_FLAGS="{replay}"')
    return False


def _is_told(line: str) -> bool:
    """Return whether a line of a worker says something about a failure."""
    return not line.startswith(("#", "stat::", "INFO: ", "WARNING: ", "MS: ", "artifact_prefix"))


def _crashes(name: str) -> set[Path]:
    """Return the inputs of a target that broke a property, of this run and earlier ones."""
    return set((OUT / "crashes" / name).glob("*"))


if __name__ == "__main__":
    main()
