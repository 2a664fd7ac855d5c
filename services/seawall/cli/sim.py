"""Run an experiment in virtual time: the same replicas as real sites, on a modelled network.

Prints what was measured and how it is judged.
"""

import argparse
from pathlib import Path
from typing import Final

from seawall.cli import chaos_files, console
from seawall.errors import LocalError
from seawall.testbed.experiment.outcome import Result, document_of
from seawall.testbed.experiment.page import render_page
from seawall.testbed.experiment.runner import run_simulated
from seawall.testbed.experiment.tables import summary

EXIT_CODES: Final = """exit codes:
  0  PASS: all that was expected
  1  DEGRADED: a service level or liveness was missed
  2  wrong usage, or a wrong file of your own
  3  UNSAFE: an invariant was violated
  4  INCONCLUSIVE: the run says nothing, as when a fault had no effect
  5  a fault of Seawall itself
  130  interrupted"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("experiment", type=Path, metavar="EXPERIMENT.yaml")
    parser.add_argument("--seed", type=int, default=None, help="in place of the one in the file")
    parser.add_argument("--report", type=Path, metavar="FILE.html", help="write a page with plots")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="write what a site saw, as JSON")
    parser.add_argument("--site", type=int, default=0, help="whose trace (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Run the experiment and return its verdict's exit code."""
    loaded = chaos_files.read_experiment(arguments.experiment, arguments.seed)
    sites = loaded.experiment.spec.topology.sites
    if not 0 <= arguments.site < sites:
        hint = f"sites are numbered from 0 to {sites - 1} here"
        raise LocalError("CLI_SITE", hint, field="--site")
    traced = arguments.site if arguments.trace else None
    result = run_simulated(loaded, trace_site=traced)
    if arguments.report:
        _write(arguments.report, render_page(result).encode(), "--report")
    if arguments.trace and result.trace is not None:
        _write(arguments.trace, result.trace, "--trace")
    console.emit(arguments, document_of(result), _lines(result, arguments))
    return int(result.verdict)


def _lines(result: Result, arguments: argparse.Namespace) -> list[str]:
    written = [
        f"{name:<8} {path}"
        for name, path in (("report", arguments.report), ("trace", arguments.trace))
        if path is not None
    ]
    return [*summary(result), *written]


def _write(path: Path, data: bytes, option: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as fault:
        hint = f"cannot write {path}: {fault.strerror}"
        raise LocalError("CLI_FILE_WRITE", hint, field=option) from fault
