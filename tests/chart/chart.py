"""The Helm chart as documents, and the rules that they are held to. Each rule yields findings."""

import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

from tests.tidy.checkout import ROOT

Document: TypeAlias = dict[str, Any]

CHART = ROOT / "helm" / "seawall"
NAMESPACE = "north-sea"
KUBERNETES = "1.29.0"
"""The oldest version that the chart claims; programs differ in what they take for granted."""

HELM_SECONDS_MAX = 60
PROGRAMS = [name for name in ("helm", "helm4") if shutil.which(name)]
"""Helm 3 and 4, as far as they are installed under these names."""

needs_helm = pytest.mark.skipif(
    not PROGRAMS, reason="helm is not on the path: see https://helm.sh/docs/intro/install"
)
USER = 10_001


def helm(program: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Run helm."""
    return subprocess.run(
        [program, *map(str, words)],
        check=False,
        capture_output=True,
        text=True,
        timeout=HELM_SECONDS_MAX,
    )


def rendered(
    values: Mapping[str, object] | None = None,
    files: Iterable[Path] = (),
    program: str | None = None,
    interfaces: Iterable[str] = (),
) -> list[Document]:
    """Return the documents of the chart with these values over those of these files.

    `interfaces` are those of the cluster besides Kubernetes' own.
    """
    done = template(values, files, program, interfaces)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one is not None]


def template(
    values: Mapping[str, object] | None = None,
    files: Iterable[Path] = (),
    program: str | None = None,
    interfaces: Iterable[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Run `helm template`."""
    words: list[str | Path] = [word for path in files for word in ("-f", path)]
    words += [word for name in interfaces for word in ("--api-versions", name)]
    command = [program or PROGRAMS[0], "template", "seawall", CHART, "-n", NAMESPACE]
    command += ["--kube-version", KUBERNETES, *words, "-f", "-"]
    return subprocess.run(
        list(map(str, command)),
        check=False,
        capture_output=True,
        text=True,
        input=yaml.safe_dump(dict(values or {})),
        timeout=HELM_SECONDS_MAX,
    )


def of_kind(documents: Iterable[Document], *kinds: str) -> list[Document]:
    """Return the documents of these kinds."""
    return [one for one in documents if one["kind"] in kinds]


def pods(documents: Iterable[Document]) -> Iterator[tuple[str, Document]]:
    """Yield name and specification of every pod, alone or in a template."""
    for one in documents:
        spec = one.get("spec", {})
        if one["kind"] == "Pod":
            yield one["metadata"]["name"], spec
        elif "template" in spec:
            yield one["metadata"]["name"], spec["template"]["spec"]
        elif "jobTemplate" in spec:
            yield one["metadata"]["name"], spec["jobTemplate"]["spec"]["template"]["spec"]


def site_pods(documents: Iterable[Document]) -> dict[str, Document]:
    """Return the pod specification of each StatefulSet that serves a role."""
    sets = of_kind(documents, "StatefulSet")
    label = "seawall.dev/site"
    return dict(pods(one for one in sets if label in one["spec"]["template"]["metadata"]["labels"]))


def unrestricted(documents: Iterable[Document]) -> Iterator[str]:
    """Yield what the restricted pod security standard forbids, and more than it asks for."""
    for name, pod in pods(documents):
        context = pod.get("securityContext", {})
        wanted = {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        yield from (f"{name}: {key}" for key, value in wanted.items() if context.get(key) != value)
        yield from (f"{name}: {key}" for key in ("hostNetwork", "hostPID", "hostIPC") if key in pod)
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            own = container.get("securityContext", {})
            wanted = {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            yield from (f"{name}: {key}" for key, value in wanted.items() if own.get(key) != value)
            limits = container.get("resources", {})
            if limits.get("limits", {}).get("memory") != limits.get("requests", {}).get("memory"):
                yield f"{name}: memory"
        for volume in pod.get("volumes", ()):
            if "hostPath" in volume:
                yield f"{name}: hostPath"


def with_a_token(documents: Iterable[Document]) -> list[str]:
    """Return the pods that get a token of the API server."""
    return [
        name
        for name, pod in pods(documents)
        if pod.get("automountServiceAccountToken") is not False
    ]


def doubles(documents: Iterable[Document]) -> Iterator[str]:
    """Yield names that stand twice in a list that is merged by them."""
    for name, pod in pods(documents):
        lists = {"volumes": [one["name"] for one in pod.get("volumes", ())]}
        for container in pod["containers"]:
            lists["env"] = [one["name"] for one in container.get("env", ())]
            lists["ports"] = [str(one["containerPort"]) for one in container.get("ports", ())]
            lists["port names"] = [one["name"] for one in container.get("ports", ())]
            lists["mounts"] = [one["mountPath"] for one in container.get("volumeMounts", ())]
            for what, names in lists.items():
                yield from (f"{name}: {what}: {one}" for one in names if names.count(one) > 1)
    names = [(one["kind"], one["metadata"]["name"]) for one in documents]
    yield from (f"{kind} {name}" for kind, name in names if names.count((kind, name)) > 1)


def policy_ports(documents: Iterable[Document]) -> dict[str, set[int]]:
    """Return the ports that each NetworkPolicy opens."""
    return {
        one["metadata"]["name"]: {
            port["port"]
            for direction in ("ingress", "egress")
            for rule in one["spec"].get(direction, ())
            for port in rule["ports"]
        }
        for one in of_kind(documents, "NetworkPolicy")
    }


def edges(documents: Iterable[Document], direction: str) -> set[tuple[str, str, int]]:
    """Return (caller, called, port) of every rule between two roles, seen from one end."""
    side = {"ingress": "from", "egress": "to"}[direction]
    found = set()
    component = "app.kubernetes.io/component"
    for policy in of_kind(documents, "NetworkPolicy"):
        own = policy["spec"]["podSelector"]["matchLabels"].get(component)
        for rule in policy["spec"].get(direction, ()):
            for peer in rule.get(side, ()):
                labels = peer.get("podSelector", {}).get("matchLabels", {})
                other = labels.get(component)
                pair = (other, own) if direction == "ingress" else (own, other)
                if other is not None and not {"test", "load"}.intersection(pair):
                    found |= {(*pair, port["port"]) for port in rule["ports"]}
    return found
