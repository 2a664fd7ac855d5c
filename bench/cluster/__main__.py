"""Lead a release through its whole life on the cluster that KUBECONFIG names, and print a table.

    make test-k8s TEST_K8S_FLAGS="--image seawall:dev"

Installs the chart with its defaults, then on edge pools where nodes have their labels, tests it,
and pushes updates the whole time while the release is upgraded, a node is drained, another is cut
off, a site is taken out of the network policies, and the release is rolled back. In the end each
acknowledged update is looked up in every site's log and by its receipt. Exits 1 when a step fails.

Of the environment it reads KUBECONFIG; KUBECTL, HELM and GRPCURL where the programs have other
names; CUT_NODE_COMMAND and HEAL_NODE_COMMAND, which take a node's name, where nodes can be cut off.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from bench.cluster import chaos, disturbance, foreign
from bench.cluster.kube import Namespace, SkipError, StepError, run
from bench.cluster.programs import HELM, KUBECTL, missing
from bench.cluster.release import (
    EDGE_VALUES,
    Release,
    faulty,
    image_values,
    values_of,
)
from bench.cluster.traffic import Traffic
from bench.tables import Cell, render

MARK = "seawall.dev/test-k8s"
LABELS = {
    MARK: "true",
    "pod-security.kubernetes.io/enforce": "restricted",
    "seawall.dev/chaos": "enabled",
}
DEFAULTS = "seawall-test-defaults"
POOLS = "seawall-test-pools"
SITES_MIN = 4

PASSING = ("REPLAY_BASE", "REPLAY_CHECKPOINT")
"""Refusals by sites that have read less of the log than others: nothing is lost, push another one.

They are counted in what the load says in the end; every other refusal of a well-made update fails.
"""

WRONG = (
    ({"pools": [{"name": "core", "replicas": 3, "zone": "core"}]}, "pools"),
    ({"colour": "blue"}, "colour"),
    ({"logLevel": "loud"}, "logLevel"),
)
"""Values that helm must refuse, and what it must name."""


def tell(message: str) -> None:
    """Print one line about what goes on, at once."""
    print(f"test-k8s: {message}", file=sys.stderr, flush=True)


@dataclass(slots=True)
class Journal:
    """Steps that were done, and what became of them."""

    rows: list[list[Cell]] = field(default_factory=list)
    failed: bool = False

    def step(self, name: str, work: Callable[[], str]) -> None:
        """Do a step and note it.

        Raises:
            StepError: it failed; what comes after it makes no sense.

        """
        began = time.monotonic()
        verdict, note = "ok", ""
        try:
            note = work()
        except SkipError as reason:
            verdict, note = "skipped", str(reason)
        except StepError as fault:
            verdict, note = "FAILED", str(fault)
            self.failed = True
            raise
        finally:
            seconds = time.monotonic() - began
            self.rows.append([name, f"{seconds:.0f}", verdict, note.partition("\n")[0]])
            tell(f"{name}: {verdict} after {seconds:.0f} s: {note}")


def with_defaults(namespace: Namespace, image: str, journal: Journal) -> None:
    """Install, test and remove the chart as it comes."""
    release = Release(namespace, image_values(image))

    def refused() -> str:
        for values, named in WRONG:
            release.refuse(values, named)
        return f"{len(WRONG)} wrong values are refused by name"

    journal.step("wrong values", refused)
    journal.step("install, defaults", release.install)
    journal.step("helm test", release.test)
    journal.step("uninstall", release.uninstall)


def on_pools(namespace: Namespace, options: argparse.Namespace, journal: Journal) -> None:
    """Lead a release on edge pools, or the defaults where there are none, through its life."""
    files = [EDGE_VALUES] if has_pools(namespace) else []
    release = Release(namespace, image_values(options.image), files)
    f = faulty(values_of(*files))
    traffic = Traffic(namespace, options.image, 0, options.rate)
    what = "edge pools" if files else "defaults: no node has the labels of the edge pools"
    journal.step(f"install, {what}", release.install)
    journal.step("helm test", release.test)
    journal.step("load starts", traffic.start)

    def upgrade() -> str:
        note = release.upgrade({"chaos": {"enabled": True}})
        return f"{note}, next commit {traffic.goes_on():.0f} s later"

    journal.step("upgrade under load", upgrade)
    journal.step("drain a node", lambda: disturbance.drain(release, traffic, f))
    journal.step("cut a node off", lambda: disturbance.cut_node(release, traffic, f))
    journal.step("cut a site off by policy", lambda: disturbance.cut_site(release, traffic))
    for name in ("cut-one-site", "kill-one-site"):
        journal.step(f"chaos Job {name}", partial(chaos.experiment, release, name))
    journal.step("rollback under load", release.rollback)
    journal.step("load ends", lambda: judge(traffic))
    journal.step("foreign client", lambda: foreign.ask(release))
    journal.step("helm test again", release.test)
    journal.step("uninstall", release.uninstall)


def has_pools(namespace: Namespace) -> bool:
    """Tell whether nodes have the labels of every pool of values-edge.yaml."""
    pools = values_of(EDGE_VALUES)["pools"]
    labels = [node["metadata"]["labels"] for node in disturbance.nodes(namespace).values()]
    return all(any(pool["nodeSelector"].items() <= one.items() for one in labels) for pool in pools)


def judge(traffic: Traffic) -> str:
    """End the load, and demand that every acknowledged update is where it was acknowledged.

    Raises:
        StepError: one is not.

    """
    result = traffic.stop()
    acknowledged, lacking = result["acknowledged"], result["lacking"]
    lost = {name: count for name, count in lacking.items() if count}
    problems = [f"{count} lost at {name}" for name, count in lost.items()]
    problems += [f"{name} does not answer: {code}" for name, code in result["silent"].items()]
    problems += [f"{count} receipts: {code}" for code, count in result["unverified"].items()]
    refused = {code: count for code, count in result["refused"].items() if code not in PASSING}
    problems += [f"{count} refused: {code}" for code, count in refused.items()]
    if result["verified"] != acknowledged:
        problems.append(f"{result['verified']} of {acknowledged} receipts hold")
    if problems or acknowledged == 0:
        raise StepError("; ".join(problems) or "nothing was acknowledged")
    half, _, high = result["commitSeconds"]
    unanswered = sum(result["unanswered"].values()) + sum(result["refused"].values())
    return (
        f"{acknowledged} of {result['sent']} acknowledged in {result['loadSeconds']:.0f} s,"
        f" 0 lost at {len(lacking)} sites, {result['verified']} receipts verified,"
        f" {unanswered} refused or unanswered; commit p50 {half:.2f} s, p99 {high:.2f} s,"
        f" longest pause {result['longestGapSeconds']:.1f} s"
    )


def obstacle(kubectl: str) -> str:
    """Return why this cluster cannot be used, nothing when it can."""
    done = run((kubectl, "get", "nodes", "-o", "name"))
    if done.returncode != 0:
        return f"no cluster answers; set KUBECONFIG: {done.stderr.strip()[-300:]}"
    classes = run((kubectl, "get", "storageclass", "-o", "yaml"))
    if 'is-default-class: "true"' not in classes.stdout:
        return "the cluster has no default StorageClass: annotate one with is-default-class"
    return ""


def lead(options: argparse.Namespace, kubectl: str, helm: str, journal: Journal) -> None:
    """Do all parts, each in a namespace of its own; a failed one stays for you to look at."""
    parts: dict[str, Callable[[Namespace], None]] = {
        DEFAULTS: lambda place: with_defaults(place, options.image, journal),
        POOLS: lambda place: on_pools(place, options, journal),
    }
    for name, part in parts.items():
        if options.only and options.only not in name:
            continue
        namespace = Namespace(
            kubectl=kubectl, helm=helm, name=name, labels=LABELS, patience=options.patience
        )
        # An earlier run that failed has left it.
        namespace.remove()
        namespace.create()
        try:
            part(namespace)
        except StepError:
            tell(f"look at namespace {name}, and remove it: kubectl delete namespace {name}")
            return
        namespace.remove()


def main() -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--image", default="seawall:dev", help="on the nodes, or in a registry")
    parser.add_argument("--rate", type=float, default=10.0, help="updates a second")
    parser.add_argument(
        "--patience", type=float, default=1.0, help="multiplies every limit, for a busy machine"
    )
    parser.add_argument("--only", choices=("defaults", "pools"), help="one part alone")
    options = parser.parse_args()
    lines = missing()
    kubectl, helm = KUBECTL.find(), HELM.find()
    if kubectl is not None and not lines and (reason := obstacle(kubectl)):
        lines.append(reason)
    if lines or kubectl is None or helm is None:
        print("\n".join(f"test-k8s: {line}" for line in lines), file=sys.stderr)
        return 2
    began = time.monotonic()
    journal = Journal()
    lead(options, kubectl, helm, journal)
    print(render(("step", "s", "verdict", "what was seen"), journal.rows))
    tell(f"{'FAILED' if journal.failed else 'passed'} after {time.monotonic() - began:.0f} s")
    return 1 if journal.failed else 0


if __name__ == "__main__":
    sys.exit(main())
