"""Logs are JSON lines, metrics have the names that dashboards use."""

import io
import json
import re
import urllib.request

import pytest

from seawall.errors import OperationalError
from seawall.telemetry.exposition import MetricsServer
from seawall.telemetry.logs import open_log
from seawall.telemetry.metrics import (
    AggregationMetrics,
    ChaosMetrics,
    ConsensusMetrics,
    IngestMetrics,
    IntegrityMetrics,
    LedgerMetrics,
    Registry,
    open_registry,
)

NAMES = (
    "seawall_aggregation_cut_duration_seconds",
    "seawall_aggregation_selected_updates",
    "seawall_aggregation_staleness_versions",
    "seawall_aggregation_versions",
    "seawall_build",
    "seawall_chaos_fault_active",
    "seawall_chaos_injections",
    "seawall_chaos_rollbacks",
    "seawall_consensus_blocks",
    "seawall_consensus_byzantine_evidence",
    "seawall_consensus_commit_duration_seconds",
    "seawall_consensus_committed_height",
    "seawall_consensus_fast_path",
    "seawall_consensus_finality_seconds",
    "seawall_consensus_leaders",
    "seawall_consensus_peer_message_bytes",
    "seawall_consensus_phase_duration_seconds",
    "seawall_consensus_round",
    "seawall_consensus_timeout_seconds",
    "seawall_consensus_transactions",
    "seawall_consensus_validators",
    "seawall_ingest_batch_updates",
    "seawall_ingest_duration_seconds",
    "seawall_ingest_queue_depth",
    "seawall_ingest_update_size_bytes",
    "seawall_ingest_updates",
    "seawall_integrity_verdicts",
    "seawall_integrity_verification_duration_seconds",
    "seawall_ledger_alarms",
    "seawall_ledger_append_duration_seconds",
    "seawall_ledger_corrupt_records",
    "seawall_ledger_evidence",
    "seawall_ledger_fsync_duration_seconds",
    "seawall_ledger_height",
    "seawall_ledger_size_bytes",
    "seawall_ledger_updates",
    "seawall_mempool_rejected",
    "seawall_mempool_transactions",
)


@pytest.fixture
def registry() -> Registry:
    """Return a registry with every family of a site."""
    made = open_registry("1.2.3", "abc")
    ConsensusMetrics(made, "sync")
    for family in (
        AggregationMetrics,
        ChaosMetrics,
        IngestMetrics,
        IntegrityMetrics,
        LedgerMetrics,
    ):
        family(made)
    return made


def test_every_family_of_a_site_is_there(registry: Registry) -> None:
    families = {family.name for family in registry.collect() if family.name.startswith("seawall_")}
    assert families >= set(NAMES)
    for family in registry.collect():
        assert family.documentation
        for sample in family.samples:
            assert not {"peer", "height", "hash", "site"} & set(sample.labels)


KNOWN = {
    "seawall_chaos_rollbacks_total": ({"cause": "lease"}, {"cause": "reverted"}),
    "seawall_consensus_byzantine_evidence_total": ({"kind": "equivocation"}, {"kind": "garbage"}),
    "seawall_ingest_updates_total": ({"outcome": "refused"}, {"outcome": "committed"}),
    "seawall_integrity_verdicts_total": ({"check": "hash", "verdict": "fail"},),
    "seawall_ledger_alarms_total": ({"code": "AGG_FORK"}, {"code": "LOG_FORK"}),
    "seawall_ledger_evidence_total": ({"kind": "fork"}, {"kind": "twins"}),
}
"""Counters that alerts go by: what appears with its first event does not grow with it."""


@pytest.mark.parametrize("name", KNOWN)
def test_what_alerts_go_by_is_there_before_it_happens(registry: Registry, name: str) -> None:
    for labels in KNOWN[name]:
        assert registry.get_sample_value(name, labels) == 0.0


def test_tasks_are_counted_from_the_start() -> None:
    registry = open_registry("1")
    AggregationMetrics(registry, ["digits"])
    for name in ("versions", "mismatches"):
        value = registry.get_sample_value(f"seawall_aggregation_{name}_total", {"task": "digits"})
        assert value == 0.0


def test_handles_of_consensus_carry_the_protocol() -> None:
    registry = open_registry("1")
    metrics = ConsensusMetrics(registry, "sync")
    metrics.transactions("committed").inc(3)
    metrics.leaders("direct").inc()
    metrics.phase("verify").observe(0.001)
    labels = {"protocol": "sync", "outcome": "committed"}
    assert registry.get_sample_value("seawall_consensus_transactions_total", labels) == 3
    labels = {"protocol": "sync", "outcome": "direct"}
    assert registry.get_sample_value("seawall_consensus_leaders_total", labels) == 1


def test_metrics_are_served_on_a_port_of_their_own(registry: Registry) -> None:
    server = MetricsServer(registry, "127.0.0.1", 0)
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
        page = answer.read().decode()
    assert re.search(r'seawall_build_info\{.*version="1.2.3"', page)
    with pytest.raises(OperationalError, match="SITE_PORT"):
        MetricsServer(registry, "127.0.0.1", server.port)
    server.close()


def test_lines_are_json_with_event_level_time_and_fields() -> None:
    stream = io.BytesIO()
    log = open_log("info", stream, site=3).bind(role="ledger")
    log.debug("too_detailed")
    log.info("commit_stored", index=7, root=b"\x01\xff", where=OSError("gone"))
    log.error("failed", exc_info=ValueError("of the test"))
    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]
    time = first.pop("time")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", time)
    assert first == {
        "event": "commit_stored",
        "index": 7,
        "level": "info",
        "role": "ledger",
        "root": "01ff",
        "site": 3,
        "where": "gone",
    }
    assert "ValueError: of the test" in second["exception"]
