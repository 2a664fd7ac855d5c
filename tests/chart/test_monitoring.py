"""What the chart gives to a Prometheus and a Grafana: the cluster's own, or bundled ones."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from seawall.testbed.monitoring.boards import BOARDS
from seawall.testbed.monitoring.grafana import render
from seawall.testbed.monitoring.rules import NETWORK_JOB
from seawall.testbed.monitoring.rules import render as render_rules
from tests.chart.chart import (
    CHART,
    NAMESPACE,
    Document,
    doubles,
    needs_helm,
    of_kind,
    pods,
    rendered,
    unrestricted,
    with_a_token,
)

pytestmark = needs_helm

OPERATOR = ("monitoring.coreos.com/v1",)
METRICS = 7003
SHAPE = CHART / "ci" / "monitoring-values.yaml"
PROMTOOL = shutil.which("promtool") or ""
COMPONENT = "app.kubernetes.io/component"


def bundled(**values: object) -> dict[str, Any]:
    return {"monitoring": {"bundled": values}}


def named(documents: list[Document], kind: str, name: str) -> Document:
    (found,) = [one for one in of_kind(documents, kind) if one["metadata"]["name"] == name]
    return found


def dashboards(documents: list[Document]) -> list[Document]:
    return [
        one
        for one in of_kind(documents, "ConfigMap")
        if "grafana_dashboard" in one["metadata"]["labels"]
    ]


def test_nothing_of_it_is_there_unless_somebody_can_use_it() -> None:
    documents = rendered()
    assert not of_kind(documents, "ServiceMonitor", "PrometheusRule", "Deployment")
    assert dashboards(documents) == []


def test_the_operators_objects_are_there_where_it_is() -> None:
    documents = rendered(interfaces=OPERATOR)
    (monitor,) = of_kind(documents, "ServiceMonitor")
    (rule,) = of_kind(documents, "PrometheusRule")
    assert rule["spec"] == yaml.safe_load(render_rules())
    for one in (monitor, rule):
        assert one["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    assert len(dashboards(documents)) == len(BOARDS)
    spec = monitor["spec"]
    wanted = spec["selector"]["matchLabels"]
    (chosen,) = spec["selector"]["matchExpressions"]
    services = [
        one
        for one in of_kind(documents, "Service")
        if wanted.items() <= one["metadata"]["labels"].items()
        and one["metadata"]["labels"].get(COMPONENT) in chosen["values"]
    ]
    assert len(services) == 5
    (endpoint,) = spec["endpoints"]
    for service in services:
        assert service["metadata"]["labels"][spec["jobLabel"]] == NETWORK_JOB
        ports = {port["name"]: port["port"] for port in service["spec"]["ports"]}
        assert ports[endpoint["port"]] == METRICS


def test_a_switch_keeps_the_operators_objects_away() -> None:
    off = {"monitoring": {"operator": {"enabled": False}}}
    documents = rendered(off, interfaces=OPERATOR)
    assert not of_kind(documents, "ServiceMonitor", "PrometheusRule")
    assert dashboards(documents) == []
    quiet = {"monitoring": {"dashboards": {"enabled": False}}}
    assert dashboards(rendered(quiet, interfaces=OPERATOR)) == []


def test_dashboards_are_those_that_are_generated() -> None:
    found = dashboards(rendered(interfaces=OPERATOR))
    texts = {name: text for one in found for name, text in one["data"].items()}
    assert {name: json.loads(text) for name, text in texts.items()} == {
        f"seawall-{board.name}.json": json.loads(render(board)) for board in BOARDS
    }
    for one in found:
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert one["metadata"]["annotations"]["grafana_folder"] == "Seawall"


def test_both_ways_of_scraping_attach_the_same_labels() -> None:
    documents = rendered(files=[SHAPE], interfaces=OPERATOR)
    (monitor,) = of_kind(documents, "ServiceMonitor")
    theirs = [
        (one["targetLabel"], one["separator"], one["sourceLabels"])
        for one in monitor["spec"]["endpoints"][0]["relabelings"]
    ]
    data = named(documents, "ConfigMap", "seawall-prometheus")["data"]
    (scrape,) = yaml.safe_load(data["prometheus.yml"])["scrape_configs"]
    keep, *labelled = scrape["relabel_configs"]
    assert (keep["action"], keep["regex"]) == ("keep", "metrics(-[0-9]+)?")
    assert theirs == [
        (one["target_label"], one["separator"], one["source_labels"]) for one in labelled
    ]
    assert [label for label, _, _ in theirs] == ["network", "site", "role", "namespace", "pod"]
    # What they are made of is there: labels of the pods, and the number that Kubernetes adds.
    meta = "__meta_kubernetes_pod_label_"
    sources = {source for _, _, of in theirs for source in of if source.startswith(meta)}
    for one in of_kind(documents, "StatefulSet"):
        labels = {*one["spec"]["template"]["metadata"]["labels"], "apps.kubernetes.io/pod-index"}
        flat = {label.replace(".", "_").replace("/", "_").replace("-", "_") for label in labels}
        assert {source.removeprefix(meta) for source in sources} <= flat


def test_the_bundled_prometheus_scrapes_its_own_release_and_no_other() -> None:
    documents = rendered(bundled(prometheus={"enabled": True}))
    data = named(documents, "ConfigMap", "seawall-prometheus")["data"]
    assert yaml.safe_load(data["rules.yml"]) == yaml.safe_load(render_rules())
    (scrape,) = yaml.safe_load(data["prometheus.yml"])["scrape_configs"]
    assert scrape["job_name"] == NETWORK_JOB
    (found,) = scrape["kubernetes_sd_configs"]
    assert found["namespaces"] == {"names": [NAMESPACE]}
    (selector,) = found["selectors"]
    wanted = dict(pair.split("=") for pair in selector["label"].split(","))
    for one in of_kind(documents, "StatefulSet"):
        assert wanted.items() <= one["spec"]["template"]["metadata"]["labels"].items()
    assert not wanted.items() <= pod_labels(documents, "seawall-prometheus").items()


def pod_labels(documents: list[Document], name: str) -> dict[str, str]:
    labels: dict[str, str] = named(documents, "Deployment", name)["spec"]["template"]["metadata"][
        "labels"
    ]
    return labels


@pytest.mark.skipif(
    not PROMTOOL, reason="promtool is not on the path: on Debian, apt-get install prometheus"
)
def test_its_configuration_is_one_of_prometheus(tmp_path: Path) -> None:
    data = named(rendered(bundled(prometheus={"enabled": True})), "ConfigMap", "seawall-prometheus")
    for name, text in data["data"].items():
        (tmp_path / name).write_text(text)
    configuration = yaml.safe_load((tmp_path / "prometheus.yml").read_text("utf-8"))
    for scrape in configuration["scrape_configs"]:
        # Debian builds Prometheus without the part that asks Kubernetes.
        del scrape["kubernetes_sd_configs"]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    command = [PROMTOOL, "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_may_look_at_pods_of_its_namespace_and_do_nothing_else() -> None:
    documents = rendered(files=[SHAPE])
    assert not of_kind(documents, "ClusterRole", "ClusterRoleBinding")
    assert set(with_a_token(documents)) == {"seawall-pki", "seawall-prometheus"}
    role = named(documents, "Role", "seawall-prometheus")
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
    ]


def test_bundled_programs_are_restricted_and_bounded() -> None:
    documents = rendered(files=[SHAPE])
    assert list(unrestricted(documents)) == []
    assert list(doubles(documents)) == []
    pod = dict(pods(documents))["seawall-prometheus"]
    (container,) = pod["containers"]
    assert "--storage.tsdb.retention.size=512MB" in container["args"]
    (data,) = [one for one in pod["volumes"] if one["name"] == "data"]
    assert data["persistentVolumeClaim"] == {"claimName": "seawall-prometheus"}
    claim = named(documents, "PersistentVolumeClaim", "seawall-prometheus")
    assert claim["spec"]["resources"]["requests"]["storage"] == "2Gi"
    alone = dict(pods(rendered(bundled(prometheus={"enabled": True}))))["seawall-prometheus"]
    (data,) = [one for one in alone["volumes"] if one["name"] == "data"]
    assert data["emptyDir"] == {"sizeLimit": "1Gi"}


def test_every_worker_of_ingestion_is_scraped() -> None:
    workers = {"roles": {"ingestion": {"workers": 3}}, "redis": {"mode": "bundled"}}
    documents = rendered(workers, files=[SHAPE], interfaces=OPERATOR)
    offered = {
        port["name"]: port["containerPort"]
        for name, pod in pods(documents)
        if "-ingestion-" in name
        for container in pod["containers"]
        for port in container.get("ports", ())
        if port["name"].startswith("metrics")
    }
    assert sorted(offered) == ["metrics", "metrics-1", "metrics-2"]
    data = named(documents, "ConfigMap", "seawall-prometheus")["data"]
    (scrape,) = yaml.safe_load(data["prometheus.yml"])["scrape_configs"]
    assert all(re.fullmatch(scrape["relabel_configs"][0]["regex"], name) for name in offered)
    asked = named(documents, "NetworkPolicy", "seawall-prometheus")["spec"]["egress"][0]
    assert [port["port"] for port in asked["ports"]] == sorted(offered.values())
    (monitor,) = of_kind(documents, "ServiceMonitor")
    assert [one["port"] for one in monitor["spec"]["endpoints"]] == sorted(offered)
    service = named(documents, "Service", "seawall-ingestion")
    assert offered.items() <= {one["name"]: one["port"] for one in service["spec"]["ports"]}.items()


def test_policies_let_them_ask_what_they_need() -> None:
    documents = rendered(files=[SHAPE])
    for role in ("ledger", "integrity", "consensus", "ingestion", "aggregation"):
        rules = named(documents, "NetworkPolicy", f"seawall-{role}")["spec"]["ingress"]
        (metrics,) = [one for one in rules if one["ports"][0]["port"] == METRICS]
        assert callers(metrics["from"]) == ["prometheus"]
    asked = named(documents, "NetworkPolicy", "seawall-prometheus")["spec"]
    assert [[port["port"] for port in one["ports"]] for one in asked["egress"]] == [
        [METRICS],
        [443, 6443],
    ]
    assert callers(asked["ingress"][0]["from"]) == [None, "grafana"]
    looks = named(documents, "NetworkPolicy", "seawall-grafana")["spec"]
    assert [[port["port"] for port in one["ports"]] for one in looks["egress"]] == [[9090]]
    assert callers(looks["egress"][0]["to"]) == ["prometheus"]
    other = rendered(bundled(grafana={"enabled": True, "dataSource": "http://mine:9090"}))
    assert named(other, "NetworkPolicy", "seawall-grafana")["spec"]["egress"] == [{}]


def callers(peers: list[Document]) -> list[str | None]:
    return [one["podSelector"]["matchLabels"].get(COMPONENT) for one in peers]


def test_grafana_is_given_its_data_source_and_every_dashboard() -> None:
    documents = rendered(files=[SHAPE])
    data = named(documents, "ConfigMap", "seawall-grafana")["data"]
    (source,) = yaml.safe_load(data["datasource.yaml"])["datasources"]
    service = named(documents, "Service", "seawall-prometheus")
    (port,) = service["spec"]["ports"]
    assert source["url"] == f"http://{service['metadata']['name']}:{port['port']}"
    assert source["type"] == "prometheus"
    (provider,) = yaml.safe_load(data["provider.yaml"])["providers"]
    pod = dict(pods(documents))["seawall-grafana"]
    (container,) = pod["containers"]
    mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    assert mounts["dashboards"] == provider["options"]["path"]
    (volume,) = [one for one in pod["volumes"] if one["name"] == "dashboards"]
    held = [one["configMap"]["name"] for one in volume["projected"]["sources"]]
    assert sorted(held) == sorted(one["metadata"]["name"] for one in dashboards(documents))
    assert len(held) == len(BOARDS)


@pytest.mark.parametrize("secret", ["", "grafana-admin"])
def test_nobody_gets_in_with_a_password_that_everybody_knows(secret: str) -> None:
    values = {"enabled": True, "dataSource": "http://mine:9090", "adminSecret": secret}
    (container,) = dict(pods(rendered(bundled(grafana=values))))["seawall-grafana"]["containers"]
    variables = {one["name"]: one for one in container["env"]}
    assert variables["GF_AUTH_ANONYMOUS_ORG_ROLE"]["value"] == "Viewer"
    if secret:
        password = variables["GF_SECURITY_ADMIN_PASSWORD"]["valueFrom"]["secretKeyRef"]
        assert password == {"name": secret, "key": "password"}
    else:
        assert variables["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"]["value"] == "true"
        assert "GF_SECURITY_ADMIN_PASSWORD" not in variables
