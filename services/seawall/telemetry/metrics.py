"""Every metric family of Seawall, in one place, with typed handles for the services.

Names carry the prefix `seawall_`; counters gain `_total`. No label names a peer, a height or a
hash. A process has one registry; each role builds its handles from it once. Counters whose label
values are known beforehand show all of them from the start, at 0: what appears with its first event
never grows in the eyes of Prometheus, and an alert on that first event would stay silent.

docs/metrics.md has the table for people, and the rules and dashboards that are made of it.
"""

import platform
from collections.abc import Sequence
from typing import Final, TypeAlias

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)

Registry: TypeAlias = CollectorRegistry

CONS: Final = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.15,
    0.25,
    0.5,
    0.75,
    1.0,
    1.5,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)
"""Bucket bounds in seconds for everything that waits for other sites."""

FAST: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Bucket bounds in seconds for everything that waits for a disk or a processor."""

SIZE: Final = (256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
"""Bucket bounds in bytes for payloads."""

COUNT: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Bucket bounds for numbers of updates or versions."""


def open_registry(version: str, git_sha: str = "unknown") -> Registry:
    """Return a registry with the process's own metrics and `seawall_build_info`."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    info = Info("seawall_build", "What is running.", registry=registry)
    python = platform.python_version()
    info.info({"version": version, "git_sha": git_sha, "python": python})
    return registry


def _counter_of(
    registry: Registry, name: str, text: str, label: str, values: Sequence[str]
) -> Counter:
    """Return a counter with one label, whose known values are there from the start."""
    counter = Counter(f"seawall_{name}", text, (label,), registry=registry)
    for value in values:
        counter.labels(**{label: value})
    return counter


class ConsensusMetrics:
    """Rounds, commits, leaders and traffic of one replica."""

    def __init__(self, registry: Registry, protocol: str) -> None:
        """Create the families; `protocol` labels those that compare protocols."""
        self._registry = registry
        self._protocol = protocol
        self.commit_duration = self._seconds(
            "commit_duration", "From an own block's proposal to its delivery by a commit."
        )
        self.finality = self._seconds(
            "finality", "From a batch's submission to this replica to its first FINAL statement."
        )
        self.phase_duration = Histogram(
            "seawall_consensus_phase_duration_seconds",
            "Time that one step of the replica's work took.",
            ("protocol", "phase"),
            registry=registry,
            buckets=FAST,
        )
        blocks = self._counter("consensus_blocks", "Blocks delivered.", "protocol")
        self.blocks = blocks.labels(protocol=protocol)
        self._transactions = self._counter(
            "consensus_transactions",
            "Updates and transactions in delivered blocks; fast_path has their verdicts.",
            "protocol",
            "outcome",
        )
        self._leaders = self._counter(
            "consensus_leaders", "Leader slots by how they were decided.", "protocol", "outcome"
        )
        self.fast_path = self._counter(
            "consensus_fast_path",
            "Updates in blocks, by what became of them.",
            "outcome",
        )
        self.byzantine_evidence = _counter_of(
            registry,
            "consensus_byzantine_evidence",
            "Misbehaviour of other validators that was seen: equivocation, garbage.",
            "kind",
            ("equivocation", "garbage"),
        )
        self.peer_message_bytes = self._counter(
            "consensus_peer_message_bytes", "Bytes exchanged with validators.", "direction", "kind"
        )
        self.mempool_rejected = self._counter(
            "mempool_rejected", "Submissions to consensus that were refused.", "reason"
        )
        self._gauges()
        for outcome in ("direct", "indirect", "skipped"):
            self.leaders(outcome)

    def _gauges(self) -> None:
        """Create what goes up and down."""
        self.round = self._gauge("consensus_round", "Threshold clock round.")
        self.committed_height = self._gauge("consensus_committed_height", "Last commit's index.")
        self.timeout = self._gauge("consensus_timeout_seconds", "Current leader timeout.")
        self.validators = self._gauge(
            "consensus_validators", "Other validators, by state of the link to them.", "state"
        )
        self.mempool = self._gauge("mempool_transactions", "Updates that wait for delivery.")

    def _seconds(self, name: str, text: str) -> Histogram:
        full = f"seawall_consensus_{name}_seconds"
        family = Histogram(full, text, ("protocol",), registry=self._registry, buckets=CONS)
        return family.labels(protocol=self._protocol)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"seawall_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"seawall_{name}", text, labels, registry=self._registry)

    def transactions(self, outcome: str) -> Counter:
        """Return the counter of transactions that were `committed`: delivered, before verdicts."""
        return self._transactions.labels(protocol=self._protocol, outcome=outcome)

    def leaders(self, outcome: str) -> Counter:
        """Return the counter of leader slots decided `direct`, `indirect` or `skipped`."""
        return self._leaders.labels(protocol=self._protocol, outcome=outcome)

    def phase(self, name: str) -> Histogram:
        """Return the histogram of one step: `handle`, `persist`, `verify`."""
        return self.phase_duration.labels(protocol=self._protocol, phase=name)


ALARMS: Final = ("AGG_FORK", "LOG_FORK")
"""Codes of alarms of a ledger."""


class LedgerMetrics:
    """Height, size and speed of one ledger."""

    def __init__(self, registry: Registry) -> None:
        """Create the families."""
        self.height = Gauge("seawall_ledger_height", "Last commit stored.", registry=registry)
        self.size_bytes = Gauge(
            "seawall_ledger_size_bytes", "Bytes of entries stored.", registry=registry
        )
        self.fsync_duration = Histogram(
            "seawall_ledger_fsync_duration_seconds",
            "Time to make one batch of commits durable.",
            registry=registry,
            buckets=FAST,
        )
        self.payload_fsync_duration = Histogram(
            "seawall_ledger_payload_fsync_duration_seconds",
            "Time to make one group of chunks and submissions durable.",
            registry=registry,
            buckets=FAST,
        )
        self.append_duration = Histogram(
            "seawall_ledger_append_duration_seconds",
            "Time to execute and store one commit.",
            registry=registry,
            buckets=FAST,
        )
        self.updates = Counter(
            "seawall_ledger_updates",
            "Updates that have an entry, from genesis on: a start goes on where it was.",
            registry=registry,
        )
        self.evidence = _counter_of(
            registry,
            "ledger_evidence",
            "Evidence written since the start: equivocation, twins, vote, fork.",
            "kind",
            ("equivocation", "fork", "twins", "vote"),
        )
        self.alarms = _counter_of(
            registry,
            "ledger_alarms",
            "What must never happen, by code: two versions of quorum, another chain.",
            "code",
            ALARMS,
        )
        self.corrupt_records = Counter(
            "seawall_ledger_corrupt_records",
            "Stored records that were read and are not what was written.",
            registry=registry,
        )


class IntegrityMetrics:
    """Checks and their verdicts."""

    def __init__(self, registry: Registry) -> None:
        """Create the families."""
        self.verification_duration = Histogram(
            "seawall_integrity_verification_duration_seconds",
            "Time of one check.",
            ("check",),
            registry=registry,
            buckets=FAST,
        )
        self.verdicts = Counter(
            "seawall_integrity_verdicts",
            "Verdicts by check: signature, replay, hash (payload bytes and values).",
            ("check", "verdict"),
            registry=registry,
        )
        for check in ("hash", "replay", "signature"):
            for verdict in ("fail", "pass"):
                self.verdicts.labels(check=check, verdict=verdict)


class IngestMetrics:
    """Updates on their way in."""

    def __init__(self, registry: Registry) -> None:
        """Create the families."""
        self.updates = _counter_of(
            registry,
            "ingest_updates",
            "Updates by outcome: received, attested, committed, refused.",
            "outcome",
            ("attested", "committed", "received", "refused"),
        )
        self.duration = Histogram(
            "seawall_ingest_duration_seconds",
            "From arrival to outcome: of each committed update, of a batch's oldest otherwise.",
            ("outcome",),
            registry=registry,
            buckets=CONS,
        )
        self.update_size_bytes = Histogram(
            "seawall_ingest_update_size_bytes",
            "Payload bytes of received updates.",
            registry=registry,
            buckets=SIZE,
        )
        self.batch_updates = Histogram(
            "seawall_ingest_batch_updates",
            "Updates in each certified batch.",
            registry=registry,
            buckets=COUNT,
        )
        self.queue_depth = Gauge(
            "seawall_ingest_queue_depth", "Updates that wait for a batch.", registry=registry
        )


class SharedMetrics:
    """What several ingestion workers of a site share in Redis."""

    def __init__(self, registry: Registry) -> None:
        """Create the families."""
        self.up = Gauge(
            "seawall_ingest_shared_up", "1 while Redis answers this worker.", registry=registry
        )
        self.failures = Counter(
            "seawall_ingest_shared_failures",
            "Questions that Redis did not answer, by code.",
            ("code",),
            registry=registry,
        )
        self.rebuilds = Counter(
            "seawall_ingest_shared_rebuilds",
            "Times this worker told Redis everything: at its start, and after a loss.",
            registry=registry,
        )
        self.conflicts = Counter(
            "seawall_ingest_shared_conflicts",
            "Claims that another worker had taken while Redis had lost them.",
            registry=registry,
        )


class AggregationMetrics:
    """Cuts and versions."""

    def __init__(self, registry: Registry, tasks: Sequence[str] = ()) -> None:
        """Create the families, with series for these tasks."""
        self.versions = _counter_of(
            registry, "aggregation_versions", "Versions computed.", "task", tasks
        )
        self.cut_duration = Histogram(
            "seawall_aggregation_cut_duration_seconds",
            "From a cut's entry to its computed version.",
            registry=registry,
            buckets=CONS,
        )
        self.selected_updates = Histogram(
            "seawall_aggregation_selected_updates",
            "Updates selected by a cut.",
            registry=registry,
            buckets=COUNT,
        )
        self.staleness_versions = Histogram(
            "seawall_aggregation_staleness_versions",
            "Staleness of selected updates.",
            registry=registry,
            buckets=(0, *COUNT),
        )
        self.mismatches = _counter_of(
            registry,
            "aggregation_mismatches",
            "Versions for which stake voted for other bytes than this site computed.",
            "task",
            tasks,
        )


CAUSES: Final = ("lease", "over", "reverted")
"""Why faults end: the lease ran out, they were to last no longer, or somebody said so."""


class ChaosMetrics:
    """Faults that are active in this process."""

    def __init__(self, registry: Registry) -> None:
        """Create the families."""
        self.fault_active = Gauge(
            "seawall_chaos_fault_active",
            "Active faults, by kind and by the experiment that asked for them.",
            ("fault", "experiment"),
            registry=registry,
        )
        self.lease_remaining = Gauge(
            "seawall_chaos_lease_remaining_seconds",
            "Time until the last fault of its kind ends unless its lease is renewed; else 0.",
            ("fault", "experiment"),
            registry=registry,
        )
        self.injections = Counter(
            "seawall_chaos_injections",
            "Faults that were asked for, by outcome: applied, refused.",
            ("fault", "actuator", "outcome"),
            registry=registry,
        )
        self.rollbacks = _counter_of(
            registry, "chaos_rollbacks", "Faults that ended, by cause.", "cause", CAUSES
        )

    def injected(self, fault: str, outcome: str) -> Counter:
        """Return the counter of faults of one kind that were `applied` or `refused`."""
        return self.injections.labels(fault=fault, actuator="process", outcome=outcome)
