"""Where everything of a run lies: one directory, named by experiment, time and platform.

experiment.yaml      the file that was run, as it stood
resolved.json        whom each fault hit, as far as that is known beforehand
runner.json          the process that runs it
journal.jsonl        what was done, written before it was done
samples.json         every update
verdict.json         figures, findings, verdict
report.html, report.md, junit.xml, journal.json (as Chaos Toolkit writes it)
ledgers/             the ledgers at the end
sites/               the sites, where the run has started them
"""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seawall.errors import OperationalError

RUNS_DEFAULT: Final = "runs"


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Paths of one run."""

    path: Path

    @property
    def name(self) -> str:
        """Return the name of the run."""
        return self.path.name

    @property
    def experiment(self) -> Path:
        """The file that was run."""
        return self.path / "experiment.yaml"

    @property
    def resolved(self) -> Path:
        """Whom each fault hits."""
        return self.path / "resolved.json"

    @property
    def runner(self) -> Path:
        """The process that runs it."""
        return self.path / "runner.json"

    @property
    def journal(self) -> Path:
        """The write-ahead journal."""
        return self.path / "journal.jsonl"

    @property
    def samples(self) -> Path:
        """Every update."""
        return self.path / "samples.json"

    @property
    def verdict(self) -> Path:
        """Figures, findings and verdict."""
        return self.path / "verdict.json"

    @property
    def sites(self) -> Path:
        """The sites that the run has started."""
        return self.path / "sites"

    def write(self, name: str, data: bytes) -> Path:
        """Write one file of the run.

        Raises:
            OperationalError: CHAOS_RUN_WRITE.

        """
        place = self.path / name
        try:
            place.write_bytes(data)
        except OSError as fault:
            hint = f"cannot write {place}: {fault.strerror}"
            raise OperationalError("CHAOS_RUN_WRITE", hint) from fault
        return place


def new_run(runs: Path, experiment: str, platform: str, now: dt.datetime) -> RunDirectory:
    """Make the directory of a new run.

    Raises:
        OperationalError: CHAOS_RUN_WRITE.

    """
    stem = f"{experiment}-{platform}-{now:%Y%m%d-%H%M%S}"
    for number in range(100):
        path = runs / (f"{stem}-{number}" if number else stem)
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as fault:
            hint = f"cannot make {path}: {fault.strerror}"
            raise OperationalError("CHAOS_RUN_WRITE", hint) from fault
        return RunDirectory(path)
    raise OperationalError("CHAOS_RUN_WRITE", f"too many runs of one second in {runs}")


def runs_in(runs: Path) -> tuple[RunDirectory, ...]:
    """Return the runs below a directory, oldest first."""
    found = [path for path in runs.glob("*") if (path / "experiment.yaml").is_file()]
    return tuple(
        [RunDirectory(path) for path in sorted(found, key=lambda one: one.stat().st_mtime)]
    )
