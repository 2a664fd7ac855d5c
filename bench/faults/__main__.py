"""Do faults to real sites under load, one after the other, and print what became of it.

    make faults FAULTS_FLAGS="--quick --faults kill,partition-halves"

For each fault: fresh sites, updates on a fixed schedule, the fault, its end, recovery. Afterwards
every acknowledged update must have a receipt that verifies at every site, all ledgers must be one,
and every tree head that any site ever named must be part of it. Prints a table and writes JSON;
exits 1 when something does not hold.
"""

import argparse
import asyncio
import json
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.faults.measure import FULL, QUICK, FaultReport, Lengths, measure, not_done
from bench.faults.namespaces import obstacle
from bench.faults.table import FAULTS
from bench.machine import machine
from bench.tables import Cell, render

RESULTS = Path(__file__).resolve().parents[1] / "results"
SEED = 7
CRASH = "crash-"
QUICK_CRASHES = ("crash-journal.after_sync", "crash-ledger.before_sync")


def tell(message: str) -> None:
    """Print one line about what goes on, at once."""
    print(f"faults: {message}", file=sys.stderr, flush=True)


def chosen(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the faults to do.

    Raises:
        SystemExit: one has an unknown name.

    """
    if options.faults:
        names = tuple(options.faults.split(","))
        if unknown := [name for name in names if name not in FAULTS]:
            raise SystemExit(f"unknown: {', '.join(unknown)}; choose among {', '.join(FAULTS)}")
    else:
        names = tuple(
            name
            for name in FAULTS
            if not options.quick or not name.startswith(CRASH) or name in QUICK_CRASHES
        )
    reason = obstacle()
    if reason is not None and any(FAULTS[name].apart for name in names):
        tell(f"partitions are left out: {reason}")
        names = tuple(name for name in names if not FAULTS[name].apart)
    return names


def text(reports: Sequence[FaultReport]) -> str:
    """Return the table."""
    rows: list[list[Cell]] = [
        [
            one.name,
            one.sent,
            one.acknowledged,
            len(one.findings.lost),
            len(one.findings.forks) + len(one.findings.digests) + len(one.findings.heads),
            one.unanswered + len(one.refused),
            one.rate_before,
            100 * one.share_during,
            one.commit_seconds,
            one.level_seconds,
            one.back_seconds,
            None if one.latency is None else one.latency.p95_ms / 1e3,
            "holds" if one.holds else f"DOES NOT HOLD {one.complaint}".strip(),
        ]
        for one in reports
    ]
    header = ("fault", "sent", "acknowledged", "lost", "forks", "unanswered", "rate before")
    more = ("% of it during", "first commit s", "level s", "80 % back s", "p95 s", "verdict")
    return render((*header, *more), rows)


def document(reports: Sequence[FaultReport], lengths: Lengths, home: Path) -> dict[str, Any]:
    """Return everything as JSON values."""
    faults = [{**asdict(one), "holds": one.holds} for one in reports]
    return {"machine": machine(home), "lengths": asdict(lengths), "faults": faults}


async def run(options: argparse.Namespace, home: Path) -> tuple[FaultReport, ...]:
    """Do the chosen faults."""
    lengths = QUICK if options.quick else FULL
    reports: list[FaultReport] = []
    names = chosen(options)
    for number, name in enumerate(names, 1):
        began = time.monotonic()
        try:
            one = await measure(name, lengths, home / name, options.seed)
        except Exception as failure:  # noqa: BLE001 - the other faults are done all the same
            one = not_done(name, failure)
        reports.append(one)
        took = time.monotonic() - began
        verdict = "holds" if one.holds else "DOES NOT HOLD"
        tell(f"{number}/{len(names)} {name}: {verdict} ({took:.0f} s)")
        if one.holds and not options.keep:
            shutil.rmtree(home / name)
    return tuple(reports)


def main() -> int:
    """Do the faults, print, write; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="short phases, two crash points")
    parser.add_argument("--faults", default="", help=f"faults to do: {', '.join(FAULTS)}")
    parser.add_argument("--seed", type=int, default=SEED, help="of random choices")
    parser.add_argument("--keep", action="store_true", help="keep all directories of sites")
    parser.add_argument("--json", type=Path, help="where the report goes; bench/results by default")
    options = parser.parse_args()
    # Streams of killed sites end in ways of which the library warns; what matters is judged.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    RESULTS.mkdir(exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="faults-", dir=RESULTS))
    began = time.monotonic()
    reports = asyncio.run(run(options, home))
    print(text(reports))
    whole = document(reports, QUICK if options.quick else FULL, home)
    path = options.json or RESULTS / f"faults-{whole['machine']['when']}.json".replace(":", "")
    path.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    tell(f"{time.monotonic() - began:.0f} s in all; report in {path}")
    failed = [one for one in reports if not one.holds]
    if failed:
        tell(f"what the sites left is in {home}")
    elif not options.keep:
        shutil.rmtree(home, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
