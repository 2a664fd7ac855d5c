"""Put runs side by side: one experiment in the simulator, on a laptop, on a cluster."""

import argparse
from pathlib import Path

from seawall.cli import chaos_files, console
from seawall.cli.console import Exit
from seawall.errors import LocalError
from seawall.testbed.chaos.compare import HEADER, RUNS_MAX, read_run, render, rows


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("names", nargs="+", metavar="RUN", help="names or directories of runs")
    chaos_files.add_runs(parser)
    parser.add_argument("--report", type=Path, metavar="FILE.html", help="write a page with plots")


def run(arguments: argparse.Namespace) -> int:
    """Print the table, and write the page where that is asked for."""
    if len(arguments.names) > RUNS_MAX:
        raise LocalError("CLI_OPTION", f"compare at most {RUNS_MAX} runs", field="RUN")
    runs = [read_run(chaos_files.find_run(arguments.runs, name)) for name in arguments.names]
    if arguments.report is not None:
        console.write_report(arguments.report, render(runs))
    document = [{"run": one.name, **one.status} for one in runs]
    turned = list(zip(*rows(runs), strict=True))
    lines = console.table(
        ("", *[str(number) for number in range(1, len(runs) + 1)]),
        [(name, *cells) for name, cells in zip(HEADER, turned, strict=True)],
    )
    console.emit(arguments, document, lines)
    return Exit.OK
