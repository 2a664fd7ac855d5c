import json
from dataclasses import replace
from typing import Any

import pytest

from bench import printing, report
from bench.processes import Traffic, Usage
from bench.report import CellReport, IdleSite, Phase, Report, RunReport, Window
from bench.scraping import parse
from bench.systems import Load, SystemReport, best_of

GROWN = """\
# TYPE seawall_ledger_fsync_duration_seconds histogram
seawall_ledger_fsync_duration_seconds_bucket{le="+Inf"} 3.0
seawall_ledger_fsync_duration_seconds_count 3.0
seawall_ledger_fsync_duration_seconds_sum 0.03
# TYPE seawall_consensus_phase_duration_seconds histogram
seawall_consensus_phase_duration_seconds_count{phase="persist",protocol="sync"} 2.0
seawall_consensus_phase_duration_seconds_sum{phase="persist",protocol="sync"} 0.01
seawall_consensus_phase_duration_seconds_count{phase="handle",protocol="sync"} 50.0
seawall_consensus_phase_duration_seconds_sum{phase="handle",protocol="sync"} 0.02
# TYPE seawall_consensus_peer_message_bytes counter
seawall_consensus_peer_message_bytes_total{direction="sent",kind="blocks"} 2048.0
seawall_consensus_peer_message_bytes_total{direction="in",kind="blocks"} 9999.0
"""


def usage(cpu_seconds: float) -> Usage:
    return Usage(
        cpu_seconds=cpu_seconds,
        threads={"main": cpu_seconds * 0.75, "grpc": cpu_seconds * 0.25},
        resident_bytes=64 << 20,
        peak_bytes=80 << 20,
        switches=100,
    )


WINDOW = Window(
    started=100.0,
    ended=102.0,
    sites=(usage(0.5), usage(0.3)),
    metrics=(parse(GROWN), parse(GROWN)),
    generator=usage(0.2),
    loopback=Traffic(bytes=8192, packets=40),
    disk_bytes=8192,
    machine_cpu_seconds=1.6,
)
LANDED: list[list[float | None]] = [
    [99.0, 99.0, 99.1, 99.2, None, 99.9],  # before the window
    [99.5, 99.5, 99.6, 99.7, 99.8, 100.0],
    [100.0, 100.25, 100.5, None, None, 101.0],
    [100.5, 100.5, 100.6, 100.7, 100.9, 101.5],
    [101.0, 101.0, 101.1, 101.2, None, 101.99],
    [101.0, 101.0, 101.1, 101.2, None, 102.0],  # the end is outside
]
TOLD: dict[str, Any] = {
    "started": 98.0,
    "ended": 102.0,
    "landed": LANDED,
    "messagesOut": 10,
    "messagesIn": 6,
    "refused": {"REPLAY_SEQ": 1, "QUOTA_INFLIGHT": 2},
    "lost": 1,
    "exhausted": False,
}


def measured() -> Phase:
    return report.phase("closed", 256, WINDOW, TOLD)


def test_a_phase_counts_what_was_acknowledged_inside_its_window() -> None:
    phase = measured()
    assert (phase.committed, phase.rate, phase.lost) == (4, 2.0, 1)
    assert phase.busy_percent == pytest.approx(40.0)
    assert phase.others_percent == pytest.approx(30.0)
    assert phase.refused == {"QUOTA_INFLIGHT": 2, "REPLAY_SEQ": 1}


def test_latency_counts_from_when_an_update_was_due() -> None:
    latency = measured().latency
    committed, attested = latency["committed"], latency["attested"]
    assert committed is not None
    assert attested is not None
    assert (committed.count, attested.count) == (4, 3)
    assert committed.max_ms == pytest.approx(1000.0)
    assert committed.p50_ms == pytest.approx(990.0)
    final = measured().latency["final"]
    assert final is not None
    assert final.count == 2
    assert final.max_ms == pytest.approx(400.0)


def test_without_events_of_a_stage_it_has_no_latency() -> None:
    landed = [[*times[:4], None, times[5]] for times in LANDED]
    phase = report.phase("single", 0, WINDOW, {**TOLD, "landed": landed})
    assert phase.latency["final"] is None
    assert phase.latency["committed"] is not None


def test_cost_is_per_acknowledged_update() -> None:
    cost = measured().cost
    assert cost is not None
    assert cost.site_cpu_us == pytest.approx(200_000)
    assert cost.generator_cpu_us == pytest.approx(50_000)
    assert cost.threads_cpu_us == pytest.approx({"main": 150_000, "grpc": 50_000})
    assert cost.steps_us["ledger_fsync_duration"] == pytest.approx(15_000)
    assert cost.steps_us["consensus_phase_duration{handle}"] == pytest.approx(10_000)
    assert cost.events["consensus_phase_duration{handle}"] == 25
    assert cost.fsyncs == pytest.approx((2 * 3 + 2 * 2) / 4)
    assert cost.consensus_bytes == 1024
    assert (cost.disk_bytes, cost.loopback_bytes, cost.loopback_packets) == (2048, 2048, 10)
    assert cost.client_messages == pytest.approx(16 / 4 * 2 / 4)
    assert cost.switches == 50


def test_nothing_acknowledged_has_no_cost() -> None:
    phase = report.phase("open", 10.0, WINDOW, {**TOLD, "landed": []})
    assert (phase.rate, phase.cost, phase.latency["committed"]) == (0.0, None, None)


def run(rate: float) -> RunReport:
    return RunReport(
        peak=replace(measured(), rate=rate),
        half=report.phase("open", 1.0, WINDOW, {**TOLD, "landed": []}),
        low=report.phase("single", 0, WINDOW, TOLD),
        resident_bytes=(1 << 20, 2 << 20),
    )


def cell(label: str, *rates: float, sites: int = 4) -> CellReport:
    return CellReport(sites=sites, label=label, payload_bytes=1024, runs=tuple(map(run, rates)))


def make(rate: float, idle_percent: float) -> Report:
    sites = (
        IdleSite(cpu_percent=1.0, resident_bytes=1 << 20),
        IdleSite(cpu_percent=idle_percent, resident_bytes=1 << 20),
    )
    return Report(machine={"cores": 2}, idle={4: sites}, cells=(cell("1 KB", rate),))


@pytest.mark.parametrize(
    ("rate", "idle", "reached"),
    [(3000.0, 2.0, True), (2999.0, 2.0, False), (3000.0, 2.1, False)],
)
def test_floors_are_judged(rate: float, idle: float, *, reached: bool) -> None:
    whole = make(rate, idle)
    assert whole.reached is reached
    assert ("NOT REACHED" in printing.text(whole)) is not reached


@pytest.mark.parametrize(
    ("sites", "floors"), [(4, [3000.0, 800.0, 80.0]), (7, [None] * 3), (10, [1000.0, 350.0, 30.0])]
)
def test_floors_depend_on_the_number_of_sites(sites: int, floors: list[float | None]) -> None:
    labels = ("1 KB", "64 KB", "1 MB")
    assert [cell(label, 1.0, sites=sites).floor for label in labels] == floors


def test_the_best_of_several_runs_counts_and_all_are_named() -> None:
    whole = Report(machine={}, idle={}, cells=(cell("1 KB", 2000.0, 3100.0, 2900.0),))
    assert whole.cells[0].best.peak.rate == 3100.0
    assert whole.reached
    assert "2,000 / 3,100 / 2,900" in printing.text(whole)


def test_without_floor_or_idle_measurement_nothing_is_missed() -> None:
    whole = Report(machine={}, idle={}, cells=(cell("3 KB", 1.0),))
    assert whole.idle_reached is None
    assert whole.reached
    assert "no floor" in printing.text(whole)


def test_idle_sites_are_in_per_cent_of_a_core() -> None:
    assert [site.cpu_percent for site in report.idle_sites(WINDOW)] == pytest.approx([25.0, 15.0])


def test_the_document_is_plain_json_with_verdicts() -> None:
    document = json.loads(json.dumps(make(1200.0, 2.0).document()))
    assert sorted(document) == ["cells", "idle", "machine", "peers"]
    first = document["cells"][0]
    assert (first["floor"], first["reached"]) == (3000.0, False)
    assert first["runs"][0]["peak"]["latency"]["committed"]["count"] == 4
    assert first["runs"][0]["half"]["cost"] is None
    assert document["idle"]["reached"] is True


def test_the_text_names_steps_threads_and_sites() -> None:
    printed = printing.text(make(1000.0, 1.0))
    for name in ("consensus_phase_duration{persist}", "grpc", "n=4 site-1", "closed 256 a site"):
        assert name in printed


def test_systems_stand_side_by_side() -> None:
    low = report.latencies(LANDED)["committed"]
    load = Load(rate=5000.0, latency=low, cpu_seconds_per_1000=0.25)
    other = SystemReport(name="other", nodes=3, bytes=250, low=low, peak=load, steady=None)
    ours = SystemReport(name="Seawall", nodes=4, bytes=1024, low=None, peak=None, steady=load)
    printed = printing.systems((ours, other))
    assert [line.split("|")[1].strip() for line in printed.splitlines()[2:]] == ["Seawall", "other"]
    assert "5,000" in printed


def test_the_best_run_counts_and_ratios_are_those_of_turns() -> None:
    def turn(rate: float) -> SystemReport:
        peak = Load(rate=rate, latency=None, cpu_seconds_per_1000=0.1)
        return SystemReport(name="any", nodes=4, bytes=250, low=None, peak=peak, steady=None)

    theirs, ours = [turn(100.0), turn(400.0), turn(200.0)], [turn(50.0), turn(100.0), turn(20.0)]
    best = best_of(theirs, ours)
    assert (best.peak, best.peak_ratio, best.low_ratio) == (theirs[1].peak, 0.25, None)
    unloaded = replace(turn(1.0), peak=None)
    assert best_of([unloaded] * 3, ours).peak_ratio is None
