"""The chart's values, as far as the cluster has to meet them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import yaml

from seawall.errors import LocalError, OperationalError

VALUES_BYTES_MAX: Final = 1 << 20
VALUES_NAME: Final = "values.yaml"
CHART_NAME: Final = "Chart.yaml"
UNITS: Final = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 1 << 10,
    "Mi": 1 << 20,
    "Gi": 1 << 30,
    "Ti": 1 << 40,
}
"""Suffixes of a quantity of bytes."""

Values: TypeAlias = Mapping[str, Any]


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """One pool of sites, and what a node must have to take them.

    Attributes:
        name: of the pool.
        replicas: sites.
        selector: labels of its nodes.
        tolerations: as Kubernetes has them.
        storage_class: name, empty for the cluster's default.
        memory_bytes: what the pods of one site ask for.

    """

    name: str
    replicas: int
    selector: dict[str, str]
    tolerations: tuple[dict[str, Any], ...]
    storage_class: str
    memory_bytes: int


class ChartNeeds(msgspec.Struct, frozen=True, kw_only=True):
    """What a release of these values needs of a cluster; `image` has repository and tag."""

    image: str
    kubernetes_min: tuple[int, int]
    pools: tuple[Pool, ...]
    policies: bool
    chaos: bool


def read_needs(chart: Path, files: Sequence[Path] = (), image: str = "") -> ChartNeeds:
    """Return what the chart needs with these files of values, later ones over earlier ones.

    Args:
        chart: directory of the chart.
        files: further values.
        image: repository and tag to use instead of those of the values.

    Raises:
        OperationalError: CLUSTER_FILE when one cannot be read.
        LocalError: CLUSTER_VALUES when one is no file of values.

    """
    about = _document(chart / CHART_NAME)
    values: dict[str, Any] = {}
    for path in (chart / VALUES_NAME, *files):
        values = merged(values, _document(path))
    try:
        return _needs(about, values, image)
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        hint = f"these are no values of the chart: {fault!r}; helm lint says more"
        raise LocalError("CLUSTER_VALUES", hint) from fault


def merged(first: Values, second: Values) -> dict[str, Any]:
    """Return both values as helm merges them: the second over the first, lists as a whole."""
    both = dict(first)
    for key, value in second.items():
        own = both.get(key)
        nested = isinstance(own, dict) and isinstance(value, dict)
        both[key] = merged(own, value) if nested and own is not None else value
    return both


def quantity_bytes(text: str | int) -> int:
    """Return a Kubernetes quantity of bytes as a number.

    Raises:
        ValueError: it is none.

    """
    digits = str(text).rstrip("kKMGTi")
    return int(float(digits) * UNITS[str(text)[len(digits) :]])


def _needs(about: Values, values: Values, image: str) -> ChartNeeds:
    tag = values["image"].get("tag") or about["appVersion"]
    least = str(about["kubeVersion"]).lstrip(">=").partition("-")[0].split(".")
    return ChartNeeds(
        image=image or f"{values['image']['repository']}:{tag}",
        kubernetes_min=(int(least[0]), int(least[1])),
        pools=tuple(_pool(values, pool) for pool in values["pools"]),
        policies=bool(values["networkPolicy"]["enabled"]),
        chaos=bool(values.get("chaos", {}).get("enabled", False)),
    )


def _pool(values: Values, pool: Values) -> Pool:
    own = pool.get("resources") or {}
    asked = [
        (own.get(role) or settings["resources"])["requests"]["memory"]
        for role, settings in values["roles"].items()
        for _ in range(settings.get("workers", 1))
    ]
    redis = values.get("redis", {})
    if redis.get("mode") == "bundled":
        asked.append(redis["resources"]["requests"]["memory"])
    return Pool(
        name=pool["name"],
        replicas=int(pool["replicas"]),
        selector=dict(pool.get("nodeSelector") or {}),
        tolerations=tuple(pool.get("tolerations") or ()),
        storage_class=pool.get("storageClassName") or "",
        memory_bytes=sum(map(quantity_bytes, asked)),
    )


def _document(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()[:VALUES_BYTES_MAX]
    except OSError as fault:
        hint = f"cannot read {path}: {fault.strerror}"
        raise OperationalError("CLUSTER_FILE", hint) from fault
    try:
        found = yaml.safe_load(data) or {}
    except yaml.YAMLError as fault:
        raise LocalError("CLUSTER_VALUES", f"{path} is no YAML") from fault
    if not isinstance(found, dict):
        raise LocalError("CLUSTER_VALUES", f"{path} is no mapping of values")
    return found
