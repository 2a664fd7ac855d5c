"""What is done to nodes and sites while the load goes on."""

import json
import os
import shlex
from typing import Any, Final

from bench.cluster.kube import Namespace, SkipError, StepError, demand, is_ready, pause
from bench.cluster.release import INSTANCE, Release
from bench.cluster.traffic import Traffic

CUT: Final = "CUT_NODE_COMMAND"
HEAL: Final = "HEAL_NODE_COMMAND"
"""Commands that cut a node off and bring it back; the node's name is put behind them."""

HOOK_SECONDS_MAX: Final = 120.0
NOT_READY_SECONDS_MAX: Final = 120.0
DRAIN_SECONDS_MAX: Final = 180
HOLD_SECONDS: Final = 15.0
PEER_PORT: Final = 7001
PROBE_SECONDS_MAX: Final = 5
POLICY_SECONDS_MAX: Final = 30.0
CUT_LABEL: Final = "seawall.dev/cut"

PROBE: Final = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3])).close()
except OSError:
    print("closed")
else:
    print("open")
"""
RESTART: Final = "import os, signal; os.kill(1, signal.SIGTERM)"


def nodes(namespace: Namespace) -> dict[str, dict[str, Any]]:
    """Return the nodes of the cluster by name."""
    items = json.loads(demand((namespace.kubectl, "get", "nodes", "-o", "json")))["items"]
    return {one["metadata"]["name"]: one for one in items}


def expendable(release: Release, f: int, number: int = 0) -> str:
    """Return a node with some sites of the release, at most f, and nothing else that is needed.

    Raises:
        SkipError: there is none.

    """
    holding = {name: release.sites_on(name) for name in sorted(nodes(release.namespace))}
    load = {
        pod["spec"].get("nodeName")
        for pod in release.namespace.items("pods", "-l", "seawall.dev/client=true")
    }
    fitting = [name for name, sites in holding.items() if 0 < len(sites) <= f and name not in load]
    if not fitting:
        counts = ", ".join(f"{name}: {len(sites)}" for name, sites in holding.items() if sites)
        hint = f"no node has at most {f} of the sites and not the load ({counts})"
        raise SkipError(hint)
    return fitting[number % len(fitting)]


def drain(release: Release, traffic: Traffic, f: int) -> str:
    """Drain a node under load, let the load go on without its sites, and take it back."""
    kubectl = release.namespace.kubectl
    node = expendable(release, f)
    sites = release.sites_on(node)
    limit = release.namespace.limit(DRAIN_SECONDS_MAX)
    words = ("--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={limit}")
    selector = f"--pod-selector={INSTANCE}"
    try:
        seconds = DRAIN_SECONDS_MAX * release.namespace.patience + 30
        demand((kubectl, "drain", node, *words, selector), seconds)
        left = release.sites_on(node)
        if left:
            raise StepError(f"{node} is drained, and has pods of {', '.join(left)}")
        traffic.goes_on()
        pause(HOLD_SECONDS)
        without = traffic.goes_on()
    finally:
        demand((kubectl, "uncordon", node))
    back = release.wait()
    traffic.goes_on()
    return (
        f"{node} ({', '.join(sites)}): next commit without it after {without:.0f} s,"
        f" all pods ready {back:.0f} s after its return"
    )


def cut_node(release: Release, traffic: Traffic, f: int) -> str:
    """Cut a node off by the hook command, and bring it back.

    Raises:
        SkipError: no hook commands are given.

    """
    cut, heal = os.environ.get(CUT), os.environ.get(HEAL)
    if not cut or not heal:
        raise SkipError(f"set {CUT} and {HEAL} to commands that take a node's name")
    node = expendable(release, f, number=1)
    sites = release.sites_on(node)
    try:
        demand((*shlex.split(cut), node), HOOK_SECONDS_MAX)
        first = traffic.goes_on()
        gone = release.namespace.until(
            lambda: not is_ready(nodes(release.namespace)[node]),
            NOT_READY_SECONDS_MAX,
            f"{node} is seen as not ready",
        )
        without = traffic.goes_on()
    finally:
        demand((*shlex.split(heal), node), HOOK_SECONDS_MAX)
    back = release.wait()
    traffic.goes_on()
    return (
        f"{node} ({', '.join(sites)}): next commits after {first:.0f} s and {without:.0f} s,"
        f" seen as lost after {gone:.0f} s, all pods ready {back:.0f} s after its return"
    )


def cut_site(release: Release, traffic: Traffic) -> str:
    """Take a site's pods out of the policies that let them speak, and see that it is cut off.

    Policies govern new connections; what stands is ended by restarting the site's processes.

    Raises:
        SkipError: the cluster does not enforce policies.

    """
    namespace = release.namespace
    pods = {pod["metadata"]["name"]: pod for pod in release.pods()}
    pool, _, number = release.sites_on(next(iter(pods.values()))["spec"]["nodeName"])[0].rpartition(
        "-"
    )
    own = [name for name in sorted(pods) if name.endswith(f"-{pool}-{number}")]
    target = next(name for name in own if "-consensus-" in name)
    other = next(name for name in sorted(pods) if "-consensus-" in name and name not in own)
    address = pods[target]["status"]["podIP"]

    def reachable() -> bool:
        words = ("exec", other, "--", "python3", "-c", PROBE, address, PEER_PORT, PROBE_SECONDS_MAX)
        return namespace.kube(*words).strip() == "open"

    if not reachable():
        raise StepError(f"{other} cannot reach {target} before anything was cut")
    try:
        namespace.kube("label", "pod", *own, f"{CUT_LABEL}=true")
        try:
            namespace.until(lambda: not reachable(), POLICY_SECONDS_MAX, "the policy takes effect")
        except StepError:
            hint = "the cluster does not enforce network policies"
            raise SkipError(hint) from None
        for name in own:
            namespace.kube("exec", name, "--", "python3", "-c", RESTART)
        traffic.goes_on()
        pause(HOLD_SECONDS)
        without = traffic.goes_on()
        if reachable():
            raise StepError(f"{other} reached {target} while it was cut off")
    finally:
        namespace.kube("label", "pod", *own, f"{CUT_LABEL}-")
    back = release.wait()
    return (
        f"site {pool}-{number}: unreachable by probe, next commit without it after"
        f" {without:.0f} s, all pods ready {back:.0f} s after the heal"
    )
