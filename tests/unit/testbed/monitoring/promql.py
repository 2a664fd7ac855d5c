"""Expressions as Prometheus reads them: the series that they name, and how they use them."""

import re
from typing import Final

import promql_parser
from promql_parser import Call, Expr, MatrixSelector, VectorSelector

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

GRAFANA: Final = (("$__rate_interval", "1m"), ("$network", "local"), ("$site", ".*"))
"""What Grafana puts in for its variables."""

RECORDED: Final = re.compile(r"^[a-z_]+:[a-z_]+:[a-z0-9_]+$")
"""Names of series that rules compute."""


def filled(expr: str) -> str:
    """Return an expression of a dashboard with values in place of variables."""
    for variable, value in GRAFANA:
        expr = expr.replace(variable, value)
    return expr


def parts(expr: str) -> list[Expr]:
    """Return all parts of an expression, the whole one first; raise ValueError for none."""
    found: list[Expr] = []

    def note(part: Expr) -> None:
        found.append(part)

    promql_parser.walk(promql_parser.parse(filled(expr)), note)
    return found


def names(expr: str) -> set[str]:
    """Return the names of the series that an expression asks for."""
    selected = [one for one in parts(expr) if isinstance(one, VectorSelector)]
    ranges = [one.vector_selector for one in parts(expr) if isinstance(one, MatrixSelector)]
    return {one.name or "" for one in (*selected, *ranges)}


def calls(expr: str) -> list[tuple[str, str]]:
    """Return (function, series) of each function that is applied to a range of a series."""
    return [
        (part.func.name, argument.vector_selector.name or "")
        for part in parts(expr)
        if isinstance(part, Call)
        for argument in part.args
        if isinstance(argument, MatrixSelector)
    ]


def site_registry() -> Registry:
    """Return a registry with every family of a site."""
    registry = open_registry("1.0")
    ConsensusMetrics(registry, "sync")
    for kind in (AggregationMetrics, ChaosMetrics, IngestMetrics, IntegrityMetrics, LedgerMetrics):
        kind(registry)
    return registry


def exposed(registry: Registry) -> set[str]:
    """Return the names of all series that a registry can expose."""
    families = list(registry.collect())
    return set[str]().union(*(sample_names(one.name, one.type) for one in families))


def sample_names(family: str, kind: str) -> set[str]:
    """Return the names of the series of one family, from a registry or its text."""
    base = family.removesuffix("_total") if kind == "counter" else family
    suffixes = {
        "counter": ("_total",),
        "histogram": ("_bucket", "_count", "_sum"),
        "info": ("_info",),
    }
    return {base + suffix for suffix in suffixes.get(kind, ("",))}
