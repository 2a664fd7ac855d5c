"""Finds out what no API tells: whether the cluster enforces network policies, by two pods."""

import json
import time
from collections.abc import Sequence
from typing import Any, Final

from seawall.errors import OperationalError
from seawall.testbed.cluster_doctor import ClusterFacts
from seawall.testbed.cluster_values import ChartNeeds
from seawall.testbed.kubectl import KUBECTL, objects

TRIAL_NAMESPACE: Final = "seawall-doctor"
PORT: Final = 8080
READY_SECONDS_MAX: Final = 90
ENFORCED_SECONDS_MAX: Final = 20.0
PERIOD_SECONDS: Final = 1.0
CONNECT_SECONDS_MAX: Final = 2
USER: Final = 10_001

_CALL: Final = (
    "import socket, sys; socket.create_connection"
    f"((sys.argv[1], {PORT}), timeout={CONNECT_SECONDS_MAX}).close()"
)


def gather(release: str, namespace: str, enforced: bool | None) -> ClusterFacts:  # noqa: FBT001 - a fact
    """Ask the cluster that kubectl speaks to.

    Raises:
        LocalError: CLUSTER_PROGRAM.
        OperationalError: CLUSTER_COMMAND.

    """
    version = json.loads(KUBECTL.run("version", "--output=json"))
    spaces = [one for one in objects("namespaces") if one["metadata"]["name"] == namespace]
    selector = f"--selector=app.kubernetes.io/instance={release}"
    return ClusterFacts(
        version=version["serverVersion"]["gitVersion"],
        nodes=objects("nodes"),
        storage_classes=objects("storageclasses"),
        pods=objects("pods", f"--namespace={namespace}", selector) if spaces else (),
        namespace=spaces[0] if spaces else {},
        enforced=enforced,
    )


def try_policies(needs: ChartNeeds) -> bool:
    """Return whether a policy that forbids it keeps one pod from calling another.

    Makes a namespace of its own, and removes it.

    Raises:
        LocalError: CLUSTER_PROGRAM.
        OperationalError: CLUSTER_COMMAND; CLUSTER_TRIAL when the pods cannot speak at all.

    """
    _apply(namespace())
    try:
        tolerations = [one for pool in needs.pools for one in pool.tolerations]
        _apply(*(pod(name, needs.image, tolerations) for name in ("listener", "caller")))
        wait = ("wait", "pod", "--all", "--for=condition=Ready", f"--timeout={READY_SECONDS_MAX}s")
        _kubectl(*wait, seconds=READY_SECONDS_MAX + 10)
        (listener,) = objects("pods", f"--namespace={TRIAL_NAMESPACE}", "--selector=name=listener")
        address = listener["status"]["podIP"]
        if not _becomes(address, reachable=True):
            raise OperationalError("CLUSTER_TRIAL", "two pods without a policy cannot speak at all")
        _apply(deny())
        return _becomes(address, reachable=False)
    finally:
        KUBECTL.run("delete", "namespace", TRIAL_NAMESPACE, "--wait=false")


def _becomes(address: str, *, reachable: bool) -> bool:
    """Return whether the caller reaches an address, or does not any more, within the time."""
    deadline = time.monotonic() + ENFORCED_SECONDS_MAX
    words = ("exec", "caller", f"--namespace={TRIAL_NAMESPACE}", "--", "python3", "-c", _CALL)
    while time.monotonic() < deadline:
        if (KUBECTL.finish(*words, address).returncode == 0) is reachable:
            return True
        time.sleep(PERIOD_SECONDS)
    return False


def _kubectl(*words: str, seconds: float = 30.0) -> str:
    return KUBECTL.run(*words, f"--namespace={TRIAL_NAMESPACE}", seconds=seconds)


def _apply(*manifests: dict[str, Any]) -> None:
    document = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
    KUBECTL.run("apply", "--filename=-", text=json.dumps(document))


def namespace() -> dict[str, Any]:
    """Return the namespace of the trial."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": TRIAL_NAMESPACE, "labels": labels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def deny() -> dict[str, Any]:
    """Return the policy that lets nobody call the listener."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny", "namespace": TRIAL_NAMESPACE},
        "spec": {"podSelector": {"matchLabels": {"name": "listener"}}, "policyTypes": ["Ingress"]},
    }


def pod(name: str, image: str, tolerations: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a pod that listens, on any node that a pool may use."""
    security = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    container = {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", "http.server", str(PORT), "--directory", "/etc"],
        "securityContext": security,
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 2},
        "resources": {"requests": {"memory": "64Mi"}, "limits": {"memory": "64Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": TRIAL_NAMESPACE, "labels": {"name": name}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "tolerations": list(tolerations),
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
        },
    }
