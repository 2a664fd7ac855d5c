"""From readings to a report: rates, latencies, cost per update, verdicts; `document` is its JSON.

Nothing here reads a clock or a file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.processes import Traffic, Usage
from bench.quantiles import Latency, summarise
from bench.scraping import Samples, durations, total
from bench.systems import SystemReport

FLOORS: Mapping[int, Mapping[str, float]] = {
    4: {"1 KB": 3000.0, "64 KB": 800.0, "1 MB": 80.0},
    10: {"1 KB": 1000.0, "64 KB": 350.0, "1 MB": 30.0},
}
"""Updates per second that so many sites and the load generator are to reach on two cores."""

IDLE_PERCENT_MAX = 2.0
"""Most of one core that an idle site is to use."""

LOW_LOAD_MS_MAX: Mapping[str, float] = {"final": 20.0, "committed": 40.0}
"""Median latency that four sites are to reach when updates come one at a time."""

FSYNCS = (
    "seawall_ledger_fsync_duration_seconds_count",
    "seawall_ledger_payload_fsync_duration_seconds_count",
    "seawall_consensus_phase_duration_seconds_count",
)
PERSIST = {"seawall_consensus_phase_duration_seconds_count": {"phase": "persist"}}
PEER_BYTES = "seawall_consensus_peer_message_bytes_total"
STAGES = ("received", "attested", "final", "committed")
DUE, SENT, FIRST_STAGE = 0, 1, 2
COMMITTED = FIRST_STAGE + STAGES.index("committed")
MAIN_THREAD = "main"

Landed = Sequence[Sequence[float | None]]
"""Per committed update: when it was due, when sent, then when each of `STAGES` was reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What was used between two moments of the monotonic clock, by whom.

    Attributes:
        started: first moment, seconds.
        ended: last moment, seconds.
        sites: usage of each site's process.
        metrics: growth of each site's metrics.
        generator: usage of the load generator; None when there was none.
        loopback: traffic between all processes.
        disk_bytes: bytes written to the disk, by anybody; None when there is none.
        machine_cpu_seconds: processor time of everything on the machine.

    """

    started: float
    ended: float
    sites: tuple[Usage, ...]
    metrics: tuple[Samples, ...]
    generator: Usage | None
    loopback: Traffic
    disk_bytes: int | None
    machine_cpu_seconds: float

    @property
    def seconds(self) -> float:
        """Return how long it lasted."""
        return self.ended - self.started

    @property
    def others_percent(self) -> float:
        """Return what programs that are not measured used, in per cent of one core."""
        measured = [*self.sites, *filter(None, [self.generator])]
        ours = sum(usage.cpu_seconds for usage in measured)
        return max(0.0, 100 * (self.machine_cpu_seconds - ours) / self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one committed update took, all sites together.

    Attributes:
        site_cpu_us: processor time of all sites.
        generator_cpu_us: processor time of the load generator, apart.
        threads_cpu_us: the former, by thread.
        steps_us: time that passed in each step that the sites time themselves, all sites; steps
            of several updates at once count in parts, and steps may contain each other.
        events: how often each of these steps was timed; several updates may share one.
        fsyncs: waits for the disk that the sites count, all sites.
        disk_bytes: bytes written to the disk; None when there is none.
        loopback_bytes: bytes over the network, clients and sites.
        loopback_packets: packets likewise.
        consensus_bytes: bytes that sites sent each other in consensus.
        client_messages: messages between clients and sites, both ways.
        switches: context switches of the sites' threads.

    """

    site_cpu_us: float
    generator_cpu_us: float
    threads_cpu_us: Mapping[str, float]
    steps_us: Mapping[str, float]
    events: Mapping[str, float]
    fsyncs: float
    disk_bytes: float | None
    loopback_bytes: float
    loopback_packets: float
    consensus_bytes: float
    client_messages: float
    switches: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One measured phase of load.

    Attributes:
        load: `closed` with `target` updates on their way per site, `open` with `target` a second
            in all, or `single`: one update on its way, from one client.
        target: see `load`.
        seconds: length of the window.
        committed: updates acknowledged in the window.
        rate: of them, per second.
        latency: per stage, from when the update was due to the client's knowledge of the stage.
        busy_percent: use of one core by all sites together.
        others_percent: use of one core by programs that are not measured: the less, the better.
        refused: refused updates by code, over the whole phase.
        lost: updates without an answer at its end.
        exhausted: the generator ran out of signed updates, so the rate is too low.
        cost: per update; None when nothing was committed.

    """

    load: str
    target: float
    seconds: float
    committed: int
    rate: float
    latency: Mapping[str, Latency | None]
    busy_percent: float
    others_percent: float
    refused: Mapping[str, int]
    lost: int
    exhausted: bool
    cost: Cost | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleSite:
    """A site without load: per cent of one core, and resident memory."""

    cpu_percent: float
    resident_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """One run: so many fresh sites, one payload size.

    Attributes:
        peak: closed loop.
        half: open loop at half of the peak; None when nothing was committed there.
        low: one update at a time.
        resident_bytes: memory of each site at the end.

    """

    peak: Phase
    half: Phase | None
    low: Phase
    resident_bytes: tuple[int, ...]

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Return what was measured, in this order: peak, half, low."""
        return tuple(one for one in (self.peak, self.half, self.low) if one is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellReport:
    """All runs with one number of sites and one payload size."""

    sites: int
    label: str
    payload_bytes: int
    runs: tuple[RunReport, ...]

    @property
    def name(self) -> str:
        """Return how the cell is printed."""
        return f"n={self.sites} {self.label}"

    @property
    def best(self) -> RunReport:
        """Return the run with the highest peak; every figure that is printed is one of its."""
        return max(self.runs, key=lambda run: run.peak.rate)

    @property
    def floor(self) -> float | None:
        """Return the updates per second to reach, None when there is no such floor."""
        return FLOORS.get(self.sites, {}).get(self.label)

    @property
    def reached(self) -> bool | None:
        """Tell whether the floor was reached; None when there is none."""
        return None if self.floor is None else self.best.peak.rate >= self.floor


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole run of the benchmark; `machine` says where and with what.

    `idle` holds sites without load, by the number of sites.
    """

    machine: Mapping[str, str | int]
    idle: Mapping[int, tuple[IdleSite, ...]]
    cells: tuple[CellReport, ...]
    peers: tuple[SystemReport, ...] = ()

    @property
    def idle_reached(self) -> bool | None:
        """Tell whether every idle site stayed below its limit; None when that was not measured."""
        resting = [site.cpu_percent for sites in self.idle.values() for site in sites]
        return max(resting) <= IDLE_PERCENT_MAX if resting else None

    @property
    def reached(self) -> bool:
        """Tell whether nothing that was measured missed its floor."""
        verdicts = [self.idle_reached, *(cell.reached for cell in self.cells)]
        return all(verdict is not False for verdict in verdicts)

    def document(self) -> dict[str, Any]:
        """Return the report as JSON values, verdicts included."""
        cells = [
            {**asdict(cell), "floor": cell.floor, "reached": cell.reached} for cell in self.cells
        ]
        idle = {
            "sites": {str(n): [asdict(site) for site in sites] for n, sites in self.idle.items()},
            "cpu_percent_max": IDLE_PERCENT_MAX,
            "reached": self.idle_reached,
        }
        return {
            "machine": dict(self.machine),
            "idle": idle,
            "cells": cells,
            "peers": [asdict(system) for system in self.peers],
        }


def idle_sites(window: Window) -> tuple[IdleSite, ...]:
    """Return what each site used in a window without load."""
    return tuple(
        IdleSite(
            cpu_percent=100 * usage.cpu_seconds / window.seconds,
            resident_bytes=usage.resident_bytes,
        )
        for usage in window.sites
    )


def phase(load: str, target: float, window: Window, told: Mapping[str, Any]) -> Phase:
    """Return what a phase of load showed.

    Args:
        load: `closed`, `open` or `single`.
        target: updates on their way per site, or updates a second; see `Phase`.
        window: readings of the steady part of the phase.
        told: the load generator's account of the whole phase.

    """
    landed = inside(told["landed"], window)
    return Phase(
        load=load,
        target=target,
        seconds=window.seconds,
        committed=len(landed),
        rate=len(landed) / window.seconds,
        latency=latencies(landed),
        busy_percent=100 * sum(usage.cpu_seconds for usage in window.sites) / window.seconds,
        others_percent=window.others_percent,
        refused=dict(sorted(told["refused"].items())),
        lost=told["lost"],
        exhausted=told["exhausted"],
        cost=cost(window, len(landed), told) if landed else None,
    )


def inside(landed: Landed, window: Window) -> list[Sequence[float | None]]:
    """Return the updates that were acknowledged inside a window."""
    return [
        times
        for times in landed
        if (at := times[COMMITTED]) is not None and window.started <= at < window.ended
    ]


def latencies(landed: Landed) -> dict[str, Latency | None]:
    """Return the latency of each stage, counted from when an update was due."""
    return {
        stage: summarise(
            [
                reached - due
                for times in landed
                if (reached := times[FIRST_STAGE + at]) is not None
                and (due := times[DUE]) is not None
            ]
        )
        for at, stage in enumerate(STAGES)
    }


def cost(window: Window, updates: int, told: Mapping[str, Any]) -> Cost:
    """Return what each of so many updates took."""
    threads: dict[str, float] = {}
    for usage in window.sites:
        for name, seconds in usage.threads.items():
            threads[name] = threads.get(name, 0.0) + seconds
    whole = told["ended"] - told["started"]
    client_messages = (told["messagesOut"] + told["messagesIn"]) / whole * window.seconds
    generator = 0.0 if window.generator is None else window.generator.cpu_seconds
    micro = 1e6 / updates
    spent_in = durations(window.metrics)
    return Cost(
        site_cpu_us=sum(usage.cpu_seconds for usage in window.sites) * micro,
        generator_cpu_us=generator * micro,
        threads_cpu_us={name: seconds * micro for name, seconds in by_size(threads)},
        steps_us={name: spent.seconds * micro for name, spent in spent_in.items()},
        events={name: spent.count / updates for name, spent in spent_in.items()},
        fsyncs=sum(total(window.metrics, name, **PERSIST.get(name, {})) for name in FSYNCS)
        / updates,
        disk_bytes=None if window.disk_bytes is None else window.disk_bytes / updates,
        loopback_bytes=window.loopback.bytes / updates,
        loopback_packets=window.loopback.packets / updates,
        consensus_bytes=total(window.metrics, PEER_BYTES, direction="sent") / updates,
        client_messages=client_messages / updates,
        switches=sum(usage.switches for usage in window.sites) / updates,
    )


def by_size(values: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return the pairs, the largest value first."""
    return sorted(values.items(), key=lambda item: (-item[1], item[0]))
