"""What is asked of the network, what it does, and what that costs the machines."""

from typing import Final

from seawall.testbed.monitoring.panels import (
    SITES,
    WINDOW,
    Board,
    Panel,
    Query,
    percentiles,
    rate,
)

OFFERED: Final = 'outcome=~"received|refused"'
ROLES: Final = 'container=~"ledger|integrity|consensus|ingestion|aggregation"'
PODS: Final = f"and on (namespace, pod) up{{{SITES}}}"
"""Keeps what belongs to pods of the chosen sites."""

THROTTLED: Final = "container_cpu_cfs_throttled_periods_total"
PERIODS: Final = "container_cpu_cfs_periods_total"

LOAD: Final = Board(
    name="load",
    title="Seawall / Load and system",
    description="Offered load beside what is committed, and what it takes.",
    panels=(
        Panel(
            title="Offered and committed",
            description="Offered: taken in or refused, at all sites. Committed: in the log.",
            unit="cps",
            queries=(
                Query(
                    expr=f"sum(rate(seawall_ingest_updates_total{{{SITES},{OFFERED}}}{WINDOW}))",
                    legend="offered",
                ),
                Query(
                    expr=f"max({rate('seawall_ledger_updates_total', 'site')})",
                    legend="committed",
                ),
            ),
        ),
        Panel(
            title="From arrival to committed",
            description="Measured at the site; what clients see besides is the way there and back.",
            unit="s",
            queries=percentiles("seawall_ingest_duration_seconds", 'outcome="committed"'),
        ),
        Panel(
            title="CPU",
            description="Cores that the processes of each site use.",
            unit="short",
            queries=(Query(expr=rate("process_cpu_seconds_total", "site"), legend="{{site}}"),),
        ),
        Panel(
            title="Memory",
            description="Resident memory of the processes of each site, files that they share"
            " counted in each.",
            unit="bytes",
            queries=(
                Query(
                    expr=f"sum by (site) (process_resident_memory_bytes{{{SITES}}})",
                    legend="{{site}}",
                ),
            ),
        ),
        Panel(
            title="CPU a committed update",
            description="Core seconds of all sites together for each update.",
            unit="s",
            queries=(
                Query(
                    expr=f"sum(rate(process_cpu_seconds_total{{{SITES}}}{WINDOW}))"
                    f" / (max({rate('seawall_ledger_updates_total', 'site')}) > 0)",
                    legend="seconds",
                ),
            ),
        ),
        Panel(
            title="Network between validators",
            description="Bytes that each site sends to the others.",
            unit="Bps",
            queries=(
                Query(
                    expr=rate(
                        "seawall_consensus_peer_message_bytes_total", "site", 'direction="sent"'
                    ),
                    legend="{{site}}",
                ),
            ),
        ),
        Panel(
            title="Open files",
            description="Descriptors, connections among them.",
            unit="short",
            queries=(
                Query(expr=f"sum by (site) (process_open_fds{{{SITES}}})", legend="{{site}}"),
            ),
        ),
        Panel(
            title="Garbage collections",
            description="Of the oldest generation: each pauses its process.",
            unit="cps",
            queries=(
                Query(
                    expr=rate("python_gc_collections_total", "site", 'generation="2"'),
                    legend="{{site}}",
                ),
            ),
        ),
        Panel(
            title="Throttled by a CPU limit",
            description="Periods in which a pod was held back. Needs the kubelet's metrics.",
            unit="percentunit",
            foreign=True,
            queries=(
                Query(
                    expr=f"sum by (pod) (rate({THROTTLED}{{{ROLES}}}{WINDOW}) {PODS})"
                    f" / sum by (pod) (rate({PERIODS}{{{ROLES}}}{WINDOW}) {PODS})",
                    legend="{{pod}}",
                ),
            ),
        ),
        Panel(
            title="Memory by pod",
            description="Working set, which a limit goes by. Needs the kubelet's metrics.",
            unit="bytes",
            foreign=True,
            queries=(
                Query(
                    expr=f"sum by (pod) (container_memory_working_set_bytes{{{ROLES}}} {PODS})",
                    legend="{{pod}}",
                ),
            ),
        ),
        Panel(
            title="Network by pod",
            description="Received and sent by each pod. Needs the kubelet's metrics.",
            unit="Bps",
            foreign=True,
            queries=(
                Query(
                    expr="sum by (pod) (rate(container_network_receive_bytes_total"
                    f"{WINDOW}) {PODS})",
                    legend="{{pod}} in",
                ),
                Query(
                    expr="sum by (pod) (rate(container_network_transmit_bytes_total"
                    f"{WINDOW}) {PODS})",
                    legend="{{pod}} out",
                ),
            ),
        ),
    ),
)
