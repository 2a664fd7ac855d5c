"""Tell runs that go on to take their faults back and end."""

import argparse
import signal

import msgspec

from seawall.cli import chaos_files, console
from seawall.cli.console import Exit
from seawall.errors import LocalError
from seawall.testbed.chaos.run_directory import RunDirectory
from seawall.testbed.processes import ProcessRecord, is_running, send


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("name", nargs="?", metavar="RUN", help="name of a run; all when left out")
    chaos_files.add_runs(parser)


def run(arguments: argparse.Namespace) -> int:
    """Send SIGTERM to the runners, and to nobody else."""
    chosen = chaos_files.find_runs(arguments.runs, arguments.name)
    told = [
        home.name
        for home in chosen
        if (runner := runner_of(home)) is not None and send(runner, signal.SIGTERM)
    ]
    lines = [f"told {name} to take its faults back" for name in told] or ["no run goes on"]
    console.emit(arguments, {"stopped": told}, lines)
    return Exit.OK


def runner_of(home: RunDirectory) -> ProcessRecord | None:
    """Return the process that runs a run, None when it has ended.

    Raises:
        LocalError: CHAOS_RUN.

    """
    try:
        runner = msgspec.json.decode(home.runner.read_bytes(), type=ProcessRecord)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as fault:
        raise LocalError("CHAOS_RUN", f"{home.runner} is not what a runner writes") from fault
    return runner if is_running(runner) else None
