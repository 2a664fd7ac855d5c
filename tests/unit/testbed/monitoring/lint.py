"""Rules that a dashboard is held to, as Grafana's own linter has them; each yields findings."""

import json
from collections.abc import Iterator
from itertools import combinations
from typing import Any, Final, TypeAlias

from tests.unit.testbed.monitoring.promql import calls

Document: TypeAlias = dict[str, Any]

SIZE_BYTES_MAX: Final = 262_144
"""A ConfigMap that is applied by kubectl keeps a copy of itself in an annotation of this size."""

COLUMNS: Final = 24
DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
COUNTING: Final = ("_total", "_bucket", "_count", "_sum")
DIFFERENCES: Final = ("rate", "increase", "irate")


def findings(text: str) -> Iterator[str]:
    """Yield everything that is wrong with a dashboard."""
    document: Document = json.loads(text)
    if len(text.encode()) >= SIZE_BYTES_MAX:
        yield "size"
    yield from _head(document)
    yield from _places(document["panels"])
    numbers = [panel.get("id") for panel in document["panels"]]
    if None in numbers or len(set(numbers)) != len(numbers):
        yield "ids of panels"
    for panel in document["panels"]:
        title = panel.get("title")
        yield from (f"{title}: {one}" for one in _panel(panel))


def _head(document: Document) -> Iterator[str]:
    for member in ("title", "uid", "description"):
        if not document.get(member):
            yield member
    variables = {one["name"]: one for one in document["templating"]["list"]}
    if variables.get("datasource", {}).get("query") != "prometheus":
        yield "no variable for the data source"
    for name, one in variables.items():
        if one["type"] == "query" and one["datasource"] != DATASOURCE:
            yield f"variable {name}: data source"
    for one in document["annotations"]["list"]:
        if one["datasource"] != DATASOURCE:
            yield "annotation: data source"


def _places(panels: list[Document]) -> Iterator[str]:
    for panel in panels:
        place = panel["gridPos"]
        if place["x"] + place["w"] > COLUMNS:
            yield f"{panel.get('title')}: too wide"
    for first, second in combinations(panels, 2):
        a, b = first["gridPos"], second["gridPos"]
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        apart = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        if not beside and not apart:
            yield f"{first.get('title')} overlaps {second.get('title')}"


def _panel(panel: Document) -> Iterator[str]:
    for member in ("title", "description"):
        if not panel.get(member):
            yield member
    unit = panel.get("fieldConfig", {}).get("defaults", {}).get("unit")
    unit = unit or panel.get("options", {}).get("yAxis", {}).get("unit")
    if not unit:
        yield "unit"
    if panel.get("datasource") != DATASOURCE:
        yield "data source"
    letters = [target.get("refId") for target in panel["targets"]]
    if not letters or not all(letters) or len(set(letters)) != len(letters):
        yield "refId"
    for target in panel["targets"]:
        if target.get("datasource") != DATASOURCE:
            yield "data source of a query"
        yield from _expression(target["expr"])


def _expression(expr: str) -> Iterator[str]:
    for function, series in calls(expr):
        if function in DIFFERENCES and not series.endswith(COUNTING):
            yield f"{function} of {series}, which is no counter"
    for function in DIFFERENCES:
        if f"{function}(" in expr and "[$__rate_interval]" not in expr:
            yield f"{function} without $__rate_interval"
    if "container_" not in expr and "$network" not in expr:
        yield "does not go by the network"
