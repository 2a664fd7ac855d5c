"""Sites on loopback under load: throughput, latency, and what one update costs.

    make bench BENCH_FLAGS="--quick"

For each number of sites and each payload size, three times: start fresh sites, keep many updates
on their way to find the peak, send at half of it and measure latency from the moment at which each
update was due, then send one update at a time. With the first size of each number of sites, look
first at sites that have nothing to do. At last other systems, in turns with Seawall, where they
are installed (`bench/peers.py`). Prints tables and writes JSON.
"""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

if __package__ in {None, ""}:  # run as a file: `python bench/run.py`
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench import peers
from bench.cells import measure_cell
from bench.machine import machine
from bench.plan import FULL, QUICK, SITES_DEFAULT, Cell, Progress, cells_of
from bench.printing import text
from bench.report import CellReport, IdleSite, Report, RunReport

RESULTS = Path(__file__).resolve().parent / "results"


def tell(message: str) -> None:
    """Print one line about what goes on, at once."""
    print(f"bench: {message}", file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="short phases, one run of each cell")
    parser.add_argument("--check", action="store_true", help="exit 1 when a floor is not reached")
    default = ",".join(map(str, SITES_DEFAULT))
    parser.add_argument("--sites", default=default, help=f'numbers of sites; "{default}" if absent')
    parser.add_argument(
        "--sizes", default="", help='payload sizes to measure, as in "1 KB,1 MB"; all by default'
    )
    parser.add_argument("--runs", type=int, help="runs of each cell; the best one counts")
    parser.add_argument("--no-idle", action="store_true", help="do not look at idle sites")
    parser.add_argument("--no-peers", action="store_true", help="measure no other systems")
    parser.add_argument("--only-peers", action="store_true", help="measure the comparison alone")
    parser.add_argument("--profile", action="store_true", help="sample the sites' stacks")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="LINE",
        help='line for the settings of all sites, as in --set "ingestion.flush_ms = 20"',
    )
    parser.add_argument("--keep", action="store_true", help="keep the sites' directories")
    parser.add_argument("--json", type=Path, help="where the report goes; bench/results by default")
    return parser.parse_args()


async def measure(options: argparse.Namespace, home: Path) -> Report:
    """Measure all chosen cells, then other systems."""
    lengths = QUICK if options.quick else FULL
    runs = options.runs or lengths.runs
    labels = tuple(name.strip() for name in options.sizes.split(",") if name.strip())
    chosen = cells_of(
        tuple(int(n) for n in options.sites.split(",")), labels, idle=not options.no_idle
    )
    if options.only_peers:
        chosen = ()
    others = () if options.no_peers else peers.installed(tell)
    costs = [lengths.run_seconds(cell.sites, cell.size) for cell in chosen]
    looks = sum(cell.idle for cell in chosen) * (lengths.warm + lengths.idle)
    turns = peers.turn_seconds(others, lengths) * runs
    progress = Progress(sum(costs) * runs + looks + turns, tell)
    reports: list[CellReport] = []
    resting: dict[int, tuple[IdleSite, ...]] = {}
    for cell, seconds in zip(chosen, costs, strict=True):
        found: list[RunReport] = []
        for run in range(runs):
            directory = home / f"sites-{cell.sites}-{cell.size.payload_bytes}-{run}"
            look = Cell(sites=cell.sites, size=cell.size, idle=cell.idle and run == 0)
            one, idle = await measure_cell(
                look, lengths, directory, progress, profile=options.profile, settings=options.set
            )
            found.append(one)
            if idle:
                resting[cell.sites] = idle
            progress.finished(seconds + look.idle * (lengths.warm + lengths.idle))
            if not options.keep:
                shutil.rmtree(directory)
        size = cell.size
        reports.append(
            CellReport(
                sites=cell.sites,
                label=size.label,
                payload_bytes=size.payload_bytes,
                runs=tuple(found),
            )
        )
    compared = await peers.compare(others, lengths, runs, home, progress)
    return Report(machine=machine(home), idle=resting, cells=tuple(reports), peers=compared)


def main() -> int:
    """Measure, print, write; return the exit code."""
    options = parse()
    RESULTS.mkdir(exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="run-", dir=RESULTS))
    started = time.monotonic()
    try:
        report = asyncio.run(measure(options, home))
    finally:
        if not options.keep:
            shutil.rmtree(home, ignore_errors=True)
    print(text(report))
    path = options.json or RESULTS / f"{report.machine['when']}.json".replace(":", "")
    path.write_text(json.dumps(report.document(), indent=2) + "\n", encoding="utf-8")
    tell(f"{time.monotonic() - started:.0f} s in all; report in {path}")
    return 1 if options.check and not report.reached else 0


if __name__ == "__main__":
    sys.exit(main())
