"""The release in its namespace: install, test, change, remove, and what remains of it."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from bench.cluster.kube import Namespace, StepError, is_ready, run

CHART: Final = Path(__file__).resolve().parents[2] / "helm" / "seawall"
EDGE_VALUES: Final = CHART / "values-edge.yaml"
RELEASE: Final = "seawall"
INSTANCE: Final = f"app.kubernetes.io/instance={RELEASE}"
SITES: Final = f"{INSTANCE},seawall.dev/site=true"
TEST_POD: Final = f"{RELEASE}-test"
ROLES: Final = ("ledger", "integrity", "consensus", "ingestion", "aggregation")
INSTALL_SECONDS_MAX: Final = 300
CHANGE_SECONDS_MAX: Final = 420
READY_SECONDS_MAX: Final = 240.0
TEST_SECONDS_MAX: Final = 180

LISTED: Final = (
    "statefulsets,deployments,replicasets,jobs,cronjobs,pods,services,configmaps,secrets,"
    "serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets,"
    "persistentvolumeclaims"
)
OF_EVERY_NAMESPACE: Final = ("kube-root-ca.crt", "default")
"""What Kubernetes puts into a namespace by itself."""

KEPT: Final = "helm.sh/resource-policy"


@dataclass(slots=True)
class Release:
    """One release of the chart; `values` are over those of `files`."""

    namespace: Namespace
    values: Mapping[str, Any]
    files: Sequence[Path] = ()
    notes: dict[str, Any] = field(default_factory=dict)

    def install(self) -> str:
        """Install it and wait until every pod is ready."""
        began = time.monotonic()
        self._helm("install", INSTALL_SECONDS_MAX)
        seconds = time.monotonic() - began
        pods = self.pods()
        if not pods or not all(map(is_ready, pods)):
            raise StepError(f"helm is done, and not all of {len(pods)} pods are ready")
        nodes = sorted({pod["spec"]["nodeName"] for pod in pods})
        return f"{len(pods)} pods on {len(nodes)} nodes ready after {seconds:.0f} s"

    def upgrade(self, changes: Mapping[str, Any]) -> str:
        """Upgrade to other values, which replaces every pod."""
        began = time.monotonic()
        before = {pod["metadata"]["uid"] for pod in self.pods()}
        self.values = {**self.values, **changes}
        self._helm("upgrade", CHANGE_SECONDS_MAX)
        return self._replaced(before, began)

    def rollback(self) -> str:
        """Go back to the revision before."""
        began = time.monotonic()
        before = {pod["metadata"]["uid"] for pod in self.pods()}
        words = (
            "rollback",
            RELEASE,
            "--wait",
            "--timeout",
            self.namespace.limit(CHANGE_SECONDS_MAX),
        )
        self.namespace.charts(*words, seconds=CHANGE_SECONDS_MAX + 30)
        return self._replaced(before, began)

    def test(self) -> str:
        """Run `helm test`, and return what the test has seen."""
        self.namespace.kube("delete", "pod", TEST_POD, "--ignore-not-found")
        words = ("test", RELEASE, "--logs", "--timeout", self.namespace.limit(TEST_SECONDS_MAX))
        said = self.namespace.charts(*words, seconds=TEST_SECONDS_MAX + 30)
        facts = dict(
            line.split(None, 1) for line in said.splitlines() if len(line.split(None, 1)) > 1
        )
        if "serving" not in facts or "committed_seconds" not in facts:
            raise StepError(f"the test does not say what it has seen: {said[-300:]}")
        return f"{facts['serving']} services, an update in {facts['committed_seconds']} s"

    def refuse(self, values: Mapping[str, Any], named: str) -> None:
        """Demand that helm refuses these values and names `named`.

        Raises:
            StepError: it does not.

        """
        done = run(self._command("install", "--dry-run", values=values), INSTALL_SECONDS_MAX)
        if done.returncode == 0 or named not in done.stderr:
            raise StepError(f"{dict(values)} was not refused by the name of {named}")

    def uninstall(self) -> str:
        """Remove it, and demand that nothing stays but what says so."""
        words = ("uninstall", RELEASE, "--wait", "--timeout", self.namespace.limit(180))
        self.namespace.charts(*words, seconds=210)
        for selector in ("app.kubernetes.io/component=chaos", "seawall.dev/chaos-run=true"):
            self.namespace.kube("delete", "jobs,configmaps", "-l", selector)
        self.namespace.kube("delete", "pod", TEST_POD, "--ignore-not-found")
        self.namespace.until(
            lambda: not self.pods(), 120.0, "pods of an uninstalled release are gone"
        )
        kept, left = self.remains()
        if left:
            raise StepError(f"left behind: {', '.join(left)}")
        return f"{len(kept)} kept objects and volumes stay, nothing else"

    def remains(self) -> tuple[list[str], list[str]]:
        """Return what is in the namespace and says that it is to be kept, and what does not."""
        kept: list[str] = []
        left: list[str] = []
        for item in self.namespace.items(LISTED):
            name = f"{item['kind']} {item['metadata']['name']}"
            if item["metadata"]["name"] in OF_EVERY_NAMESPACE:
                continue
            keep = item["metadata"].get("annotations", {}).get(KEPT) == "keep"
            (kept if keep or item["kind"] == "PersistentVolumeClaim" else left).append(name)
        return kept, left

    def pods(self) -> list[dict[str, Any]]:
        """Return the pods of its sites."""
        return self.namespace.items("pods", "-l", SITES)

    def all_ready(self) -> bool:
        """Tell whether every pod that should be there is, and is ready."""
        of_roles = f"{INSTANCE},app.kubernetes.io/component in ({', '.join(ROLES)})"
        sets = self.namespace.items("statefulsets", "-l", of_roles)
        wanted = sum(one["spec"]["replicas"] for one in sets)
        pods = self.pods()
        going = any("deletionTimestamp" in pod["metadata"] for pod in pods)
        return len(pods) == wanted and not going and all(map(is_ready, pods))

    def wait(self, seconds: float = READY_SECONDS_MAX) -> float:
        """Return after how many seconds every pod is ready."""
        return self.namespace.until(self.all_ready, seconds, "every pod of the release is ready")

    def sites_on(self, node: str) -> list[str]:
        """Return the sites, as POOL-NUMBER, that have a pod on a node."""
        found = [
            f"{labels['seawall.dev/pool']}-{labels['apps.kubernetes.io/pod-index']}"
            for labels in (
                pod["metadata"]["labels"]
                for pod in self.pods()
                if pod["spec"].get("nodeName") == node
            )
        ]
        return sorted(set(found))

    def _replaced(self, before: set[str], began: float) -> str:
        self.wait()
        stayed = before & {pod["metadata"]["uid"] for pod in self.pods()}
        if stayed:
            raise StepError(f"{len(stayed)} of {len(before)} pods were not replaced")
        return f"{len(before)} pods replaced in {time.monotonic() - began:.0f} s"

    def _helm(self, verb: str, seconds: int) -> None:
        words = self._command(verb, "--wait", "--timeout", self.namespace.limit(seconds))
        done = run(words, seconds * self.namespace.patience + 30)
        if done.returncode != 0:
            raise StepError(f"helm {verb}: {done.stderr.strip()[-400:]}{self.complaints()}")

    def _command(
        self, verb: str, *words: str, values: Mapping[str, Any] | None = None
    ) -> list[object]:
        files = [word for path in self.files for word in ("-f", str(path))]
        own = self.values if values is None else {**self.values, **values}
        place: list[object] = [self.namespace.helm, "-n", self.namespace.name, verb, RELEASE, CHART]
        # Values as JSON, key by key: no file has to be written.
        own_words = [
            word for key, one in own.items() for word in ("--set-json", f"{key}={json.dumps(one)}")
        ]
        return [*place, *words, *files, *own_words]

    def complaints(self) -> str:
        """Return what the cluster says about pods that are not ready."""
        events = self.namespace.items("events", "--field-selector", "type=Warning")
        lines = [f"{one['involvedObject'].get('name')}: {one.get('message', '')}" for one in events]
        unready = [pod["metadata"]["name"] for pod in self.pods() if not is_ready(pod)]
        text = "".join(f"\n  {line}" for line in dict.fromkeys(lines[-6:]))
        return f"\n  not ready: {', '.join(unready)}{text}" if unready or text else ""


def image_values(image: str) -> dict[str, Any]:
    """Return the values that name an image."""
    repository, _, tag = image.rpartition(":")
    return {"image": {"repository": repository, "tag": tag}}


def faulty(values: Mapping[str, Any]) -> int:
    """Return f of the pools in these values."""
    return int((sum(int(pool["replicas"]) for pool in values["pools"]) - 1) // 3)


def values_of(*files: Path) -> dict[str, Any]:
    """Return the values of files, later ones over earlier ones, at the top level."""
    merged: dict[str, Any] = {}
    for path in (CHART / "values.yaml", *files):
        merged.update(yaml.safe_load(path.read_text("utf-8")))
    return merged
