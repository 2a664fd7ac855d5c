"""Measure what consensus costs when all is well: message delays, messages, bytes, signatures.

Every link takes the same time, disks and ledgers none, and nobody waits on purpose. Latency is in
message delays: leader and other blocks from their proposal to their commit, an update from there to
FINAL and to its ACCEPT. Exit code 1 means that a case took other than the protocol's delays.
"""

import argparse
import sys
from typing import TYPE_CHECKING

from seawall.cli import console
from seawall.cli.console import Exit
from seawall.sim import bench
from seawall.testbed.report.bench_page import render_page

if TYPE_CHECKING:
    from pathlib import Path

SIZES: str = "4,7,10,25,50,100"
SIZE_MIN = 4
SIZE_MAX = 200
ROUNDS_MIN = 8
"""Fewer rounds measure no update from its proposal to its commit."""


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    console.add_sizes(parser, SIZES, SIZE_MIN, SIZE_MAX)
    console.add_protocols(parser, bench.PROTOCOLS)
    parser.add_argument(
        "--rounds",
        type=console.number(ROUNDS_MIN, 10_000),
        default=30,
        help="measured, up to n = 10; larger sizes run 12 at most (default: %(default)s)",
    )
    parser.add_argument(
        "--updates",
        type=console.number(1, 1024),
        default=4,
        help="handed to each site every message delay (default: %(default)s)",
    )
    console.add_report(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure every case and show the table."""
    waves = [bench.PROTOCOLS[name] for name in arguments.protocols]
    found: list[bench.Figures] = []
    for case in bench.cases_of(arguments.sizes, waves, arguments.rounds, arguments.updates):
        if not arguments.json:
            print(f"n = {case.size}, w = {case.wave_length} ...", file=sys.stderr)
        found.append(bench.measure(case))
    lines = console.table(bench.HEADER, [bench.row(figures) for figures in found])
    path: Path | None = arguments.report
    if path is not None:
        console.write_report(path, render_page(found))
        lines += ["", f"report  {path}"]
    console.emit(arguments, bench.document(found), lines)
    return Exit.OK if all(bench.holds(figures) for figures in found) else Exit.FAILED
