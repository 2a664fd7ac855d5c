"""Say what the cluster of KUBECONFIG lacks for a release, and which command repairs it.

Looks at nodes, taints, labels, images, memory, volumes and the pods of the release. Whether network
policies are enforced is written nowhere: --try-policies finds out, with two pods in a namespace of
their own that goes away again.
"""

import argparse
from pathlib import Path

from seawall.cli import console
from seawall.cli.console import Exit
from seawall.testbed.cluster_doctor import Finding, examine
from seawall.testbed.cluster_trial import gather, try_policies
from seawall.testbed.cluster_values import read_needs

CHART = Path("helm/seawall")


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_release(parser)
    parser.add_argument("--try-policies", action="store_true", help="see whether they are enforced")


def add_release(parser: argparse._ActionsContainer) -> None:
    """Add the options that say which release is meant."""
    parser.add_argument("--release", default="seawall", help="name (default: %(default)s)")
    parser.add_argument("--namespace", default="seawall", help="default: %(default)s")
    parser.add_argument("--chart", type=Path, default=CHART, help="default: %(default)s")
    parser.add_argument(
        "-f", "--values", type=Path, action="append", default=[], help="as helm takes it"
    )
    parser.add_argument("--image", default="", help="repository:tag (default: that of the values)")


def run(arguments: argparse.Namespace) -> int:
    """Look, and say what is missing."""
    needs = read_needs(arguments.chart, arguments.values, arguments.image)
    enforced = try_policies(needs) if arguments.try_policies else None
    facts = gather(arguments.release, arguments.namespace, enforced)
    findings = examine(needs, facts, arguments.namespace)
    nodes = f"{len(facts.nodes)} nodes of Kubernetes {facts.version}"
    document = {
        "version": facts.version,
        "nodes": [node["metadata"]["name"] for node in facts.nodes],
        "enforced": enforced,
        "findings": [{"code": f.code, "what": f.what, "repair": f.repair} for f in findings],
    }
    console.emit(arguments, document, [nodes, *lines_of(findings)])
    return Exit.FAILED if findings else Exit.OK


def lines_of(findings: tuple[Finding, ...]) -> list[str]:
    """Return findings as text, each with what repairs it."""
    if not findings:
        return ["nothing is missing"]
    return [
        line
        for one in findings
        for line in (f"{one.code}: {one.what}", *(f"    {command}" for command in one.repair))
    ]
