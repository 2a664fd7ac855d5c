"""What a cluster lacks, from recorded answers of one of five nodes, each with a fault planted."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seawall.errors import LocalError, OperationalError
from seawall.testbed.cluster_doctor import ClusterFacts, Finding, Object, examine, is_local
from seawall.testbed.cluster_values import ChartNeeds, quantity_bytes, read_needs
from tests.tidy.checkout import ROOT

RECORDED = Path(__file__).parent / "recorded"
CHART = ROOT / "helm" / "seawall"
EDGE = CHART / "values-edge.yaml"
IMAGE = "seawall:dev"

Plant = Callable[[dict[str, Any]], None]


def recorded(name: str) -> tuple[Object, ...]:
    return tuple(json.loads((RECORDED / f"{name}.json").read_text("utf-8"))["items"])


def facts(**changes: object) -> ClusterFacts:
    whole: dict[str, Any] = {
        "version": "v1.34.4",
        "nodes": recorded("nodes"),
        "storage_classes": recorded("storageclasses"),
        **changes,
    }
    return ClusterFacts(**whole)


def edge_needs(image: str = IMAGE) -> ChartNeeds:
    return read_needs(CHART, [EDGE], image)


def planted(name: str, plant: Plant) -> tuple[Object, ...]:
    """Return the recorded nodes with a change to one of them."""
    nodes = copy.deepcopy(recorded("nodes"))
    (node,) = [one for one in nodes if one["metadata"]["name"] == name]
    plant(node)
    return nodes


def every(plant: Plant) -> tuple[Object, ...]:
    """Return the recorded nodes with a change to all of them."""
    nodes = copy.deepcopy(recorded("nodes"))
    for node in nodes:
        plant(node)
    return nodes


def found(needs: ChartNeeds, **changes: object) -> list[tuple[str, str]]:
    findings = examine(needs, facts(**changes))
    assert all(isinstance(one, Finding) and one.what for one in findings)
    return [(one.code, " | ".join(one.repair)) for one in findings]


def test_nothing_is_missing_as_it_was_recorded() -> None:
    assert found(edge_needs()) == []
    assert found(read_needs(CHART, image=IMAGE)) == []


def test_an_old_cluster_is_named() -> None:
    assert [code for code, _ in found(edge_needs(), version="v1.28.9")] == ["CLUSTER_VERSION"]
    assert found(edge_needs(), version="v1.29.0+k3s1") == []


def test_missing_labels_are_repaired_by_labelling() -> None:
    nodes = every(lambda node: node["metadata"]["labels"].pop("seawall.dev/pool", None))
    assert found(edge_needs(), nodes=nodes) == [
        ("CLUSTER_LABELS", "kubectl label node NODE seawall.dev/pool=edge-a"),
        ("CLUSTER_LABELS", "kubectl label node NODE seawall.dev/pool=edge-b"),
    ]


def test_a_taint_that_nobody_tolerates_is_named() -> None:
    taint = {"key": "gpu", "value": "yes", "effect": "NoExecute"}

    def plant(node: dict[str, Any]) -> None:
        if node["metadata"]["labels"].get("seawall.dev/pool") == "edge-b":
            node["spec"]["taints"].append(taint)

    (first, second) = found(edge_needs(), nodes=every(plant))
    assert first[0] == second[0] == "CLUSTER_TAINTS"
    assert first[1].startswith("kubectl taint node edge-b-0 gpu=yes:NoExecute- |")


def test_the_defaults_do_not_tolerate_edge_nodes() -> None:
    nodes = tuple(node for node in recorded("nodes") if node["spec"].get("taints"))
    codes = {code for code, _ in found(read_needs(CHART, image=IMAGE), nodes=nodes)}
    assert codes == {"CLUSTER_TAINTS"}


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "seawall.dev/edge", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "seawall.dev/edge", "value": "true"}, True),
        ({"key": "seawall.dev/edge", "value": "false"}, False),
        ({"key": "seawall.dev/edge", "value": "true", "effect": "NoExecute"}, False),
        ({"key": "other", "operator": "Exists"}, False),
    ],
)
def test_tolerations_are_read_as_the_scheduler_does(
    toleration: dict[str, str], tmp_path: Path, *, tolerated: bool
) -> None:
    pool = {"name": "a", "replicas": 4, "zone": "a", "tolerations": [toleration]}
    pool["nodeSelector"] = {"seawall.dev/pool": "edge-a"}
    values = tmp_path / "values.yaml"
    values.write_text(json.dumps({"pools": [pool]}))
    codes = [code for code, _ in found(read_needs(CHART, [values], IMAGE))]
    assert ("CLUSTER_TAINTS" not in codes) is tolerated


def test_too_little_memory_is_named() -> None:
    def plant(node: dict[str, Any]) -> None:
        node["status"]["allocatable"]["memory"] = "512Mi"

    codes = [code for code, _ in found(edge_needs(), nodes=every(plant))]
    assert codes == ["CLUSTER_MEMORY", "CLUSTER_MEMORY"]


def test_a_cluster_without_default_storage_is_told_which_to_choose() -> None:
    (plain,) = copy.deepcopy(recorded("storageclasses"))
    plain["metadata"]["annotations"] = {}
    ((code, repair),) = found(edge_needs(), storage_classes=(plain,))
    assert code == "CLUSTER_STORAGE"
    assert repair.startswith("kubectl annotate storageclass standard storageclass.kubernetes.io/")
    ((code, repair),) = found(edge_needs(), storage_classes=())
    assert (code, "local-path" in repair) == ("CLUSTER_STORAGE", True)


def test_a_class_that_is_not_there_is_named() -> None:
    needs = read_needs(CHART, [CHART / "ci" / "edge-values.yaml"], IMAGE)
    other = [{"metadata": {"name": "fast", "annotations": {}}}]
    codes = [code for code, _ in found(needs, storage_classes=tuple(other))]
    assert codes == ["CLUSTER_STORAGE", "CLUSTER_STORAGE"]


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        (
            {"spec": {"providerID": "kind://docker/lab/edge-a-0"}},
            "kind load docker-image seawall:dev --name lab",
        ),
        (
            {"status": {"nodeInfo": {"kubeletVersion": "v1.34.4+k3s1"}}},
            "docker save seawall:dev | ssh edge-a-0 sudo k3s ctr images import -",
        ),
        ({}, "docker save seawall:dev | ssh edge-a-0 sudo ctr --namespace k8s.io images import -"),
    ],
)
def test_a_missing_image_is_loaded_as_the_cluster_takes_it(
    kind: dict[str, Any], command: str
) -> None:
    def plant(node: dict[str, Any]) -> None:
        node["status"]["images"] = []
        for part, members in kind.items():
            node[part].update(members)

    assert found(edge_needs(), nodes=planted("edge-a-0", plant)) == [("CLUSTER_IMAGE", command)]


def test_an_image_of_a_registry_is_not_looked_for_and_neither_are_nodes_of_no_pool() -> None:
    nodes = planted("core-0", lambda node: node["status"].update(images=[]))
    assert found(edge_needs(), nodes=nodes) == []
    assert found(edge_needs("registry.example/seawall:1")) == []
    assert [
        is_local(name) for name in ("seawall:dev", "localhost/seawall:dev", "me/seawall:1")
    ] == [
        True,
        True,
        False,
    ]


def test_many_images_hide_one() -> None:
    many = [{"names": [f"registry.example/{number}:1"]} for number in range(50)]
    nodes = planted("edge-a-0", lambda node: node["status"].update(images=many))
    assert found(edge_needs(), nodes=nodes) == []


def test_policies_without_an_engine_are_named_only_when_it_was_tried() -> None:
    assert [code for code, _ in found(edge_needs(), enforced=False)] == ["CLUSTER_POLICY"]
    assert found(edge_needs(), enforced=True) == []
    open_values = read_needs(CHART, [CHART / "ci" / "open-values.yaml"], IMAGE)
    assert found(open_values, enforced=False) == []


def test_nodes_that_take_no_pods_are_named() -> None:
    cordoned = planted("edge-b-1", lambda node: node["spec"].update(unschedulable=True))
    assert found(edge_needs(), nodes=cordoned) == [("CLUSTER_NODE", "kubectl uncordon edge-b-1")]
    lost = planted("edge-b-1", lambda node: node["status"].update(conditions=[]))
    assert found(edge_needs(), nodes=lost) == [("CLUSTER_NODE", "kubectl describe node edge-b-1")]


def test_pods_say_why_they_do_not_run() -> None:
    def pod(name: str, **status: object) -> Object:
        return {"metadata": {"name": name}, "status": status}

    def waiting(reason: str) -> list[dict[str, Any]]:
        return [{"image": IMAGE, "state": {"waiting": {"reason": reason}}}]

    unscheduled = {"type": "PodScheduled", "status": "False", "message": "0/5 nodes"}
    pods = (
        pod("a", containerStatuses=waiting("ErrImageNeverPull")),
        pod("b", containerStatuses=waiting("ErrImageNeverPull")),
        pod("c", conditions=[unscheduled]),
        pod("d", containerStatuses=waiting("CrashLoopBackOff")),
        pod("e", containerStatuses=[{"image": IMAGE, "state": {"running": {}}}]),
    )
    findings = examine(edge_needs(), facts(pods=pods), "sea")
    assert [one.what.partition(":")[0] for one in findings] == ["a, b", "c", "d"]
    assert findings[1].repair == ("kubectl -n sea describe pod c",)


def test_a_namespace_without_the_chaos_label_is_named(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("chaos: {enabled: true}\n")
    needs = read_needs(CHART, [values], IMAGE)
    bare: Object = {"metadata": {"name": "sea", "labels": {}}}
    ((code, repair),) = found(needs, namespace=bare)
    assert code == "CLUSTER_CHAOS"
    assert repair == "kubectl label namespace seawall seawall.dev/chaos=enabled"
    marked: Object = {"metadata": {"name": "sea", "labels": {"seawall.dev/chaos": "enabled"}}}
    assert found(needs, namespace=marked) == []


@pytest.mark.parametrize(
    ("text", "size"),
    [("160Mi", 160 << 20), ("4709948Ki", 4709948 << 10), (5, 5), ("1G", 10**9), ("1.5Gi", 3 << 29)],
)
def test_quantities_are_read(text: str | int, size: int) -> None:
    assert quantity_bytes(text) == size


@pytest.mark.parametrize("text", ["- a\n", "a: [", "pools: 3\n", "roles: {ledger: {resources: 1}}"])
def test_what_are_no_values_is_refused(text: str, tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(text)
    with pytest.raises(LocalError, match="CLUSTER_VALUES"):
        read_needs(CHART, [values])


def test_a_chart_that_is_not_there_is_said() -> None:
    with pytest.raises(OperationalError, match="CLUSTER_FILE"):
        read_needs(CHART / "nowhere")
