"""End the sites that `seawall up` has started, exactly those."""

import argparse

from seawall.cli import console
from seawall.cli.console import Exit
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.processes import end, is_running, read_run
from seawall.testbed.supervisor import STOP_SECONDS_MAX

SUPERVISOR_SECONDS_MAX = STOP_SECONDS_MAX + 5.0


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    console.add_directory(parser)


def run(arguments: argparse.Namespace) -> int:
    """End the supervisor, which ends its sites; then whatever of them is left."""
    directory = NetworkDirectory(arguments.dir)
    record = read_run(directory.run)
    if record is None:
        console.emit(arguments, {"ended": [], "killed": []}, ["nothing runs here"])
        return Exit.OK
    running = [one for one in record.processes if is_running(one)]
    killed = end([record.supervisor], grace_seconds=SUPERVISOR_SECONDS_MAX)
    killed += end(running, grace_seconds=STOP_SECONDS_MAX)
    directory.run.unlink(missing_ok=True)
    names = [one.name for one in running]
    lines = [f"ended {', '.join(names) or 'nothing'}"]
    if killed:
        lines.append(f"had to kill {', '.join(killed)}")
    console.emit(arguments, {"ended": names, "killed": list(killed)}, lines)
    return Exit.OK
