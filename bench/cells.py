"""One run of one cell: fresh sites, idle, at their peak, below it, and one update at a time."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from bench import profiles, sites
from bench.plan import Cell, Lengths, Progress
from bench.report import IdleSite, Phase, RunReport, idle_sites, phase

HALF = 0.5
"""Load of the open loop, as a share of the peak."""

SINGLE_PER_SECOND_MAX = 100
"""Bound on the rate of one client that waits for each update."""


async def measure_cell(
    cell: Cell,
    lengths: Lengths,
    directory: Path,
    progress: Progress,
    *,
    share: float = HALF,
    profile: bool = False,
    settings: Sequence[str] = (),
) -> tuple[RunReport, tuple[IdleSite, ...]]:
    """Measure one cell once, on sites of its own; the open loop is at this share of the peak."""
    size, label = cell.size, f"n={cell.sites} {cell.size.label}"
    progress.say(f"{label}: starting {cell.sites} sites")
    async with sites.running(
        directory,
        size.payload_bytes,
        sites=cell.sites,
        profile=profile,
        settings=settings,
    ) as network:
        resting: tuple[IdleSite, ...] = ()
        if cell.idle:
            progress.say(f"{label}: {lengths.idle:.0f} s without load")
            resting = idle_sites(await network.watch(lengths.idle, after=lengths.warm))
        async with sites.generating(directory, size.payload_bytes) as generator:
            await generator.order(
                do="prepare", count=round(size.rate_max * (lengths.warm + lengths.closed))
            )
            window = size.window_of(cell.sites)
            peak = await drive(network, generator, lengths, "closed", lengths.closed, window)
            progress.say(f"{label}: peak {peak.rate:,.0f} updates/s")
            half = None
            if peak.committed:
                rate = peak.rate * share
                count = round(rate * (lengths.warm + lengths.open) * 1.1)
                await generator.order(do="prepare", count=count)
                half = await drive(network, generator, lengths, "open", lengths.open, rate)
            seconds = lengths.warm + lengths.single
            count = round(SINGLE_PER_SECOND_MAX * cell.sites * seconds)
            await generator.order(do="prepare", count=count)
            low = await drive(network, generator, lengths, "single", lengths.single, 0)
        after = await network.read(None, opens=False)
    resident = tuple(usage.resident_bytes for usage in after.sites)
    return RunReport(peak=peak, half=half, low=low, resident_bytes=resident), resting


async def drive(
    network: sites.Network,
    generator: sites.Generator,
    lengths: Lengths,
    do: str,
    seconds: float,
    target: float,
) -> Phase:
    """Load the sites for a while, and measure the part after the warm-up."""
    key = {"closed": "window", "open": "rate", "single": "site"}[do]
    order = {"do": do, "seconds": lengths.warm + seconds + 0.5, key: target}
    async with asyncio.TaskGroup() as group:
        told = group.create_task(generator.order(**order))
        watched = group.create_task(
            network.watch(seconds, after=lengths.warm, generator=generator.pid)
        )
    if network.samples:
        print(f"\n{do}\n\n{profiles.tables(network.samples)}\n")
    return phase(do, target, watched.result(), told.result())
