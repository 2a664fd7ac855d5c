"""Is the network well, how fast is it, and what is being done to it."""

from typing import Final

from seawall.testbed.monitoring.panels import (
    NETWORK,
    QUARTER,
    WINDOW,
    Board,
    Panel,
    Query,
    latest,
    percentiles,
    quantile,
    rate,
    selector,
)

COMMIT: Final = "seawall_consensus_commit_duration_seconds"
FINALITY: Final = "seawall_consensus_finality_seconds"
TAKEN: Final = "seawall_ingest_duration_seconds"
UPDATES: Final = "seawall_ledger_updates_total"

OVERVIEW: Final = Board(
    name="overview",
    title="Seawall / Overview",
    description="Throughput, latency and heights of one network; faults are red bands.",
    panels=(
        Panel(
            kind="stat",
            title="Committed updates",
            description="Updates that get a ledger entry, a second, at the site that is ahead.",
            unit="cps",
            width=QUARTER,
            queries=(Query(expr=f"max({rate(UPDATES, 'site')})"),),
        ),
        Panel(
            kind="stat",
            title="Consensus time, p95",
            description="From a block's proposal to its delivery by a commit, over chosen sites."
            " An idle network makes a round a second, so its empty blocks take seconds.",
            unit="s",
            width=QUARTER,
            queries=(Query(expr=quantile(0.95, COMMIT)),),
        ),
        Panel(
            kind="stat",
            title="Processes that answer",
            description="Targets of the network that Prometheus reaches, of those it knows.",
            unit="percentunit",
            width=QUARTER,
            queries=(Query(expr=f"avg(up{{{NETWORK}}})"),),
        ),
        Panel(
            kind="stat",
            title="Active faults",
            description="Faults that an experiment keeps active now.",
            unit="short",
            width=QUARTER,
            queries=(Query(expr=f"sum(seawall_chaos_fault_active{{{NETWORK}}}) or vector(0)"),),
        ),
        Panel(
            title="Committed updates by site",
            description="Every site writes the same log: lines that part show a site behind.",
            unit="cps",
            queries=(Query(expr=rate(UPDATES, "site"), legend="{{site}}"),),
        ),
        Panel(
            title="Consensus time",
            description="From a block's proposal to its delivery by a commit.",
            unit="s",
            queries=percentiles(COMMIT),
        ),
        Panel(
            title="From arrival to committed",
            description="What a contributor waits for at its site, without the way there and back.",
            unit="s",
            queries=percentiles(TAKEN, 'outcome="committed"'),
        ),
        Panel(
            title="From submission to FINAL",
            description="From a batch's hand-over to its first statement of the fast path.",
            unit="s",
            queries=percentiles(FINALITY),
        ),
        Panel(
            title="Ledger height",
            description="Commits stored by each site.",
            unit="short",
            queries=(Query(expr=latest("seawall_ledger_height", "site"), legend="{{site}}"),),
        ),
        Panel(
            title="Rounds",
            description="Rounds of the DAG a second: about one when idle, more with work to do.",
            unit="cps",
            queries=(
                Query(
                    expr=f"max by (site) (deriv(seawall_consensus_round{{{selector()}}}{WINDOW}))",
                    legend="{{site}}",
                ),
            ),
        ),
        Panel(
            title="What runs",
            description="Processes by version and commit: more than one line is an upgrade.",
            unit="short",
            queries=(
                Query(
                    expr=f"count by (version, git_sha) (seawall_build_info{{{selector()}}})",
                    legend="{{version}} {{git_sha}}",
                ),
            ),
        ),
        Panel(
            title="Model versions",
            description="Versions a minute that each site computes, by task.",
            unit="opm",
            queries=(
                Query(
                    expr=f"60 * {rate('seawall_aggregation_versions_total', 'site, task')}",
                    legend="{{site}} {{task}}",
                ),
            ),
        ),
    ),
)
