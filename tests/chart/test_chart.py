"""The chart renders for every supported shape, refuses what cannot run, and says what code says."""

import importlib
import re
import tomllib
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from seawall.config import PORT_NAMES, check, load
from seawall.ingestion.config import IngestionSettings
from seawall.runtime.serve import PROCESS_ENVIRONMENT
from seawall.runtime.service import ROLES
from seawall.testbed.cluster import make_manifests, read_plan
from tests.chart.chart import (
    CHART,
    NAMESPACE,
    PROGRAMS,
    Document,
    doubles,
    edges,
    helm,
    needs_helm,
    of_kind,
    pods,
    policy_ports,
    rendered,
    site_pods,
    template,
    unrestricted,
    with_a_token,
)
from tests.tidy.checkout import ROOT

pytestmark = needs_helm

SHAPES = [*sorted(CHART.glob("ci/*-values.yaml")), CHART / "values-edge.yaml"]
BASE = 7000
PORTS = {name: BASE + offset for offset, name in enumerate(PORT_NAMES)}
FRAMES = BASE + len(PORT_NAMES)
"""Frames come after the ports that every process has."""

HTTP = FRAMES + 1
LOADED = {"loadtest": {"enabled": True}}
WEB = {"http": {"enabled": True}}

SWITCHES: dict[str, dict[str, Any]] = {
    "policies": {"networkPolicy": {"enabled": False}},
    "budgets": {"podDisruptionBudget": {"enabled": False}},
    "keys": {"keys": {"mode": "existingSecret"}},
    "prefix": {"keys": {"prefix": "north-sea"}},
    "async": {"network": {"protocol": "async"}},
    "private": {"image": {"pullSecrets": ["registry"]}},
    "clients": {"networkPolicy": {"clients": [{"podSelector": {}}]}},
    "metrics": {"networkPolicy": {"metrics": [{"namespaceSelector": {}}]}},
    "prometheus": {"monitoring": {"bundled": {"prometheus": {"enabled": True}}}},
    "grafana": {
        "monitoring": {"bundled": {"grafana": {"enabled": True, "dataSource": "http://mine:9090"}}}
    },
    "workers": {"roles": {"ingestion": {"workers": 2}}, "redis": {"mode": "bundled"}},
    "settings": {"roles": {"consensus": {"settings": {"heartbeat_seconds": 1.5}}}},
    "http": WEB,
    "load": LOADED,
    "chaos": {"chaos": {"enabled": True, "experiments": {"one.yaml": "kind: Experiment"}}},
    "pools": {
        "pools": [
            {"name": "a", "replicas": 3, "zone": "a", "nodeSelector": {"pool": "edge"}},
            {"name": "b", "replicas": 4, "zone": "b", "tolerations": [{"operator": "Exists"}]},
        ]
    },
}


def merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Return both values, the second over the first."""
    both = dict(first)
    for key, value in second.items():
        own = both.get(key)
        nested = isinstance(own, dict) and isinstance(value, dict)
        both[key] = merged(own, value) if nested and own is not None else value
    return both


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("shape", [None, *SHAPES], ids=lambda path: path.stem if path else "none")
def test_every_shape_is_linted_and_rendered(program: str, shape: Path | None) -> None:
    files = [shape] if shape else []
    done = helm(
        program, "lint", "--strict", CHART, *(word for one in files for word in ("-f", one))
    )
    assert done.returncode == 0, done.stdout + done.stderr
    documents = rendered(files=files, program=program)
    assert list(unrestricted(documents)) == []
    assert list(doubles(documents)) == []


@pytest.mark.parametrize("pair", [*combinations(SWITCHES, 2)], ids="+".join)
def test_every_pair_of_switches_is_rendered(pair: tuple[str, str]) -> None:
    first, second = pair
    documents = rendered(merged(SWITCHES[first], SWITCHES[second]))
    assert list(unrestricted(documents)) == []
    assert list(doubles(documents)) == []
    # A site is a pod of each role, whatever else is switched.
    sets = of_kind(documents, "StatefulSet")
    sites = 7 if "pools" in pair else 4
    kinds = len(ROLES) + ("workers" in pair)
    assert sum(one["spec"]["replicas"] for one in sets) == sites * kinds


THREE = [{"name": "core", "replicas": 3, "zone": "core"}]
TWINS = [{"name": "core", "replicas": 3, "zone": "core"}] * 2
ODD = [{"name": "core", "replicas": 4, "zone": "core", "colour": "blue"}]
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"colour": "blue"}, "colour"),
    ({"image": {"colour": "blue"}}, "colour"),
    ({"roles": {"explorer": {}}}, "explorer"),
    ({"pools": ODD}, "colour"),
    ({"pools": THREE}, "pools: 3 sites tolerate no faulty one"),
    ({"pools": TWINS}, 'two pools are named "core"'),
    ({"pools": []}, "pools"),
    ({"pools": [{"name": "core", "replicas": 4}]}, "zone"),
    ({"pools": [{"name": "Core", "replicas": 4, "zone": "core"}]}, "name"),
    ({"pools": [{"name": "core", "replicas": "4", "zone": "core"}]}, "replicas"),
    ({"network": {"protocol": "hotstuff"}}, "protocol"),
    ({"network": {"waveLength": 3}}, "waveLength"),
    ({"keys": {"mode": "certManager"}}, "mode"),
    ({"roles": {"integrity": {"storage": "1Gi"}}}, "storage"),
    ({"roles": {"ledger": {"resources": {"limits": {"memory": "lots"}}}}}, "memory"),
    ({"roles": {"ingestion": {"workers": 2}}}, "mode"),
    ({"roles": {"ingestion": {"workers": 9}}, "redis": {"mode": "bundled"}}, "workers"),
    ({"roles": {"ledger": {"workers": 2}}}, "workers"),
    ({"redis": {"mode": "sentinel"}}, "mode"),
    ({"redis": {"mode": "external"}}, "host"),
    ({"redis": {"mode": "external", "external": {"host": "redis://there"}}}, "host"),
    ({"redis": {"memoryMiB": "128mb"}}, "memoryMiB"),
    ({"logLevel": "loud"}, "logLevel"),
    ({"monitoring": {"bundled": {"prometheus": {"retentionSize": "lots"}}}}, "retentionSize"),
    ({"monitoring": {"bundled": {"grafana": {"enabled": True}}}}, "grafana.dataSource: name a"),
    ({"monitoring": {"operator": {"colour": "blue"}}}, "colour"),
    ({"fullnameOverride": "a-name-that-is-much-too-long"}, "fullnameOverride"),
    ({"networkPolicy": {"apiServerPorts": [70_000]}}, "apiServerPorts"),
    ({"http": {"enabled": "yes"}}, "enabled"),
    ({"loadtest": {"shape": "square"}}, "shape"),
    ({"loadtest": {"maliciousShare": 1.5}}, "maliciousShare"),
    ({"loadtest": {"users": 0}}, "users"),
    ({"loadtest": {"colour": "blue"}}, "colour"),
    ({"chaos": {"schedule": "sometimes"}}, "schedule"),
    ({"chaos": {"experiments": {"one": "text"}}}, "one"),
    ({"chaos": {"deadlineSeconds": 5}}, "deadlineSeconds"),
]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(("values", "named"), REFUSED)
def test_wrong_values_are_refused_by_name(program: str, values: dict[str, Any], named: str) -> None:
    done = template(values, program=program)
    assert done.returncode != 0
    assert named in done.stderr


def test_only_the_job_that_makes_keys_has_a_token() -> None:
    assert with_a_token(rendered()) == ["seawall-pki"]
    assert with_a_token(rendered({"keys": {"mode": "existingSecret"}})) == []


def test_without_chaos_nothing_of_it_is_there_and_with_it_only_its_runner_gains_a_token() -> None:
    plain = rendered()
    assert not of_kind(plain, "CronJob")
    assert "chaos" not in str(plain)
    documents = rendered(SWITCHES["chaos"])
    assert sorted(with_a_token(documents)) == ["seawall-chaos", "seawall-pki"]
    (job,) = of_kind(documents, "CronJob")
    assert job["spec"]["suspend"] is True
    assert list(unrestricted(documents)) == []
    (scheduled,) = of_kind(rendered(files=[CHART / "ci" / "chaos-values.yaml"]), "CronJob")
    assert scheduled["spec"]["suspend"] is False


def test_the_runner_may_do_what_it_needs_in_its_namespace_alone() -> None:
    documents = rendered(SWITCHES["chaos"])
    assert not of_kind(documents, "ClusterRole", "ClusterRoleBinding")
    (role,) = [one for one in of_kind(documents, "Role") if "chaos" in one["metadata"]["name"]]
    granted = {
        (name, verb)
        for rule in role["rules"]
        for name in rule["resources"]
        for verb in rule["verbs"]
    }
    assert ("secrets", "get") not in granted
    assert not {verb for name, verb in granted if verb == "*"}
    assert {name for name, _ in granted} == {
        "namespaces",
        "pods",
        "pods/eviction",
        "persistentvolumeclaims",
        "networkpolicies",
        "configmaps",
    }


def test_a_pod_is_cut_off_by_a_label() -> None:
    policies = {
        one["metadata"]["name"]: one["spec"] for one in of_kind(rendered(), "NetworkPolicy")
    }
    cut = [{"key": "seawall.dev/cut", "operator": "DoesNotExist"}]
    for role in ROLES:
        assert policies[f"seawall-{role}"]["podSelector"]["matchExpressions"] == cut
    # What denies everything still holds for it.
    assert "matchExpressions" not in policies["seawall-default-deny"]["podSelector"]


def test_each_role_is_served_at_the_ports_of_the_code() -> None:
    documents = rendered()
    services = {one["metadata"]["name"]: one["spec"] for one in of_kind(documents, "Service")}
    for role in ROLES:
        wanted = {**PORTS, **({"frames": FRAMES} if role == "consensus" else {})}
        (container,) = site_pods(documents)[f"seawall-{role}-core"]["containers"]
        assert {one["name"]: one["containerPort"] for one in container["ports"]} == wanted
        service = services[f"seawall-{role}"]
        assert {one["name"]: one["port"] for one in service["ports"]} == wanted
        assert service["publishNotReadyAddresses"] is True
        assert service["clusterIP"] == "None"
        for probe, name in (
            ("startupProbe", "liveness"),
            ("livenessProbe", "liveness"),
            ("readinessProbe", "readiness"),
        ):
            assert container[probe]["grpc"] == {"port": PORTS["health"], "service": name}


def test_policies_open_the_ports_of_the_code_and_no_others() -> None:
    found = policy_ports(rendered(SWITCHES["metrics"]))
    names = {53}
    opened = {PORTS["client"], PORTS["peer"], PORTS["metrics"]}
    assert found == {
        "seawall-default-deny": set(),
        "seawall-names": names,
        "seawall-ledger": opened,
        "seawall-integrity": opened,
        "seawall-consensus": {*opened, FRAMES},
        "seawall-ingestion": opened,
        "seawall-aggregation": opened,
        "seawall-test": {PORTS["client"]},
        "seawall-pki": {443, 6443},
    }
    assert all(PORTS["metrics"] not in ports for ports in policy_ports(rendered()).values())


def test_every_edge_is_open_at_both_ends() -> None:
    documents = rendered()
    outgoing = edges(documents, "egress")
    assert edges(documents, "ingress") == outgoing
    assert ("consensus", "consensus", FRAMES) in outgoing
    assert {port for _, _, port in outgoing} == {PORTS["peer"], FRAMES}


def test_processes_get_the_environment_of_the_code() -> None:
    for pod in site_pods(rendered()).values():
        variables = {one["name"]: one.get("value") for one in pod["containers"][0]["env"]}
        assert {key: variables[key] for key in PROCESS_ENVIRONMENT} == dict(PROCESS_ENVIRONMENT)
        assert set(variables) == {*PROCESS_ENVIRONMENT, "POD_INDEX"}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda path: path.stem)
def test_settings_are_those_that_the_code_reads(shape: Path, tmp_path: Path) -> None:
    documents = rendered(files=[shape])
    (settings,) = [one for one in of_kind(documents, "ConfigMap") if "settings" in str(one)[:200]]
    sites = []
    for name, text in settings["data"].items():
        (tmp_path / name).write_text(text)
        sites.append(load(tmp_path / name, roles=["ledger"]).site)
        for role in ROLES:
            config = load(tmp_path / name, roles=[role])
            assert config.port == BASE
            module = importlib.import_module(f"seawall.{role}.config")
            kind = getattr(module, f"{role.capitalize()}Settings")
            found = check(kind, config.role_settings(role))
            if role == "consensus":
                assert found.frame_address == f"{config.host}:{FRAMES}"
    assert sites == list(range(len(sites)))
    for name, pod in site_pods(documents).items():
        container, *others = pod["containers"]
        role, pool = container["name"], name.partition(f"-{container['name']}-")[2]
        path = f"/etc/seawall/settings/{pool}-$(POD_INDEX).toml"
        assert container["args"] == ["serve", role, "--config", path]
        for number, one in enumerate(others, 1):
            assert one["args"] == [*container["args"], "--worker", str(number)]
        assert f"{pool}-0.toml" in settings["data"]


def references(pod: Document) -> set[tuple[str, str, str]]:
    """Return (kind, name, key) of everything that a pod mounts; no key means all of them."""
    found = set()
    for volume in pod["volumes"]:
        sources = [volume, *volume.get("projected", {}).get("sources", ())]
        for source in sources:
            for kind, field, named in (
                ("Secret", "secret", "secretName"),
                ("Secret", "secret", "name"),
                ("ConfigMap", "configMap", "name"),
            ):
                one = source.get(field, {})
                if named in one:
                    keys = [item["key"] for item in one.get("items", ())]
                    found |= {(kind, one[named], key) for key in keys or [""]}
    return found


@pytest.mark.parametrize("shape", SHAPES, ids=lambda path: path.stem)
def test_what_pods_mount_is_what_is_made(shape: Path, tmp_path: Path) -> None:
    documents = rendered(files=[shape])
    (plan,) = [one for one in of_kind(documents, "ConfigMap") if "plan.json" in one["data"]]
    planned = read_plan(plan["data"]["plan.json"].encode())
    made = [*make_manifests(planned, tmp_path / "network"), *documents]
    held = {
        (one["kind"], one["metadata"]["name"]): {*one.get("data", {}), *one.get("binaryData", {})}
        for one in of_kind(made, "Secret", "ConfigMap")
    }
    values = yaml.safe_load(shape.read_text("utf-8"))
    brought = {
        ("Secret", values.get("test", {}).get("secret")),
        ("Secret", values.get("redis", {}).get("external", {}).get("secret")),
    }
    for name, pod in pods(documents):
        for kind, referred, key in references(pod):
            if (kind, referred) not in brought:
                assert (kind, referred) in held, name
                assert not key or key in held[kind, referred], f"{name}: {key}"
    names = {one["metadata"]["name"]: one["spec"] for one in of_kind(documents, "StatefulSet")}
    for site in planned.sites:
        for role, host in site.hosts.items():
            pod_name, service, namespace, *_ = host.split(".")
            owner, _, number = pod_name.rpartition("-")
            assert names[owner]["serviceName"] == service
            assert int(number) < names[owner]["replicas"]
            assert namespace == NAMESPACE
            assert owner == f"{service}-{site.pool}"
            assert service.endswith(f"-{role}")


@pytest.mark.parametrize(("sites", "faulty"), [(4, 1), (6, 1), (7, 2), (10, 3)])
def test_a_budget_spans_all_pools_and_gives_no_more_than_f(sites: int, faulty: int) -> None:
    values = {
        "pools": [
            {"name": "a", "replicas": sites - 2, "zone": "a"},
            {"name": "b", "replicas": 2, "zone": "b"},
        ]
    }
    budgets = of_kind(rendered(values), "PodDisruptionBudget")
    component = "app.kubernetes.io/component"
    assert [one["spec"]["selector"]["matchLabels"][component] for one in budgets] == list(ROLES)
    for one in budgets:
        assert one["spec"]["maxUnavailable"] == faulty
        assert "seawall.dev/pool" not in one["spec"]["selector"]["matchLabels"]


def test_sites_start_all_at_once_and_stay_apart() -> None:
    for one in of_kind(rendered(), "StatefulSet"):
        assert one["spec"]["podManagementPolicy"] == "Parallel"
        (spread,) = one["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert spread["whenUnsatisfiable"] == "ScheduleAnyway"


def test_a_pod_sees_the_keys_of_its_own_site_only() -> None:
    for pod in site_pods(rendered()).values():
        (mount,) = [one for one in pod["containers"][0]["volumeMounts"] if one["name"] == "keys"]
        assert mount["subPathExpr"] == "$(POD_INDEX)"
        (volume,) = [one for one in pod["volumes"] if one["name"] == "keys"]
        assert volume["projected"]["defaultMode"] == 0o400


def test_every_rule_finds_what_is_planted() -> None:
    documents = rendered()
    ledger = site_pods(documents)["seawall-ledger-core"]
    ledger["containers"][0]["securityContext"]["readOnlyRootFilesystem"] = False
    ledger["hostNetwork"] = True
    assert set(unrestricted(documents)) == {
        "seawall-ledger-core: readOnlyRootFilesystem",
        "seawall-ledger-core: hostNetwork",
    }
    ledger["containers"][0]["env"].append({"name": "POD_INDEX", "value": "0"})
    assert set(doubles(documents)) == {"seawall-ledger-core: env: POD_INDEX"}
    assert set(doubles([*documents, documents[0]]))
    del ledger["automountServiceAccountToken"]
    assert "seawall-ledger-core" in with_a_token(documents)
    policies = of_kind(documents, "NetworkPolicy")
    (consensus,) = [one for one in policies if one["metadata"]["name"] == "seawall-consensus"]
    consensus["spec"]["egress"].pop()
    assert edges(documents, "ingress") != edges(documents, "egress")


def of_component(documents: list[Document], name: str) -> list[Document]:
    """Return the documents that belong to one component."""
    label = "app.kubernetes.io/component"
    return [one for one in documents if one["metadata"].get("labels", {}).get(label) == name]


def test_http_is_served_where_it_is_switched_on_and_nowhere_else() -> None:
    without = rendered()
    assert all(HTTP not in ports for ports in policy_ports(without).values())
    documents = rendered(WEB)
    (service,) = of_kind(of_component(documents, "ingestion"), "Service")
    assert {one["name"]: one["port"] for one in service["spec"]["ports"]} == {**PORTS, "http": HTTP}
    (container,) = site_pods(documents)["seawall-ingestion-core"]["containers"]
    assert {one["name"]: one["containerPort"] for one in container["ports"]}["http"] == HTTP
    opened = {name for name, ports in policy_ports(documents).items() if HTTP in ports}
    assert opened == {"seawall-ingestion"}
    (settings,) = [
        one
        for one in of_kind(documents, "ConfigMap")
        if one["metadata"]["name"].endswith("settings")
    ]
    read = tomllib.loads(settings["data"]["core-0.toml"])
    assert check(IngestionSettings, read["ingestion"]).http_address == f"0.0.0.0:{HTTP}"


def test_the_load_job_says_what_the_load_test_understands() -> None:
    assert of_kind(of_component(rendered(), "load"), "Job") == []
    documents = rendered(merged(WEB, LOADED))
    (job,) = of_kind(of_component(documents, "load"), "Job")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    given = dict(one.partition("=")[::2] for one in container["args"])
    declared = re.findall(r'"(--[a-z-]+)"', (ROOT / "loadtest" / "locustfile.py").read_text())
    of_locust = {"--users", "--spawn-rate", "--run-time", "--stop-timeout", "--only-summary"}
    assert set(given) - of_locust <= set(declared)
    assert given["--http-port"] == str(HTTP)
    assert job["spec"]["activeDeadlineSeconds"] > int(given["--run-time"].removesuffix("s"))
    (policy,) = [
        one
        for one in of_kind(documents, "NetworkPolicy")
        if one["metadata"]["name"].endswith("load")
    ]
    (rule,) = policy["spec"]["egress"]
    assert [one["port"] for one in rule["ports"]] == [PORTS["client"], HTTP]


def test_other_values_are_another_load_job() -> None:
    names = {
        job["metadata"]["name"]
        for seed in (1, 2)
        for job in of_kind(
            of_component(rendered({"loadtest": {"enabled": True, "seed": seed}}), "load"), "Job"
        )
    }
    assert len(names) == 2
