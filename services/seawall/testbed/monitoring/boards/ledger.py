"""What is written, how fast, and whether it is the same everywhere."""

from typing import Final

from seawall.testbed.monitoring.panels import (
    NETWORK,
    SITES,
    WINDOW,
    Board,
    Panel,
    Query,
    latest,
    quantile,
    rate,
)


def by_site(title: str, description: str, name: str) -> Panel:
    """Return median and 99th percentile of a histogram for each site."""
    return Panel(
        title=title,
        description=description,
        unit="s",
        queries=(
            Query(expr=quantile(0.5, name, "site"), legend="{{site}} p50"),
            Query(expr=quantile(0.99, name, "site"), legend="{{site}} p99"),
        ),
    )


LEDGER: Final = Board(
    name="ledger",
    title="Seawall / Ledger",
    description="The logs of one network: speed, size, and whether they agree.",
    panels=(
        by_site(
            "Commits made durable",
            "One sync of a group of commits; acknowledgements wait for it.",
            "seawall_ledger_fsync_duration_seconds",
        ),
        by_site(
            "Payloads made durable",
            "One sync of a group of chunks and submissions; uploads wait for it.",
            "seawall_ledger_payload_fsync_duration_seconds",
        ),
        by_site(
            "A commit executed",
            "Entries, tree and state of one commit, without its sync.",
            "seawall_ledger_append_duration_seconds",
        ),
        Panel(
            title="Size of the log",
            description="Bytes that entries, tree and state take at each site.",
            unit="bytes",
            queries=(Query(expr=latest("seawall_ledger_size_bytes", "site"), legend="{{site}}"),),
        ),
        Panel(
            title="Spread of heights",
            description="Highest less lowest. Scrapes are not simultaneous: a fast chain shows some"
            " with everybody well.",
            unit="short",
            queries=(
                Query(
                    expr=f"max(seawall_ledger_height{{{NETWORK}}})"
                    f" - min(seawall_ledger_height{{{NETWORK}}})",
                    legend="spread",
                ),
            ),
        ),
        Panel(
            title="Commits that the ledger is behind its replica",
            description="Beyond 256 the replica takes nothing in.",
            unit="short",
            queries=(
                Query(
                    expr=latest("seawall_consensus_committed_height", "site")
                    + " - "
                    + latest("seawall_ledger_height", "site"),
                    legend="{{site}}",
                ),
            ),
        ),
        Panel(
            title="Commits",
            description="Commits stored a second, by site.",
            unit="cps",
            queries=(
                Query(
                    expr=f"max by (site) (deriv(seawall_ledger_height{{{SITES}}}{WINDOW}))",
                    legend="{{site}}",
                ),
            ),
        ),
        Panel(
            title="Committed updates",
            description="All since genesis: equal at every site that is not behind.",
            unit="short",
            queries=(
                Query(expr=latest("seawall_ledger_updates_total", "site"), legend="{{site}}"),
            ),
        ),
        Panel(
            title="Evidence entries",
            description="Since each process started, by kind.",
            unit="short",
            queries=(
                Query(
                    expr=latest("seawall_ledger_evidence_total", "site, kind"),
                    legend="{{site}} {{kind}}",
                ),
            ),
        ),
        Panel(
            title="Damage and alarms",
            description="Records read that are not what was written, and what must never happen.",
            unit="short",
            queries=(
                Query(
                    expr=latest("seawall_ledger_corrupt_records_total", "site"),
                    legend="{{site}} damaged",
                ),
                Query(
                    expr=latest("seawall_ledger_alarms_total", "site, code"),
                    legend="{{site}} {{code}}",
                ),
            ),
        ),
        Panel(
            title="Groups of commits",
            description="Syncs a second; commits share one when they come fast.",
            unit="cps",
            queries=(
                Query(
                    expr=rate("seawall_ledger_fsync_duration_seconds_count", "site"),
                    legend="{{site}}",
                ),
            ),
        ),
    ),
)
