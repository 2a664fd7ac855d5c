"""Workers of a site's ingestion in the chart, and the Redis that they share."""

import re
from typing import Any

import pytest

from seawall.config import PORT_NAMES, WORKERS_MAX, SiteConfig
from seawall.ingestion.config import RedisSettings
from tests.chart.chart import (
    Document,
    edges,
    needs_helm,
    of_kind,
    pods,
    policy_ports,
    rendered,
    site_pods,
)

pytestmark = needs_helm

WORKERS = 3
BUNDLED = {"roles": {"ingestion": {"workers": WORKERS}}, "redis": {"mode": "bundled"}}
EXTERNAL = {
    "roles": {"ingestion": {"workers": 2}},
    "redis": {"mode": "external", "external": {"host": "cache.lab", "secret": "cache"}},
}
BASE = 7000
REDIS = 6379


def settings_of(documents: list[Document]) -> dict[str, str]:
    (found,) = [
        one["data"]
        for one in of_kind(documents, "ConfigMap")
        if one["metadata"]["name"].endswith("-settings")
    ]
    return {str(name): str(text) for name, text in found.items()}


def test_workers_share_the_port_for_clients_and_no_other() -> None:
    apart = SiteConfig.model_fields["worker_ports"].default
    containers = site_pods(rendered(BUNDLED))["seawall-ingestion-core"]["containers"]
    assert [one["name"] for one in containers] == ["ingestion", "ingestion-1", "ingestion-2"]
    for worker, one in enumerate(containers):
        suffix = f"-{worker}" if worker else ""
        wanted = {
            f"{name}{suffix}": BASE + apart * worker + offset
            for offset, name in enumerate(PORT_NAMES)
            if name != "client"
        }
        if not worker:
            wanted["client"] = BASE
        assert {port["name"]: port["containerPort"] for port in one["ports"]} == wanted
        health = wanted[f"health{suffix}"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert one[probe]["grpc"]["port"] == health


def test_one_worker_is_as_it_was_and_has_no_redis() -> None:
    documents = rendered()
    (container,) = site_pods(documents)["seawall-ingestion-core"]["containers"]
    assert "--worker" not in container["args"]
    assert "redis" not in str(settings_of(documents))
    assert not [name for name, _ in pods(documents) if "redis" in name]


def test_a_site_has_a_redis_of_its_own_that_writes_before_it_answers() -> None:
    values: dict[str, Any] = {
        **BUNDLED,
        "pools": [
            {"name": "a", "replicas": 3, "zone": "a", "nodeSelector": {"pool": "edge"}},
            {"name": "b", "replicas": 1, "zone": "b", "storageClassName": "slow"},
        ],
    }
    documents = rendered(values)
    sets = {one["metadata"]["name"]: one["spec"] for one in of_kind(documents, "StatefulSet")}
    urls = [
        re.search(r'url = "redis://([^:"]+):6379/0"', text)
        for text in settings_of(documents).values()
    ]
    hosts = [found[1].split(".") for found in urls if found]
    assert [host[0] for host in hosts] == [
        *(f"seawall-redis-a-{number}" for number in range(3)),
        "seawall-redis-b-0",
    ]
    for name, service, *_ in hosts:
        owner, _, number = name.rpartition("-")
        assert sets[owner]["serviceName"] == service == "seawall-redis"
        assert int(number) < sets[owner]["replicas"]
    pod = sets["seawall-redis-a"]["template"]["spec"]
    assert pod["nodeSelector"] == {"pool": "edge"}
    args = pod["containers"][0]["args"]
    pairs = dict(zip(args[1::2], args[2::2], strict=True))
    assert pairs["--appendonly"] == "yes"
    assert pairs["--appendfsync"] == "always"
    assert pairs["--maxmemory-policy"] == "noeviction"
    (claim,) = sets["seawall-redis-b"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "slow"


def test_redis_talks_to_ingestion_and_nobody_else() -> None:
    documents = rendered(BUNDLED)
    assert policy_ports(documents)["seawall-redis"] == {REDIS}
    outgoing = edges(documents, "egress")
    assert edges(documents, "ingress") == outgoing
    assert {edge for edge in outgoing if "redis" in edge} == {("ingestion", "redis", REDIS)}
    (policy,) = [
        one
        for one in of_kind(documents, "NetworkPolicy")
        if one["metadata"]["name"] == "seawall-redis"
    ]
    assert policy["spec"]["egress"] == []


def test_metrics_of_every_worker_may_be_read() -> None:
    values = {**BUNDLED, "networkPolicy": {"metrics": [{"podSelector": {}}]}}
    opened = policy_ports(rendered(values))
    assert {7003, 7013, 7023} <= opened["seawall-ingestion"]
    assert 7013 not in opened["seawall-ledger"]


def test_a_redis_elsewhere_is_reached_with_its_password() -> None:
    documents = rendered(EXTERNAL)
    for text in settings_of(documents).values():
        assert 'url = "redis://cache.lab:6379/0"' in text
        assert 'password_file = "/etc/seawall/keys/redis.password"' in text
    pod = site_pods(documents)["seawall-ingestion-core"]
    (keys,) = [one for one in pod["volumes"] if one["name"] == "keys"]
    (secret,) = [
        one["secret"] for one in keys["projected"]["sources"] if one["secret"]["name"] == "cache"
    ]
    assert secret["items"][1] == {"key": "password", "path": "1/redis.password"}
    assert not [name for name, _ in pods(documents) if "redis" in name]
    assert REDIS in policy_ports(documents)["seawall-ingestion"]


@pytest.mark.parametrize("tls", [False, True])
def test_addresses_are_those_that_the_code_takes(tls: bool) -> None:  # noqa: FBT001 - a value
    values: dict[str, Any] = {
        "redis": {"mode": "external", "external": {"host": "cache.lab", "tls": tls, "database": 2}}
    }
    (url, *_) = re.findall(r'url = "([^"]+)"', str(settings_of(rendered(values))))
    assert url == f"redis{'s' * tls}://cache.lab:6379/2"
    assert RedisSettings.model_validate({"url": url}).password_file is None


def test_the_schema_has_the_limit_of_the_code() -> None:
    documents = rendered(
        {"roles": {"ingestion": {"workers": WORKERS_MAX}}, "redis": {"mode": "bundled"}}
    )
    assert len(site_pods(documents)["seawall-ingestion-core"]["containers"]) == WORKERS_MAX
