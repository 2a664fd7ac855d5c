"""Says what a cluster lacks for a release of the chart, and which command repairs it.

Pure: it looks at what the API server has answered (`ClusterFacts`), never at the cluster. Whether
network policies are enforced is not written anywhere, so that is tried out: see `cluster_trial`.
"""

import shlex
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from seawall.testbed.cluster_values import ChartNeeds, Pool, quantity_bytes

CHAOS_LABEL: Final = "seawall.dev/chaos"
DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"
IMAGES_REPORTED_MAX: Final = 50
"""A kubelet reports its largest images only; what is not among so many may still be there."""

REPELLING: Final = ("NoSchedule", "NoExecute")
ENGINES: Final = "install an engine that enforces them, for example Calico or Cilium"
PULLING: Final = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName")

Object: TypeAlias = dict[str, Any]


class ClusterFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Answers of the API server, as they stand.

    Attributes:
        version: as `kubectl version` has it, for example `v1.34.4`.
        nodes, storage_classes: all of the cluster.
        pods: those of the release, none before it is installed.
        namespace: the one of the release, empty while it is not there.
        enforced: whether network policies took effect when it was tried, None when it was not.

    """

    version: str
    nodes: tuple[Object, ...]
    storage_classes: tuple[Object, ...]
    pods: tuple[Object, ...] = ()
    namespace: Object = {}
    enforced: bool | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the cluster lacks: a stable code, what it is, and commands that repair it."""

    code: str
    what: str
    repair: tuple[str, ...]


def examine(needs: ChartNeeds, facts: ClusterFacts, name: str = "seawall") -> tuple[Finding, ...]:
    """Return everything that keeps a release in the namespace `name` from running."""
    return (
        *_version(needs, facts),
        *_nodes(facts),
        *(finding for pool in needs.pools for finding in _pool(pool, facts)),
        *_storage(needs, facts),
        *_image(needs, facts),
        *_policies(needs, facts),
        *_chaos(needs, facts, name),
        *_pods(facts, name),
    )


def suitable(pool: Pool, facts: ClusterFacts) -> tuple[Object, ...]:
    """Return the nodes that may run pods of a pool."""
    return tuple(
        node
        for node in _labelled(pool, facts)
        if not untolerated(node, pool.tolerations) and _is_ready(node)
    )


def untolerated(node: Object, tolerations: Sequence[Object]) -> tuple[Object, ...]:
    """Return the taints of a node that keep a pod with these tolerations away."""
    return tuple(
        taint
        for taint in node["spec"].get("taints", ())
        if taint["effect"] in REPELLING and not any(_tolerates(one, taint) for one in tolerations)
    )


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    same_value = toleration.get("value", "") == taint.get("value", "")
    return bool(toleration.get("key") == taint["key"] and same_value)


def _labelled(pool: Pool, facts: ClusterFacts) -> tuple[Object, ...]:
    wanted = pool.selector.items()
    return tuple(node for node in facts.nodes if wanted <= node["metadata"]["labels"].items())


def _version(needs: ChartNeeds, facts: ClusterFacts) -> Iterator[Finding]:
    major, minor = facts.version.lstrip("v").split(".")[:2]
    found = (int(major), int(minor.rstrip("+")))
    if found < needs.kubernetes_min:
        least = ".".join(map(str, needs.kubernetes_min))
        what = f"the cluster runs Kubernetes {facts.version}, and the chart needs {least}"
        yield Finding(code="CLUSTER_VERSION", what=what, repair=())


def _nodes(facts: ClusterFacts) -> Iterator[Finding]:
    for node in facts.nodes:
        name = node["metadata"]["name"]
        if not _is_ready(node):
            repair = (f"kubectl describe node {name}",)
            yield Finding(code="CLUSTER_NODE", what=f"node {name} is not ready", repair=repair)
        elif node["spec"].get("unschedulable"):
            what = f"node {name} takes no pods: it was drained or cordoned"
            yield Finding(code="CLUSTER_NODE", what=what, repair=(f"kubectl uncordon {name}",))


def _pool(pool: Pool, facts: ClusterFacts) -> Iterator[Finding]:
    """Yield why the nodes cannot take a pool: labels, then taints, then memory."""
    labelled = _labelled(pool, facts)
    words = " ".join(f"{key}={value}" for key, value in pool.selector.items())
    if not labelled:
        what = f"pool {pool.name}: no node has {words}"
        repair = (f"kubectl label node NODE {shlex.quote(words)}",)
        yield Finding(code="CLUSTER_LABELS", what=what, repair=repair)
        return
    nodes = suitable(pool, facts)
    if not nodes:
        yield from _repelled(pool, labelled)
        return
    wanted = pool.replicas * pool.memory_bytes
    there = sum(quantity_bytes(node["status"]["allocatable"]["memory"]) for node in nodes)
    if there < wanted:
        what = (
            f"pool {pool.name}: its {pool.replicas} sites ask for {wanted >> 20} MiB, and its"
            f" {len(nodes)} nodes have {there >> 20} MiB for pods"
        )
        repair = (
            f"kubectl label node NODE {words}" if words else "add a node, or lower resources",
        )
        yield Finding(code="CLUSTER_MEMORY", what=what, repair=repair)


def _repelled(pool: Pool, labelled: Sequence[Object]) -> Iterator[Finding]:
    for node in labelled:
        name = node["metadata"]["name"]
        for taint in untolerated(node, pool.tolerations):
            value = f"={taint['value']}" if taint.get("value") else ""
            spelt = f"{taint['key']}{value}:{taint['effect']}"
            yield Finding(
                code="CLUSTER_TAINTS",
                what=f"pool {pool.name}: nobody of it tolerates {spelt} of node {name}",
                repair=(
                    f"kubectl taint node {name} {spelt}-",
                    f"or tolerate it: pools[].tolerations of {pool.name} in your values",
                ),
            )


def _storage(needs: ChartNeeds, facts: ClusterFacts) -> Iterator[Finding]:
    names = [one["metadata"]["name"] for one in facts.storage_classes]
    for pool in needs.pools:
        if pool.storage_class and pool.storage_class not in names:
            what = f"pool {pool.name}: there is no StorageClass {pool.storage_class}"
            repair = (f"choose one of {', '.join(names) or 'none'} in your values",)
            yield Finding(code="CLUSTER_STORAGE", what=what, repair=repair)
    defaults = [
        one
        for one in facts.storage_classes
        if one["metadata"].get("annotations", {}).get(DEFAULT_CLASS) == "true"
    ]
    if defaults or all(pool.storage_class for pool in needs.pools):
        return
    command = (
        f"kubectl annotate storageclass {names[0]} {DEFAULT_CLASS}=true --overwrite"
        if names
        else "install one, for example https://github.com/rancher/local-path-provisioner"
    )
    what = "there is no default StorageClass, so volumes wait for ever"
    yield Finding(code="CLUSTER_STORAGE", what=what, repair=(command,))


def _image(needs: ChartNeeds, facts: ClusterFacts) -> Iterator[Finding]:
    """Yield when nodes lack an image that no registry has; one with a registry is pulled."""
    if not is_local(needs.image):
        return
    wanted = dict.fromkeys(
        node["metadata"]["name"] for pool in needs.pools for node in suitable(pool, facts)
    )
    lacking = [
        node for node in facts.nodes if node["metadata"]["name"] in wanted and _lacks(node, needs)
    ]
    if lacking:
        names = ", ".join(node["metadata"]["name"] for node in lacking)
        what = f"image {needs.image} is not on {names}, and its name has no registry"
        repair = tuple(dict.fromkeys(_load_command(node, needs.image) for node in lacking))
        yield Finding(code="CLUSTER_IMAGE", what=what, repair=repair)


def is_local(image: str) -> bool:
    """Tell whether an image's name has no registry in front, so that it must be loaded."""
    return "/" not in image or image.startswith("localhost/")


def _lacks(node: Object, needs: ChartNeeds) -> bool:
    images = node["status"].get("images", ())
    names = [name for one in images for name in one.get("names", ())]
    found = any(name == needs.image or name.endswith(f"/{needs.image}") for name in names)
    return not found and len(images) < IMAGES_REPORTED_MAX


def _load_command(node: Object, image: str) -> str:
    """Return what puts an image onto a node, as this kind of cluster takes it."""
    name = node["metadata"]["name"]
    provider = node["spec"].get("providerID", "")
    save = f"docker save {image}"
    if provider.startswith("kind://"):
        cluster = provider.removeprefix("kind://").strip("/").split("/")[1]
        return f"kind load docker-image {image} --name {cluster}"
    if "+k3s" in node["status"]["nodeInfo"]["kubeletVersion"]:
        return f"{save} | ssh {name} sudo k3s ctr images import -"
    return f"{save} | ssh {name} sudo ctr --namespace k8s.io images import -"


def _policies(needs: ChartNeeds, facts: ClusterFacts) -> Iterator[Finding]:
    if needs.policies and facts.enforced is False:
        yield Finding(
            code="CLUSTER_POLICY",
            what="network policies are stored and not enforced: every pod may call every port",
            repair=(ENGINES, "on kind: version 0.24 or newer; on k3s: no --disable-network-policy"),
        )


def _chaos(needs: ChartNeeds, facts: ClusterFacts, name: str) -> Iterator[Finding]:
    labels = facts.namespace.get("metadata", {}).get("labels", {})
    if needs.chaos and facts.namespace and labels.get(CHAOS_LABEL) != "enabled":
        what = f"chaos is enabled, and namespace {name} does not allow it"
        repair = (f"kubectl label namespace {name} {CHAOS_LABEL}=enabled",)
        yield Finding(code="CLUSTER_CHAOS", what=what, repair=repair)


def _pods(facts: ClusterFacts, name: str) -> Iterator[Finding]:
    """Yield what keeps pods of the release from running, each reason once."""
    seen: dict[str, list[str]] = {}
    for pod in facts.pods:
        for reason in _reasons(pod):
            seen.setdefault(reason, []).append(pod["metadata"]["name"])
    for reason, names in seen.items():
        what = f"{', '.join(names)}: {reason}"
        repair = (f"kubectl -n {name} describe pod {names[0]}",)
        yield Finding(code="CLUSTER_PODS", what=what, repair=repair)


def _reasons(pod: Object) -> Iterator[str]:
    status = pod.get("status", {})
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield f"not scheduled: {condition.get('message', '')}"
    for container in status.get("containerStatuses", ()):
        waiting = container.get("state", {}).get("waiting", {})
        reason = waiting.get("reason", "")
        if reason in PULLING:
            yield f"{reason} of {container['image']}"
        elif reason == "CrashLoopBackOff":
            yield f"{reason}: kubectl logs --previous says why"


def _is_ready(node: Object) -> bool:
    conditions = node["status"].get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
