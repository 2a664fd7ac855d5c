from bench import scraping
from bench.scraping import Spent
from seawall.telemetry.exposition import MetricsServer
from seawall.telemetry.metrics import ConsensusMetrics, LedgerMetrics, open_registry

BEFORE = """\
# TYPE seawall_ledger_fsync_duration_seconds histogram
seawall_ledger_fsync_duration_seconds_bucket{le="+Inf"} 2.0
seawall_ledger_fsync_duration_seconds_count 2.0
seawall_ledger_fsync_duration_seconds_sum 0.5
# TYPE seawall_consensus_peer_message_bytes counter
seawall_consensus_peer_message_bytes_total{direction="out",kind="blocks"} 10.0
"""
AFTER = """\
# TYPE seawall_ledger_fsync_duration_seconds histogram
seawall_ledger_fsync_duration_seconds_bucket{le="+Inf"} 5.0
seawall_ledger_fsync_duration_seconds_count 5.0
seawall_ledger_fsync_duration_seconds_sum 1.75
# TYPE seawall_consensus_peer_message_bytes counter
seawall_consensus_peer_message_bytes_total{direction="out",kind="blocks"} 25.0
seawall_consensus_peer_message_bytes_total{direction="out",kind="votes"} 4.0
seawall_consensus_peer_message_bytes_total{direction="in",kind="blocks"} 100.0
"""


def test_growth_counts_new_series_from_zero() -> None:
    grown = scraping.growth(scraping.parse(BEFORE), scraping.parse(AFTER))
    name = "seawall_consensus_peer_message_bytes_total"
    assert scraping.total([grown], name, direction="out") == 15 + 4
    assert scraping.total([grown, grown], name, direction="out", kind="votes") == 8
    assert scraping.total([grown], "seawall_nothing") == 0


def test_durations_are_added_over_sites() -> None:
    grown = scraping.growth(scraping.parse(BEFORE), scraping.parse(AFTER))
    assert scraping.durations([grown, grown]) == {
        "ledger_fsync_duration": Spent(count=6, seconds=2.5)
    }


def test_steps_are_named_without_protocol() -> None:
    labels = (("phase", "persist"), ("protocol", "sync"))
    name = scraping.step_name("seawall_consensus_phase_duration", labels)
    assert name == "consensus_phase_duration{persist}"


def test_a_served_registry_is_read() -> None:
    registry = open_registry("0")
    ledger = LedgerMetrics(registry)
    consensus = ConsensusMetrics(registry, "sync")
    server = MetricsServer(registry, "127.0.0.1", 0)
    try:
        before = scraping.scrape(server.port)
        ledger.fsync_duration.observe(0.25)
        consensus.phase("handle").observe(0.5)
        grown = scraping.growth(before, scraping.scrape(server.port))
    finally:
        server.close()
    assert scraping.durations([grown]) == {
        "consensus_phase_duration{handle}": Spent(count=1, seconds=0.5),
        "ledger_fsync_duration": Spent(count=1, seconds=0.25),
    }
