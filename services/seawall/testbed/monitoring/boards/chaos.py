"""What is being done to the network, whether it ended in good order, and what it cost."""

from typing import Final

from seawall.testbed.monitoring.panels import (
    FULL,
    NETWORK,
    SITES,
    WINDOW,
    Board,
    Panel,
    Query,
    latest,
    quantile,
)

CHAOS: Final = Board(
    name="chaos",
    title="Seawall / Chaos",
    description="Faults of experiments beside what they do to the network.",
    panels=(
        Panel(
            kind="timeline",
            title="Active faults",
            description="By site and kind, from injection to rollback.",
            unit="short",
            width=FULL,
            queries=(
                Query(
                    expr="sum by (site, fault, experiment)"
                    f" (seawall_chaos_fault_active{{{SITES}}})",
                    legend="{{site}} {{fault}} {{experiment}}",
                ),
            ),
        ),
        Panel(
            title="Injected",
            description="Faults by kind, actuator and outcome, in the window.",
            unit="short",
            queries=(
                Query(
                    expr="sum by (fault, actuator, outcome) (increase("
                    f"seawall_chaos_injections_total{{{SITES}}}{WINDOW}))",
                    legend="{{fault}} {{actuator}} {{outcome}}",
                ),
            ),
        ),
        Panel(
            title="Ended, by cause",
            description="reverted: by the runner; lease: by the process alone, its runner is gone;"
            " over: it had done what it does.",
            unit="short",
            queries=(
                Query(
                    expr="sum by (cause) (increase("
                    f"seawall_chaos_rollbacks_total{{{SITES}}}{WINDOW}))",
                    legend="{{cause}}",
                ),
            ),
        ),
        Panel(
            title="Lease remaining",
            description="Until faults end by themselves: a saw as long as somebody renews them.",
            unit="s",
            queries=(
                Query(
                    expr=latest("seawall_chaos_lease_remaining_seconds", "site, fault"),
                    legend="{{site}} {{fault}}",
                ),
            ),
        ),
        Panel(
            title="Throughput retained",
            description="Committed updates a second, as a share of the best minute of the last"
            " quarter of an hour.",
            unit="percentunit",
            queries=(
                Query(
                    expr=f"seawall:tps:rate1m{{{NETWORK}}}"
                    f" / (max_over_time(seawall:tps:rate1m{{{NETWORK}}}[15m]) > 0)",
                    legend="retained",
                ),
            ),
        ),
        Panel(
            title="Consensus time, p95, by site",
            description="Which sites feel it.",
            unit="s",
            queries=(
                Query(
                    expr=quantile(0.95, "seawall_consensus_commit_duration_seconds", "site"),
                    legend="{{site}}",
                ),
            ),
        ),
        Panel(
            title="Heights",
            description="Who stands still, and who catches up.",
            unit="short",
            queries=(Query(expr=latest("seawall_ledger_height", "site"), legend="{{site}}"),),
        ),
        Panel(
            title="Working links",
            description="Links to other validators that a partition cuts.",
            unit="short",
            queries=(
                Query(
                    expr=latest("seawall_consensus_validators", "site", 'state="connected"'),
                    legend="{{site}}",
                ),
            ),
        ),
        Panel(
            title="What must never happen",
            description="Forks, versions that differ, damaged records: 0, whatever is injected.",
            unit="short",
            queries=(
                Query(
                    expr=f"sum(seawall_ledger_alarms_total{{{NETWORK}}})", legend="ledger alarms"
                ),
                Query(
                    expr=f"sum(seawall_aggregation_mismatches_total{{{NETWORK}}})",
                    legend="versions that differ",
                ),
                Query(
                    expr=f"sum(seawall_ledger_corrupt_records_total{{{NETWORK}}})",
                    legend="damaged records",
                ),
            ),
        ),
        Panel(
            title="Evidence",
            description="Twins and equivocations that became entries, and what replicas saw.",
            unit="short",
            queries=(
                Query(
                    expr="sum by (kind) (increase("
                    f"seawall_consensus_byzantine_evidence_total{{{SITES}}}{WINDOW}))",
                    legend="seen: {{kind}}",
                ),
                Query(
                    expr=f"max by (kind) (seawall_ledger_evidence_total{{{SITES}}})",
                    legend="entries: {{kind}}",
                ),
            ),
        ),
    ),
)
