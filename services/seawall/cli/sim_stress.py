"""Find the load at which sites are saturated, and what faults cost at 90 % of it.

Sites have two cores and an uplink, links take 100 ms. The same load runs without faults, with f
sites crashed, with f that equivocate, with f that send everything a round late, and with 2 % of
segments lost. Exit code 1 means that a run had less than 80 % of the throughput, or more than twice
the median latency, of the run without faults.
"""

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from seawall.cli import console
from seawall.cli.console import Exit
from seawall.sim import saturation, stress
from seawall.sim.bench import PROTOCOLS
from seawall.sim.capacity import Capacity
from seawall.testbed.report.stress_page import render_page

if TYPE_CHECKING:
    from pathlib import Path

SIZES: str = "4,7,10"
SIZE_MIN = 4
SIZE_MAX = 31
BITS_PER_BYTE = 8


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    console.add_sizes(parser, SIZES, SIZE_MIN, SIZE_MAX)
    console.add_protocols(parser, PROTOCOLS)
    parser.add_argument(
        "--links",
        choices=("fixed", "jitter", "both"),
        default="both",
        help="delays of 100 ms: fixed, or log-normal with sigma 0.2 (default: %(default)s)",
    )
    parser.add_argument(
        "--uplink-mbit",
        type=console.number(1, 100_000),
        default=Capacity().uplink_bytes_per_second * BITS_PER_BYTE // 1_000_000,
        help="of each site, in Mbit/s (default: %(default)s)",
    )
    parser.add_argument(
        "--execute-us",
        type=console.number(1, 100_000),
        default=Capacity().execute_us,
        help="what an update costs a site's ledger (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=console.number(1, 3_600),
        default=16,
        help="measured of each run, in virtual time (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of jitter and loss (default: 1)")
    console.add_report(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the study of every setting and show the table."""
    capacity = replace(
        Capacity(),
        uplink_bytes_per_second=arguments.uplink_mbit * 1_000_000 // BITS_PER_BYTE,
        execute_us=arguments.execute_us,
    )
    studies: list[saturation.Study] = []
    for setting in _settings(arguments):
        if not arguments.json:
            print(f"{saturation.title(setting)} ...", file=sys.stderr)
        studies.append(saturation.study(setting, capacity, tuple(stress.Trouble)))
    rows = [saturation.row(study, one) for study in studies for one in study.runs]
    lines = console.table(saturation.HEADER, rows)
    path: Path | None = arguments.report
    if path is not None:
        console.write_report(path, render_page(studies, capacity))
        lines += ["", f"report  {path}"]
    console.emit(arguments, saturation.document(studies, capacity), lines)
    return Exit.OK if all(study.all_hold for study in studies) else Exit.FAILED


def _settings(arguments: argparse.Namespace) -> list[stress.Setting]:
    jitters = {"fixed": [False], "jitter": [True], "both": [False, True]}[arguments.links]
    return [
        stress.Setting(
            size=size,
            protocol=protocol,
            jitter=jitter,
            seed=arguments.seed,
            window_s=arguments.seconds,
        )
        for jitter in jitters
        for protocol in arguments.protocols
        for size in arguments.sizes
    ]
