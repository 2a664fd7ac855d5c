"""What contributors send, what becomes of it, and what is wrong with it."""

from typing import Final

from seawall.testbed.monitoring.panels import (
    SITES,
    Board,
    Panel,
    Query,
    buckets,
    latest,
    percentiles,
    quantile,
    rate,
)

VERDICTS: Final = "seawall_integrity_verdicts_total"

INTAKE: Final = Board(
    name="intake",
    title="Seawall / Integrity and ingestion",
    description="Updates on their way in, and the checks that they pass or fail.",
    panels=(
        Panel(
            kind="stacked",
            title="Updates by outcome",
            description="One update is counted at each step that it reaches.",
            unit="cps",
            queries=(
                Query(expr=rate("seawall_ingest_updates_total", "outcome"), legend="{{outcome}}"),
            ),
        ),
        Panel(
            title="Time to each outcome, p95",
            description="Of each committed update; of a batch's oldest update otherwise.",
            unit="s",
            queries=(
                Query(
                    expr=quantile(0.95, "seawall_ingest_duration_seconds", "outcome"),
                    legend="{{outcome}}",
                ),
            ),
        ),
        Panel(
            title="Updates that wait for a batch",
            description="Grows when attesters are slow or away.",
            unit="short",
            queries=(Query(expr=latest("seawall_ingest_queue_depth", "site"), legend="{{site}}"),),
        ),
        Panel(
            title="Updates in a batch",
            description="Of certified batches.",
            unit="short",
            queries=percentiles("seawall_ingest_batch_updates"),
        ),
        Panel(
            kind="heatmap",
            title="Payload sizes",
            description="Updates by the bytes of their payload.",
            unit="bytes",
            queries=(buckets("seawall_ingest_update_size_bytes"),),
        ),
        Panel(
            title="Refused",
            description="At the door, and by the sites that check again.",
            unit="cps",
            queries=(
                Query(
                    expr=rate("seawall_ingest_updates_total", "site", 'outcome="refused"'),
                    legend="{{site}}",
                ),
            ),
        ),
        Panel(
            kind="stacked",
            title="Verdicts by check",
            description="signature: envelope, key, claim; replay: rules on state; hash: bytes.",
            unit="cps",
            queries=(Query(expr=rate(VERDICTS, "check, verdict"), legend="{{check}} {{verdict}}"),),
        ),
        Panel(
            title="Share of checks that fail",
            description="By check; the alert IntegrityFailures goes by all of them.",
            unit="percentunit",
            queries=(
                Query(
                    expr=rate(VERDICTS, "check", 'verdict="fail"')
                    + f" / ({rate(VERDICTS, 'check')} > 0)",
                    legend="{{check}}",
                ),
            ),
        ),
        Panel(
            title="Time of a check, p95",
            description="For one batch; values: numbers in the payload, read from its bytes.",
            unit="s",
            queries=(
                Query(
                    expr=quantile(0.95, "seawall_integrity_verification_duration_seconds", "check"),
                    legend="{{check}}",
                ),
            ),
        ),
        Panel(
            title="From cut to version",
            description="From a cut's entry to the version that this site computed of it.",
            unit="s",
            queries=percentiles("seawall_aggregation_cut_duration_seconds"),
        ),
        Panel(
            title="Updates selected by a cut, and how stale they are",
            description="Medians over the window.",
            unit="short",
            queries=(
                Query(expr=quantile(0.5, "seawall_aggregation_selected_updates"), legend="updates"),
                Query(
                    expr=quantile(0.5, "seawall_aggregation_staleness_versions"),
                    legend="staleness",
                ),
            ),
        ),
        Panel(
            title="Versions that differ from the stake's",
            description="Must stay at 0: this site computes other bytes than the others.",
            unit="short",
            queries=(
                Query(
                    expr=f"sum by (site) (seawall_aggregation_mismatches_total{{{SITES}}})",
                    legend="{{site}}",
                ),
            ),
        ),
    ),
)
