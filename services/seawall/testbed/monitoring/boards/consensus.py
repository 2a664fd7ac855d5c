"""How replicas decide: phases, leaders, the fast path, pace, links, misbehaviour."""

from typing import Final

from seawall.testbed.monitoring.panels import (
    SITES,
    WINDOW,
    Board,
    Panel,
    Query,
    buckets,
    latest,
    percentiles,
    quantile,
    rate,
)

PHASES: Final = "seawall_consensus_phase_duration_seconds"

CONSENSUS: Final = Board(
    name="consensus",
    title="Seawall / Consensus",
    description="How the replicas of one network decide.",
    panels=(
        Panel(
            kind="heatmap",
            title="Consensus time",
            description="Blocks by how long they took from proposal to delivery.",
            unit="s",
            queries=(buckets("seawall_consensus_commit_duration_seconds"),),
        ),
        Panel(
            kind="heatmap",
            title="Steps of a replica",
            description="Steps of every phase by how long they took.",
            unit="s",
            queries=(buckets(PHASES),),
        ),
        Panel(
            title="Phases, p95",
            description="verify: signatures; handle: the engine; persist: the journal's sync.",
            unit="s",
            queries=(Query(expr=quantile(0.95, PHASES, "phase"), legend="{{phase}}"),),
        ),
        Panel(
            kind="stacked",
            title="Share of a core by phase",
            description="Seconds that steps take, a second, over the chosen sites.",
            unit="percentunit",
            queries=(Query(expr=rate(f"{PHASES}_sum", "phase"), legend="{{phase}}"),),
        ),
        Panel(
            kind="stacked",
            title="Leaders by outcome",
            description="Many indirect or skipped ones: leaders are late, away, or lie.",
            unit="cps",
            queries=(
                Query(
                    expr=rate("seawall_consensus_leaders_total", "outcome"), legend="{{outcome}}"
                ),
            ),
        ),
        Panel(
            kind="stacked",
            title="Fast path by outcome",
            description="What became of updates in blocks; dead ones are batched anew.",
            unit="cps",
            queries=(
                Query(
                    expr=rate("seawall_consensus_fast_path_total", "outcome"), legend="{{outcome}}"
                ),
            ),
        ),
        Panel(
            title="Leader timeout",
            description="How long proposers wait for leaders now.",
            unit="s",
            queries=(
                Query(expr=latest("seawall_consensus_timeout_seconds", "site"), legend="{{site}}"),
            ),
        ),
        Panel(
            title="Updates in a batch",
            description="Under load batches grow and are fewer: each costs the same.",
            unit="short",
            queries=percentiles("seawall_ingest_batch_updates"),
        ),
        Panel(
            title="Updates that wait for delivery",
            description="Handed to consensus and in no commit yet.",
            unit="short",
            queries=(
                Query(expr=latest("seawall_mempool_transactions", "site"), legend="{{site}}"),
            ),
        ),
        Panel(
            title="Refused by consensus",
            description="Submissions by reason; QUOTA_CONSENSUS is back-pressure, others are bugs.",
            unit="cps",
            queries=(
                Query(expr=rate("seawall_mempool_rejected_total", "reason"), legend="{{reason}}"),
            ),
        ),
        Panel(
            title="Links to other validators",
            description="Working and broken links of each site.",
            unit="short",
            queries=(
                Query(
                    expr=latest("seawall_consensus_validators", "site, state"),
                    legend="{{site}} {{state}}",
                ),
            ),
        ),
        Panel(
            kind="stacked",
            title="Bytes between validators",
            description="By kind of message, sent and received.",
            unit="Bps",
            queries=(
                Query(
                    expr=rate("seawall_consensus_peer_message_bytes_total", "direction, kind")
                    + " > 0",
                    legend="{{direction}} {{kind}}",
                ),
            ),
        ),
        Panel(
            title="Misbehaviour of others",
            description="Seen by each site in the window: equivocation, or what breaks a rule.",
            unit="short",
            queries=(
                Query(
                    expr="sum by (site, kind) (increase("
                    f"seawall_consensus_byzantine_evidence_total{{{SITES}}}{WINDOW}))",
                    legend="{{site}} {{kind}}",
                ),
            ),
        ),
        Panel(
            title="Blocks and transactions delivered",
            description="Blocks, and updates and votes in them, by site.",
            unit="cps",
            queries=(
                Query(
                    expr=rate("seawall_consensus_blocks_total", "site"), legend="{{site}} blocks"
                ),
                Query(
                    expr=rate("seawall_consensus_transactions_total", "site"),
                    legend="{{site}} transactions",
                ),
            ),
        ),
    ),
)
