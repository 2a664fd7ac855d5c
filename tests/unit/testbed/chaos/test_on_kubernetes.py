"""Killing pods and keeping a journal, at a small API server over real HTTPS."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seawall.chaos.runner.injection import Injection
from seawall.chaos.runner.planning import KILL, WIPE
from seawall.chaos.runner.records import Ended, Entered, Intended, Reverted, outstanding
from seawall.client import Chain
from seawall.errors import LocalError, OperationalError
from seawall.runtime.service import ROLES
from seawall.testbed.chaos.cluster import journal_of
from seawall.testbed.chaos.cluster_journal import BYTES_MAX, JOURNAL, VERDICT
from seawall.testbed.chaos.cluster_sites import ClusterSites, require_allowed
from seawall.testbed.chaos.pods import PodActuator, PodProbe, evict
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.genesis_maker import NetworkPlan, make_network
from seawall.testbed.tasks import digits_task
from tests.unit.testbed.api_server import LAB, ApiServer, Pod, new_handler, serving

SITES = 4
SELECTOR = "app.kubernetes.io/instance=sea"
SECONDS_MAX = 60.0


@pytest.fixture
def handler() -> type[ApiServer]:
    return new_handler()


@pytest.fixture
def pod(tmp_path: Path, handler: type[ApiServer]) -> Iterator[Pod]:
    with serving(tmp_path, handler) as one:
        yield one


def pod_name(role: str, site: int) -> str:
    return f"sea-{role}-core-{site}"


def release(tmp_path: Path, pod: Pod, namespace: str = "lab") -> ClusterSites:
    """Return the sites of a release in a namespace, as genesis names their pods."""
    hosts = tuple(
        tuple(f"{pod_name(role, site)}.sea-{role}.{namespace}.svc.cluster.local" for role in ROLES)
        for site in range(SITES)
    )
    plan = NetworkPlan(
        sites=SITES,
        chain="sea",
        port=7000,
        contributors=1,
        tasks=(digits_task(1, contributors=1, interval_ms=1000),),
        role_hosts=hosts,
    )
    made = make_network(tmp_path / "network", plan)
    return ClusterSites(
        NetworkDirectory(tmp_path / "network"),
        Chain.read(made.directory.genesis),
        objects=pod.objects(),
        key_pem=b"",
        certificate_pem=b"",
    )


def start_pods(handler: type[ApiServer], site: int, uid: str = "1") -> None:
    """Let the pods of a site be there and ready, with their volumes."""
    for role in ROLES:
        name = pod_name(role, site)
        handler.held[f"{LAB}/pods/{name}"] = {
            "metadata": {
                "name": name,
                "uid": uid,
                "labels": {"app.kubernetes.io/instance": "sea"},
            },
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }
        handler.held[f"{LAB}/persistentvolumeclaims/data-{name}"] = {"metadata": {"name": name}}


def held(handler: type[ApiServer], plural: str) -> list[str]:
    return [path for path in handler.held if path.startswith(f"{LAB}/{plural}/")]


def injection(site: int, kind: str = KILL) -> Injection:
    return Injection(
        id=f"run/0/{site}",
        fault=0,
        actuator="process",
        kind=kind,
        site=site,
        begin_us=0,
        end_us=1,
    )


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not true():  # noqa: ASYNC110 - a server in another thread
            await asyncio.sleep(0.05)


async def test_a_killed_site_is_kept_away_until_it_is_let_go(
    tmp_path: Path, pod: Pod, handler: type[ApiServer]
) -> None:
    sites = release(tmp_path, pod)
    for site in range(SITES):
        start_pods(handler, site)
    probe = PodProbe(sites, SELECTOR, [2])
    await probe.begin()
    assert not (await probe.look()).is_seen
    async with PodActuator(sites) as actuator:
        await actuator.apply(injection(2), 30)
        assert len(held(handler, "pods")) == (SITES - 1) * len(ROLES)
        assert (await probe.look()).is_seen
        assert await actuator.active(2) == ("run/0/2",)
        # The StatefulSet starts them again.
        start_pods(handler, 2, uid="2")
        await until(lambda: len(held(handler, "pods")) == (SITES - 1) * len(ROLES))
        await actuator.renew(injection(2), 30)
        await actuator.revert(injection(2))
        with pytest.raises(OperationalError, match="CHAOS_HOLD"):
            await actuator.renew(injection(2), 30)
    start_pods(handler, 2, uid="3")
    assert len(held(handler, "pods")) == SITES * len(ROLES)
    assert len(held(handler, "persistentvolumeclaims")) == SITES * len(ROLES)


async def test_a_lost_disk_takes_the_volumes_of_the_site_alone(
    tmp_path: Path, pod: Pod, handler: type[ApiServer]
) -> None:
    sites = release(tmp_path, pod)
    for site in range(SITES):
        start_pods(handler, site)
    async with PodActuator(sites) as actuator:
        await actuator.apply(injection(1, WIPE), 30)
    volumes = held(handler, "persistentvolumeclaims")
    assert len(volumes) == (SITES - 1) * len(ROLES)
    assert not [name for name in volumes if name.endswith("core-1")]


async def test_a_probe_does_not_take_pods_that_never_were_for_killed_ones(
    tmp_path: Path, pod: Pod, handler: type[ApiServer]
) -> None:
    probe = PodProbe(release(tmp_path, pod), SELECTOR, [0])
    await probe.begin()
    assert not (await probe.look()).is_seen
    start_pods(handler, 0)
    assert not (await probe.look()).is_seen


async def test_eviction_tells_which_pods_their_budget_keeps(
    tmp_path: Path, pod: Pod, handler: type[ApiServer]
) -> None:
    sites = release(tmp_path, pod)
    start_pods(handler, 3)
    handler.guarded = (pod_name("ledger", 3),)
    assert await evict(sites, 3) == (pod_name("ledger", 3),)
    assert held(handler, "pods") == [f"{LAB}/pods/{pod_name('ledger', 3)}"]


def test_targets_outside_of_the_namespace_are_refused(tmp_path: Path, pod: Pod) -> None:
    sites = release(tmp_path, pod, namespace="elsewhere")
    with pytest.raises(LocalError, match=r"CHAOS_TARGET.*not in namespace lab"):
        sites.pods(0)


@pytest.mark.parametrize("labels", [{}, {"seawall.dev/chaos": "no"}])
def test_a_namespace_that_does_not_allow_it_is_refused(
    pod: Pod, handler: type[ApiServer], labels: dict[str, str]
) -> None:
    handler.held[LAB] = {"metadata": {"name": "lab", "labels": labels}}
    with pytest.raises(LocalError, match=r"CHAOS_NAMESPACE.*kubectl label namespace lab"):
        require_allowed(pod.objects())
    handler.held[LAB]["metadata"]["labels"] = {"seawall.dev/chaos": "enabled"}
    require_allowed(pod.objects())


async def test_a_journal_outlives_its_runner_and_says_what_may_be_in_force(
    pod: Pod, handler: type[ApiServer]
) -> None:
    journal = journal_of(pod.objects(), "sea", "Kill-Kubernetes-1")
    assert await journal.read() == ()
    records = (
        Entered(at_us=1, phase="hold"),
        Intended(at_us=2, injection=injection(0), lease_seconds=30),
        Intended(at_us=3, injection=injection(1), lease_seconds=30),
        Reverted(at_us=4, id="run/0/0"),
    )
    for record in records:
        await journal.write(record)
    another = journal_of(pod.objects(), "sea", "kill-kubernetes-1")
    found = await another.read()
    assert found == records
    assert [one.site for one in outstanding(found)] == [1]
    await journal.attach(VERDICT, json.dumps({"verdict": "PASS"}))
    await journal.write(Ended(at_us=5, cause="finished"))
    stored: dict[str, Any] = handler.held[f"{LAB}/configmaps/sea-kill-kubernetes-1"]
    assert sorted(stored["data"]) == [JOURNAL, VERDICT]
    assert stored["metadata"]["labels"]["seawall.dev/chaos-run"] == "true"
    assert len(await another.read()) == len(records) + 1


async def test_a_journal_that_is_full_says_so_and_keeps_what_it_has(pod: Pod) -> None:
    journal = journal_of(pod.objects(), "sea", "long")
    await journal.write(Entered(at_us=1, phase="hold"))
    with pytest.raises(OperationalError, match="CHAOS_JOURNAL_FULL"):
        await journal.attach(VERDICT, "x" * BYTES_MAX)
    assert await journal.read() == (Entered(at_us=1, phase="hold"),)
