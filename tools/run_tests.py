"""Run all tests as two halves at the same time, then judge the coverage of both: `make test`.

One half is code by itself (schedules, models, house rules) and keeps a core busy; the other starts
processes and waits for them. The first half's output is shown when it is done, so the lines of the
two never mix. Every folder of tests belongs to one half: what is not named here goes to the second.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Final

import coverage

ROOT: Final = Path(__file__).resolve().parent.parent
TESTS: Final = ROOT / "tests"
COMPUTING: Final = ("model", "scenario", "simulation", "tidy")
SEARCHES: Final = "tests/model/test_search.py"
"""Long searches: without coverage, which would slow them threefold."""

MEASURED: Final = ("--cov", "--cov-report=")
HALVES: Final = ("computing", "processes")


def folders(*, computing: bool) -> list[str]:
    """Return the folders of one half, sorted; those without test modules are left out."""
    return [
        f"tests/{folder.name}"
        for folder in sorted(TESTS.iterdir())
        if (folder.name in COMPUTING) == computing and any(folder.rglob("test_*.py"))
    ]


def pytest(half: str, *arguments: str) -> list[str]:
    """Return a pytest command; each half has a cache of its own."""
    return [sys.executable, "-m", "pytest", "-o", f"cache_dir=.pytest_cache/{half}", *arguments]


def start(half: str, *commands: list[str], output: IO[bytes] | None) -> subprocess.Popen[bytes]:
    """Start commands one after the other; the exit code is the greatest of theirs."""
    script = f"import subprocess, sys; sys.exit(max(map(subprocess.call, {list(commands)!r})))"
    return subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "COVERAGE_FILE": str(data_of(half))},
        stdout=output,
        stderr=subprocess.STDOUT if output else None,
    )


def data_of(half: str) -> Path:
    """Return the file that the coverage of one half goes into."""
    return ROOT / f".coverage.{half}"


def combine() -> None:
    """Put the coverage of both halves into the one file that the gates read."""
    settings = str(ROOT / "pyproject.toml")
    data = coverage.Coverage(config_file=settings, data_file=str(ROOT / ".coverage"))
    data.combine([str(data_of(half)) for half in HALVES])
    data.save()


def main() -> None:
    """Run both halves, show both, exit 1 when either failed."""
    for path in (ROOT / ".coverage", *map(data_of, HALVES)):
        path.unlink(missing_ok=True)
    log_path = ROOT / ".pytest_cache" / "computing.log"
    log_path.parent.mkdir(exist_ok=True)
    first, second = folders(computing=True), folders(computing=False)
    print(f"test: {', '.join(first)} run beside this; their lines follow", flush=True)
    measured = pytest("computing", *MEASURED, f"--ignore={SEARCHES}", *first)
    with log_path.open("wb") as log:
        computing = start("computing", measured, pytest("computing", SEARCHES), output=log)
        try:
            processes = start("processes", pytest("processes", *MEASURED, *second), output=None)
            codes = [processes.wait(), computing.wait()]
        finally:
            computing.terminate()
    sys.stdout.write(log_path.read_text(encoding="utf-8", errors="replace"))
    sys.stdout.flush()
    if any(codes):
        sys.exit("tests failed: see the lines that begin with FAILED or ERROR above")
    combine()


if __name__ == "__main__":
    main()
