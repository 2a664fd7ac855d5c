"""The report as tables in plain text."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from bench.report import (
    IDLE_PERCENT_MAX,
    LOW_LOAD_MS_MAX,
    CellReport,
    Cost,
    Phase,
    Report,
    by_size,
)
from bench.systems import SystemReport
from bench.tables import Cell, render

MEBIBYTE = 2**20

Costed: TypeAlias = list[tuple[str, Cost]]
"""What phases cost, each with the name of its column."""


def text(report: Report) -> str:
    """Return the report as it is printed."""
    costed = {
        n: [
            (f"{cell.name} {one.load}", one.cost)
            for cell in report.cells
            for one in cell.best.phases
            if cell.sites == n and one.cost is not None and one.load != "single"
        ]
        for n in dict.fromkeys(cell.sites for cell in report.cells)
    }
    parts = [rates(report), low_load(report)]
    parts.append(costs([pair for some in costed.values() for pair in some]))
    for some in costed.values():
        parts.append(columns(some, "CPU-µs by thread", lambda cost: cost.threads_cpu_us))
        parts.append(columns(some, "µs passed by step", lambda cost: cost.steps_us))
        parts.append(columns(some, "events per update", lambda cost: cost.events))
    parts += [idle(report), systems(report.peers)]
    return "\n\n".join(part for part in parts if part)


def verdict(reached: bool | None) -> str:  # noqa: FBT001 - what it says is the point
    """Return a verdict in words."""
    return {None: "no floor", True: "reached", False: "NOT REACHED"}[reached]


def rates(report: Report) -> str:
    """Return the table of throughput and latency."""
    rows = [rate_row(cell, one) for cell in report.cells for one in cell.best.phases[:-1]]
    if not rows:
        return ""
    header = ("cell", "load", "updates/s", "p50 ms", "p95 ms", "p99 ms", "final p50 ms")
    more = ("refused or lost", "sites %", "others %", "floor", "verdict", "peaks of all runs")
    return render((*header, *more), rows)


def rate_row(cell: CellReport, one: Phase) -> list[Cell]:
    """Return one row of the table of throughput and latency."""
    figures: list[Cell] = [None, None, None]
    if (latency := one.latency["committed"]) is not None:
        figures = [latency.p50_ms, latency.p95_ms, latency.p99_ms]
    final = one.latency["final"]
    judged: list[Cell] = [None, None, None]
    if one.load == "closed":
        peaks = " / ".join(f"{run.peak.rate:,.0f}" for run in cell.runs)
        judged = [cell.floor, verdict(cell.reached), peaks]
    load = f"{one.load} {one.target:.0f}{'/s' if one.load == 'open' else ' a site'}"
    missing = sum(one.refused.values()) + one.lost
    return [
        cell.name,
        load,
        one.rate,
        *figures,
        None if final is None else final.p50_ms,
        missing,
        one.busy_percent,
        one.others_percent,
        *judged,
    ]


def low_load(report: Report) -> str:
    """Return the table of latency when updates come one at a time, and its goals."""
    rows: list[list[Cell]] = []
    for cell in report.cells:
        low = cell.best.low
        figures: list[Cell] = []
        for stage in ("final", "committed"):
            latency = low.latency[stage]
            figures += [None, None] if latency is None else [latency.p50_ms, latency.p95_ms]
        rows.append([cell.name, low.committed, *figures, low.busy_percent, low.others_percent])
    if not rows:
        return ""
    header = ("one at a time", "updates", "final p50 ms", "final p95 ms")
    table = render((*header, "committed p50 ms", "committed p95 ms", "sites %", "others %"), rows)
    goals = ", ".join(f"{stage} {most:.0f} ms" for stage, most in LOW_LOAD_MS_MAX.items())
    return f"{table}\n\ngoals of the medians: {goals}"


def costs(costed: Costed) -> str:
    """Return the table of cost per update."""
    rows = [
        (
            name,
            cost.site_cpu_us,
            cost.generator_cpu_us,
            cost.fsyncs,
            None if cost.disk_bytes is None else cost.disk_bytes / 1024,
            cost.loopback_bytes / 1024,
            cost.loopback_packets,
            cost.consensus_bytes / 1024,
            cost.client_messages,
            cost.switches,
        )
        for name, cost in costed
    ]
    if not rows:
        return ""
    header = ("per update", "CPU-µs sites", "CPU-µs load", "fsyncs", "disk KiB", "net KiB")
    return render((*header, "packets", "consensus KiB", "client msgs", "switches"), rows)


def columns(costed: Costed, title: str, pick: Callable[[Cost], Mapping[str, float]]) -> str:
    """Return a table with one column per phase and one row per name that any of them has."""
    names: dict[str, float] = {}
    for _, cost in costed:
        for name, value in pick(cost).items():
            names[name] = max(names.get(name, 0.0), value)
    rows = [(name, *(pick(cost).get(name) for _, cost in costed)) for name, _ in by_size(names)]
    return render((title, *(name for name, _ in costed)), rows) if rows else ""


def idle(report: Report) -> str:
    """Return the table of idle sites, with their memory after the load of each size."""
    rows: list[list[Cell]] = []
    labels = list(dict.fromkeys(cell.label for cell in report.cells))
    after = {(cell.sites, cell.label): cell.best.resident_bytes for cell in report.cells}
    for n, sites in report.idle.items():
        for at, site in enumerate(sites):
            memory: list[Cell] = [
                after[n, label][at] / MEBIBYTE if (n, label) in after else None for label in labels
            ]
            name = f"n={n} site-{at}"
            rows.append([name, site.cpu_percent, site.resident_bytes / MEBIBYTE, *memory])
    if not rows:
        return ""
    table = render(
        ("idle", "% of a core", "MiB idle", *[f"MiB after {one}" for one in labels]), rows
    )
    return f"{table}\n\nidle site at most {IDLE_PERCENT_MAX:.0f} %: {verdict(report.idle_reached)}"


def systems(peers: tuple[SystemReport, ...]) -> str:
    """Return the table of several systems side by side."""
    rows: list[list[Cell]] = [
        [
            one.name,
            one.nodes,
            one.bytes,
            None if one.low is None else one.low.p50_ms,
            None if one.low is None else one.low.p95_ms,
            None if one.peak is None else one.peak.rate,
            None if one.peak is None else one.peak.cpu_seconds_per_1000,
            None if one.steady is None else one.steady.rate,
            None if one.steady is None or one.steady.latency is None else one.steady.latency.p50_ms,
            None if one.steady is None or one.steady.latency is None else one.steady.latency.p95_ms,
            None if one.steady is None else one.steady.cpu_seconds_per_1000,
            one.peak_ratio,
            one.low_ratio,
            one.note,
        ]
        for one in peers
    ]
    if not rows:
        return ""
    header = ("system", "nodes", "bytes", "one by one p50 ms", "p95 ms", "peak /s")
    more = ("CPU s/1000", "at 70 % /s", "p50 ms", "p95 ms", "CPU s/1000")
    ratios = ("Seawall's peak ÷ its", "one by one ÷ its", "note")
    return render((*header, *more, *ratios), rows)
