"""What the commands of `seawall chaos` share: reading experiments, finding runs."""

import argparse
from pathlib import Path
from typing import Final

from seawall.chaos.experiment.plain import FILE_SIZE_BYTES_MAX
from seawall.chaos.experiment.reading import Loaded, load, with_seed
from seawall.cli import console
from seawall.errors import LocalError, OperationalError, SeawallError
from seawall.testbed.chaos.local import refuse
from seawall.testbed.chaos.run_directory import RUNS_DEFAULT, RunDirectory, runs_in
from seawall.testbed.experiment.translation import plan_of

SIM: Final = "sim"
LOCAL: Final = "local"
KUBERNETES: Final = "kubernetes"
PLATFORMS: Final = (SIM, LOCAL)
EVERYWHERE: Final = (*PLATFORMS, KUBERNETES)
"""A release takes the files that sites in processes take."""

EXIT_CODES: Final = """exit codes:
  0  PASS: all that was expected
  1  DEGRADED: a service level or liveness was missed
  2  wrong usage, a wrong file of your own, or one that this platform cannot run
  3  UNSAFE: an invariant was violated
  4  INCONCLUSIVE: the run says nothing, as when a fault had no effect
  5  ROLLBACK_FAILED: a fault could not be taken back; or a fault of Seawall itself
  130  interrupted"""


def read_experiment(path: Path, seed: int | None = None) -> Loaded:
    """Return the experiment in a file, with another seed where one is given.

    Raises:
        LocalError: CLI_EXPERIMENT, CLI_SEED; EXPERIMENT_* with line and column.

    """
    try:
        data = console.read_file(path, FILE_SIZE_BYTES_MAX)
    except OperationalError as fault:
        # Exit code 4 is a verdict here.
        raise LocalError("CLI_EXPERIMENT", fault.hint, field="EXPERIMENT.yaml") from fault
    loaded = load(data)
    if seed is None:
        return loaded
    if not 0 <= seed < 1 << 63:
        raise LocalError("CLI_SEED", "a seed is a number from 0 to 2^63 - 1", field="--seed")
    return with_seed(loaded, seed)


def refuse_on(loaded: Loaded, platform: str) -> None:
    """Refuse an experiment that a platform cannot run; nothing has been done yet.

    Raises:
        LocalError: CHAOS_UNSUPPORTED, EXPERIMENT_UNSUPPORTED.

    """
    if platform == SIM:
        plan_of(loaded.experiment)
    else:
        refuse(loaded)


def obstacle_on(loaded: Loaded, platform: str) -> SeawallError | None:
    """Return why a platform cannot run an experiment, None when it can."""
    try:
        refuse_on(loaded, platform)
    except SeawallError as fault:
        return fault
    return None


def add_platform(parser: argparse.ArgumentParser, default: str | None) -> None:
    """Add the option that says where to run."""
    parser.add_argument(
        "--on",
        choices=EVERYWHERE,
        default=default,
        help="where: the simulator, sites in processes of this machine, or a release of the chart",
    )


def add_runs(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the directory of runs."""
    parser.add_argument(
        "--runs",
        type=Path,
        default=Path(RUNS_DEFAULT),
        metavar="D",
        help="directory of all runs (default: %(default)s)",
    )


def find_run(runs: Path, name: str) -> RunDirectory:
    """Return a run by its name below `runs`, or by its path.

    Raises:
        LocalError: CHAOS_RUN.

    """
    for path in (runs / name, Path(name)):
        if (path / "experiment.yaml").is_file():
            return RunDirectory(path)
    known = ", ".join(one.name for one in runs_in(runs)[-3:]) or "none yet"
    raise LocalError("CHAOS_RUN", f"there is no such run; the last ones are {known}", field="RUN")


def find_runs(runs: Path, name: str | None) -> tuple[RunDirectory, ...]:
    """Return the run of this name, or all of them where none is given.

    Raises:
        LocalError: CHAOS_RUN.

    """
    return runs_in(runs) if name is None else (find_run(runs, name),)
