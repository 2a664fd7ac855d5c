"""A dashboard as values: what is asked, and how it is to be drawn; nothing of Grafana's own format.

Expressions go by the two variables that every dashboard has, `$network` and `$site`, and by
Grafana's `$__rate_interval`.
"""

from dataclasses import dataclass
from typing import Final, Literal

SITES: Final = 'network="$network",site=~"$site"'
"""Selects what the variables name."""

NETWORK: Final = 'network="$network"'
"""Selects all sites, whichever are chosen."""

WINDOW: Final = "[$__rate_interval]"

Kind = Literal["graph", "stacked", "stat", "heatmap", "timeline"]

FULL: Final = 24
HALF: Final = 12
THIRD: Final = 8
QUARTER: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """An expression, and what each of its series is called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture: `unit` is Grafana's name of it, `width` in columns of 24.

    `foreign` says that its series come from the cluster and not from Seawall.
    """

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = "graph"
    width: int = HALF
    foreign: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One dashboard; `name` is its file and the end of its uid."""

    name: str
    title: str
    description: str
    panels: tuple[Panel, ...]


def rate(name: str, by: str, labels: str = "") -> str:
    """Return the events a second of a counter, summed by labels."""
    return f"sum by ({by}) (rate({name}{{{selector(labels)}}}{WINDOW}))"


def quantile(share: float, name: str, by: str = "", labels: str = "") -> str:
    """Return a quantile of a histogram over all chosen sites, or by labels."""
    grouped = f"{by}, le" if by else "le"
    inner = f"sum by ({grouped}) (rate({name}_bucket{{{selector(labels)}}}{WINDOW}))"
    return f"histogram_quantile({share}, {inner})"


def latest(name: str, by: str, labels: str = "") -> str:
    """Return the value of a gauge by labels; several processes of a site do not add up."""
    return f"max by ({by}) ({name}{{{selector(labels)}}})"


def buckets(name: str, labels: str = "") -> Query:
    """Return what a heatmap of a histogram asks."""
    grew = f"increase({name}_bucket{{{selector(labels)}}}{WINDOW})"
    return Query(expr=f"sum by (le) ({grew})", legend="{{le}}")


def percentiles(name: str, labels: str = "") -> tuple[Query, ...]:
    """Return median, 95th and 99th percentile of a histogram."""
    return tuple(
        Query(expr=quantile(share, name, labels=labels), legend=f"p{round(100 * share)}")
        for share in (0.5, 0.95, 0.99)
    )


def selector(labels: str = "") -> str:
    """Return the label matchers of the chosen sites, and these."""
    return f"{SITES},{labels}" if labels else SITES
