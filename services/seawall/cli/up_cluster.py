"""`seawall up --helm` and `--kind`: the release on a cluster instead of sites on this machine."""

import argparse
from pathlib import Path
from typing import Final

from seawall.cli import console
from seawall.cli.console import Exit
from seawall.cli.doctor import add_release, lines_of
from seawall.testbed.cluster_doctor import examine
from seawall.testbed.cluster_trial import gather
from seawall.testbed.cluster_up import Placement, create_kind, install
from seawall.testbed.cluster_values import read_needs

KIND_CONFIG: Final = Path("k8s/kind/cluster.yaml")
EDGE_VALUES: Final = Path("values-edge.yaml")
IMAGE: Final = "seawall:dev"
BLOCKING: Final = (
    "CLUSTER_VERSION",
    "CLUSTER_LABELS",
    "CLUSTER_TAINTS",
    "CLUSTER_MEMORY",
    "CLUSTER_STORAGE",
    "CLUSTER_IMAGE",
    "CLUSTER_CHAOS",
)
"""Findings with which no release would get ready; others pass by, or are the release's own."""


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a cluster."""
    group = parser.add_argument_group("on Kubernetes")
    group.add_argument("--helm", action="store_true", help="on the cluster that kubectl speaks to")
    group.add_argument("--kind", action="store_true", help="on a new cluster, made by kind")
    add_release(group)


def run(arguments: argparse.Namespace) -> int:
    """See what the cluster lacks; install when it lacks nothing that is needed."""
    values, image = list(arguments.values), arguments.image
    if arguments.kind:
        image = image or IMAGE
        values = values or [arguments.chart / EDGE_VALUES]
        create_kind(KIND_CONFIG, image)
    needs = read_needs(arguments.chart, values, image)
    facts = gather(arguments.release, arguments.namespace, None)
    findings = examine(needs, facts, arguments.namespace)
    blocking = tuple(one for one in findings if one.code in BLOCKING)
    document: dict[str, object] = {"findings": [one.code for one in findings]}
    if blocking:
        console.emit(arguments, document, lines_of(blocking))
        return Exit.FAILED
    placement = Placement(
        release=arguments.release,
        namespace=arguments.namespace,
        chart=arguments.chart,
        values=tuple(values),
        image=image,
    )
    said = install(placement)
    console.emit(arguments, {**document, "installed": arguments.release}, [said.rstrip()])
    return Exit.OK
