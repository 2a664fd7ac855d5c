"""Four sites on loopback under load: throughput, latency, and what one update costs.

    make bench BENCH_FLAGS="--quick"

For each payload size: start four sites, keep many updates on their way to find the peak, then send
at half of it and measure latency from the moment at which each update was due. Before that, with
the first size, look at sites that have nothing to do. Prints tables and writes JSON.
"""

import argparse
import asyncio
import datetime as dt
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

if __package__ in {None, ""}:  # run as a file: `python bench/run.py`
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench import profiles, sites
from bench.report import IdleSite, Phase, Report, SizeReport, idle_sites, phase, text
from bench.tables import render

RESULTS = Path(__file__).resolve().parent / "results"
FUNCTIONS = 40
"""Rows of a profile."""

AREAS = (
    "seawall/ingestion",
    "seawall/integrity",
    "seawall/ledger",
    "seawall/consensus",
    "seawall/aggregation",
    "seawall/formats",
    "seawall/codec",
    "seawall/crypto",
    "seawall/runtime",
    "seawall/telemetry",
    "prometheus_client",
    "grpc/",
    "google/",
    "structlog/",
)
"""Parts to which a profile's samples are counted: the innermost frame that lies in one."""

PACKAGES = ("grpcio", "protobuf", "PyNaCl", "lmdb", "msgspec", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A payload size and how it is driven.

    Attributes:
        label: as it is printed.
        payload_bytes: size of the safetensors file.
        window: updates on their way per site in the closed loop.
        rate_max: bound on the rate for which updates are signed ahead.

    """

    label: str
    payload_bytes: int
    window: int
    rate_max: int


SIZES = (
    Size(label="1 KB", payload_bytes=1 << 10, window=256, rate_max=6000),
    Size(label="64 KB", payload_bytes=1 << 16, window=96, rate_max=2000),
    Size(label="1 MB", payload_bytes=1 << 20, window=10, rate_max=300),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Seconds of each part."""

    idle: float
    warm: float
    closed: float
    open: float


FULL = Lengths(idle=15.0, warm=5.0, closed=25.0, open=25.0)
QUICK = Lengths(idle=5.0, warm=2.0, closed=5.0, open=5.0)


def progress(message: str) -> None:
    """Print one line about what goes on, at once."""
    print(f"bench: {message}", file=sys.stderr, flush=True)


async def measure_size(
    size: Size, lengths: Lengths, directory: Path, *, idle: bool, options: argparse.Namespace
) -> tuple[SizeReport, tuple[IdleSite, ...]]:
    """Measure one payload size on sites of its own."""
    progress(f"{size.label}: starting four sites")
    async with sites.running(
        directory, size.payload_bytes, profile=options.profile, settings=options.set
    ) as network:
        resting: tuple[IdleSite, ...] = ()
        if idle:
            progress(f"{size.label}: {lengths.idle:.0f} s without load")
            resting = idle_sites(await network.watch(lengths.idle, after=lengths.warm))
        async with sites.generating(directory, size.payload_bytes) as generator:
            count = round(size.rate_max * (lengths.warm + lengths.closed))
            progress(f"{size.label}: signing {count:,} updates")
            await generator.order(do="prepare", count=count)
            peak = await drive(
                network, generator, lengths, do="closed", seconds=lengths.closed, target=size.window
            )
            progress(f"{size.label}: peak {peak.rate:,.0f} updates/s")
            half = None
            if peak.committed:
                rate = peak.rate / 2
                await generator.order(
                    do="prepare", count=round(rate * (lengths.warm + lengths.open) * 1.1)
                )
                half = await drive(
                    network, generator, lengths, do="open", seconds=lengths.open, target=rate
                )
        after = await network.read(None, opens=False)
    resident = tuple(usage.resident_bytes for usage in after.sites)
    report = SizeReport(
        label=size.label,
        payload_bytes=size.payload_bytes,
        peak=peak,
        half=half,
        resident_bytes=resident,
    )
    return report, resting


async def drive(
    network: sites.Network,
    generator: sites.Generator,
    lengths: Lengths,
    *,
    do: str,
    seconds: float,
    target: float,
) -> Phase:
    """Load the sites for a while, and measure the part after the warm-up."""
    key = "window" if do == "closed" else "rate"
    order = {"do": do, "seconds": lengths.warm + seconds + 0.5, key: target}
    async with asyncio.TaskGroup() as group:
        told = group.create_task(generator.order(**order))
        watched = group.create_task(
            network.watch(seconds, after=lengths.warm, generator=generator.pid)
        )
    if network.samples:
        print(f"\n{do}\n\n{profile_table(network.samples)}\n")
    return phase(do, target, watched.result(), told.result())


def machine(directory: Path) -> dict[str, str | int]:
    """Return what the figures depend on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "when": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "filesystem": filesystem(directory),
        **{name: version(name) for name in PACKAGES},
    }


def filesystem(directory: Path) -> str:
    """Return the kind of file system that a directory lies on."""
    place, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, found, *_ = line.split()
        inside = directory.resolve().is_relative_to(point)
        if inside and len(point) >= len(place):
            place, kind = point, found
    return kind


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="about a minute instead of five")
    parser.add_argument("--check", action="store_true", help="exit 1 when a floor is not reached")
    parser.add_argument(
        "--sizes", default="", help='payload sizes to measure, as in "1 KB,1 MB"; all by default'
    )
    parser.add_argument("--no-idle", action="store_true", help="do not look at idle sites")
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


def profile_table(stacks: Counter[tuple[str, ...]]) -> str:
    """Return the tables of where samples lie, by part and by function."""
    areas = profiles.areas(stacks, AREAS).items()
    found = profiles.shares(stacks)[:FUNCTIONS]
    running = list(profiles.callbacks(stacks).items())[:FUNCTIONS]
    rows = [(one.name, one.own_percent, one.total_percent) for one in found]
    return "\n\n".join(
        (
            render(("innermost part", "%"), [(name, share) for name, share in areas]),
            render(("callback of the event loop", "%"), running),
            render(("function", "own %", "with callees %"), rows),
        )
    )


async def measure(options: argparse.Namespace, home: Path) -> Report:
    """Measure all chosen sizes, one after the other."""
    lengths = QUICK if options.quick else FULL
    wanted = [name.strip() for name in options.sizes.split(",") if name.strip()]
    chosen = [size for size in SIZES if not wanted or size.label in wanted]
    reports: list[SizeReport] = []
    resting: tuple[IdleSite, ...] = ()
    for size in chosen:
        directory = home / f"sites-{size.payload_bytes}"
        look = not options.no_idle and not reports
        one, idle = await measure_size(size, lengths, directory, idle=look, options=options)
        reports.append(one)
        resting = resting or idle
        if not options.keep:
            shutil.rmtree(directory)
    return Report(machine=machine(home), idle=resting, sizes=tuple(reports))


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
    progress(f"{time.monotonic() - started:.0f} s in all; report in {path}")
    return 1 if options.check and not report.reached else 0


if __name__ == "__main__":
    sys.exit(main())
