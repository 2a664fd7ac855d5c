"""What k8s/ has beside the chart says the same as the chart."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from seawall.chaos.experiment.reading import load
from seawall.testbed.cluster_doctor import untolerated
from seawall.testbed.cluster_values import Pool, read_needs
from tests.chart.chart import CHART, PROGRAMS, needs_helm, of_kind, rendered, unrestricted
from tests.tidy.checkout import ROOT
from tools import chart_overlays, chart_values

K8S = ROOT / "k8s"
OVERLAYS = sorted(path.parent for path in K8S.glob("overlays/*/kustomization.yaml"))
KUBECTL_SECONDS_MAX = 60


def edge_pools() -> tuple[Pool, ...]:
    return read_needs(CHART, [CHART / "values-edge.yaml"]).pools


def documents(path: Path) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(path.read_text("utf-8")) if one is not None]


@needs_helm
def test_generated_files_are_those_of_the_chart() -> None:
    for place, wanted in chart_overlays.files(PROGRAMS[0]):
        assert place.read_text("utf-8") == wanted, f"{place}: run make overlays"


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_overlays_need_no_helm(overlay: Path) -> None:
    found = documents(overlay / "seawall.yaml")
    assert list(unrestricted(found)) == []
    assert "helm.sh/hook" not in str(found)
    assert of_kind(found, "Job"), "who else makes the keys?"
    assert {one["metadata"]["namespace"] for one in found} == {"seawall"}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on the path")
@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_overlays_are_built_by_kubectl(overlay: Path) -> None:
    built = subprocess.run(
        ["kubectl", "kustomize", str(overlay)],  # noqa: S607 - found on the path
        check=True,
        capture_output=True,
        text=True,
        timeout=KUBECTL_SECONDS_MAX,
    )
    found = [one for one in yaml.safe_load_all(built.stdout) if one is not None]
    assert len(found) == len(documents(overlay / "seawall.yaml")) + 1
    managed = "app.kubernetes.io/managed-by"
    assert {one["metadata"]["labels"].get(managed) for one in found} == {"kustomize"}
    for one in of_kind(found, "StatefulSet"):
        assert managed not in one["spec"]["selector"]["matchLabels"]


def test_nodes_of_kind_are_those_that_the_edge_values_want() -> None:
    (cluster,) = documents(K8S / "kind" / "cluster.yaml")
    for pool in edge_pools():
        nodes = [one for one in cluster["nodes"] if one.get("labels") == pool.selector]
        assert len(nodes) == pool.replicas
        for node in nodes:
            join = yaml.safe_load(node["kubeadmConfigPatches"][0])
            taints = join["nodeRegistration"]["taints"]
            assert taints
            assert not untolerated({"spec": {"taints": taints}}, pool.tolerations)
    assert sum(one["role"] == "control-plane" for one in cluster["nodes"]) == 1


def test_agents_of_k3s_are_those_that_the_edge_values_want() -> None:
    for pool in edge_pools():
        (agent,) = documents(K8S / "k3s" / f"{pool.name}.yaml")
        assert dict(one.split("=") for one in agent["node-label"]) == pool.selector
        (taint,) = agent["node-taint"]
        key, _, rest = taint.partition("=")
        value, _, effect = rest.partition(":")
        one = {"key": key, "value": value, "effect": effect}
        assert not untolerated({"spec": {"taints": [one]}}, pool.tolerations)


def test_no_label_is_one_that_a_kubelet_may_not_give_itself() -> None:
    text = (K8S / "kind" / "cluster.yaml").read_text("utf-8")
    (cluster,) = yaml.safe_load_all(text)
    names = [name for node in cluster["nodes"] for name in node.get("labels", {})]
    for path in (K8S / "k3s").glob("*.yaml"):
        names += [one.partition("=")[0] for one in documents(path)[0].get("node-label", ())]
    assert names
    assert not [name for name in names if "kubernetes.io" in name]


@needs_helm
def test_the_preset_of_kubeedge_is_rendered() -> None:
    found = rendered(files=[K8S / "kubeedge" / "values.yaml"])
    assert list(unrestricted(found)) == []
    for one in of_kind(found, "StatefulSet"):
        pod = one["spec"]["template"]["spec"]
        assert pod["nodeSelector"]["node-role.kubernetes.io/edge"] == ""
        taint = {"key": "node-role.kubernetes.io/edge", "effect": "NoSchedule"}
        assert not untolerated({"spec": {"taints": [taint]}}, pod["tolerations"])
    assert not of_kind(found, "NetworkPolicy")


def test_chaos_jobs_carry_their_experiments() -> None:
    paths = sorted((K8S / "chaos" / "experiments").glob("*.yaml"))
    assert paths
    for path in paths:
        config, job = documents(K8S / "chaos" / path.name)
        assert config["data"]["experiment.yaml"] == path.read_text("utf-8")
        assert (
            load(config["data"]["experiment.yaml"].encode()).experiment.metadata.name == path.stem
        )
        volumes = {one["name"]: one for one in job["spec"]["template"]["spec"]["volumes"]}
        assert volumes["experiments"]["configMap"] == {"name": config["metadata"]["name"]}


def test_the_page_of_values_is_that_of_the_values() -> None:
    assert chart_values.PAGE.read_text("utf-8") == chart_values.page(
        chart_values.VALUES.read_text("utf-8")
    )


def test_a_value_without_a_comment_is_found() -> None:
    with pytest.raises(ValueError, match=r"a\.c has no comment"):
        list(chart_values.rows("a:\n  # What it is.\n  b: 1\n  c: 2\n"))
