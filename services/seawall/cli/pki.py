"""Make the keys and the genesis of a network in a Kubernetes cluster, once.

init         create them as objects of a namespace, from inside the cluster, unless they are there
manifests    print them as one document for `kubectl create -f -`; it holds private keys
"""

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Final

import yaml

from seawall.cli import console
from seawall.cli.console import Exit
from seawall.errors import LocalError
from seawall.formats import genesis as genesis_format
from seawall.testbed import cluster
from seawall.testbed.cluster import ClusterPlan
from seawall.testbed.cluster_api import KubernetesObjects, ServiceAccount

PLAN_SIZE_BYTES_MAX: Final = 1 << 20
PLAN_NAME: Final = "plan.json"


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("action", choices=("init", "manifests"))
    parser.add_argument(
        "--plan",
        type=Path,
        required=True,
        help=f"{PLAN_NAME}, or the ConfigMap that holds it, as YAML",
    )
    parser.add_argument("--namespace", default="default", help="of init (default: default)")


def run(arguments: argparse.Namespace) -> int:
    """Carry out one action."""
    plan = cluster.read_plan(_plan_text(console.read_file(arguments.plan, PLAN_SIZE_BYTES_MAX)))
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "network"
        if arguments.action == "manifests":
            print(cluster.as_list(cluster.make_manifests(plan, home)))
            return Exit.OK
        return _init(arguments, plan, home)


def _init(arguments: argparse.Namespace, plan: ClusterPlan, home: Path) -> int:
    api = KubernetesObjects(ServiceAccount.of_this_pod(os.environ), arguments.namespace)
    genesis = cluster.ensure(plan, api, lambda: home)
    made = home.exists()
    document = {
        "made": made,
        "origin": genesis_format.origin(genesis_format.encode(genesis)),
        "sites": [site.name for site in genesis.sites],
    }
    lines = [
        f"{'made' if made else 'kept'} the keys and the genesis of {len(genesis.sites)} sites",
        f"origin {document['origin']}",
    ]
    console.emit(arguments, document, lines)
    return Exit.OK


def _plan_text(data: bytes) -> bytes:
    """Return the JSON of a plan, taken out of its ConfigMap where it is in one."""
    try:
        document = yaml.safe_load(data)
    except yaml.YAMLError as fault:
        raise LocalError("PKI_PLAN", f"neither JSON nor YAML: {fault}") from fault
    if isinstance(document, dict) and document.get("kind") == cluster.CONFIG_MAP:
        text = (document.get("data") or {}).get(PLAN_NAME)
        if not isinstance(text, str):
            raise LocalError("PKI_PLAN", f"the ConfigMap has no {PLAN_NAME}")
        return text.encode()
    return json.dumps(document).encode()
