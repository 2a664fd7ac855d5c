"""Asking an API server, by a small one of our own over real HTTPS."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seawall.errors import OperationalError
from seawall.runtime.certificates import make_certificate
from seawall.testbed.cluster import CONFIG_MAP, SECRET
from seawall.testbed.cluster_api import POD
from tests.unit.testbed.api_server import LAB, ApiServer, Pod, new_handler, serving


@pytest.fixture
def handler() -> type[ApiServer]:
    return new_handler()


@pytest.fixture
def pod(tmp_path: Path, handler: type[ApiServer]) -> Iterator[Pod]:
    with serving(tmp_path, handler) as one:
        yield one


def secret(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": SECRET, "metadata": {"name": name}, "data": {"a": "Yg=="}}


def test_what_is_created_can_be_read(pod: Pod, handler: type[ApiServer]) -> None:
    objects = pod.objects()
    assert objects.read(SECRET, "keys") is None
    objects.create(secret("keys"))
    assert objects.read(SECRET, "keys") == secret("keys")
    assert objects.read(CONFIG_MAP, "keys") is None
    objects.create({**secret("map"), "kind": CONFIG_MAP})
    assert list(handler.held) == [
        "/api/v1/namespaces/lab/secrets/keys",
        "/api/v1/namespaces/lab/configmaps/map",
    ]


def test_nothing_is_overwritten(pod: Pod) -> None:
    pod.objects().create(secret("keys"))
    with pytest.raises(OperationalError, match=r"PKI_API.*creating Secret keys: 409.*exists"):
        pod.objects().create({**secret("keys"), "data": {}})
    assert pod.objects().read(SECRET, "keys") == secret("keys")


def test_a_refusal_says_what_the_server_says(pod: Pod) -> None:
    (pod.home / "token").write_text("somebody else")
    with pytest.raises(OperationalError, match=r"PKI_API.*reading Secret keys: 401 Unauthorized"):
        pod.objects().read(SECRET, "keys")


def test_a_server_of_another_authority_is_not_asked(pod: Pod) -> None:
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    other = make_certificate("api", ("127.0.0.1",), not_before=yesterday)[1]
    (pod.home / "ca.crt").write_bytes(other)
    with pytest.raises(OperationalError, match=r"PKI_API.*does not answer.*CERTIFICATE_VERIFY"):
        pod.objects().read(SECRET, "keys")


def test_an_answer_that_is_no_json_is_refused(pod: Pod, handler: type[ApiServer]) -> None:
    handler.broken = True
    with pytest.raises(OperationalError, match=r"PKI_API.*does not answer"):
        pod.objects().read(SECRET, "keys")


@pytest.mark.parametrize("missing", ["KUBERNETES_SERVICE_HOST", "token", "ca.crt"])
def test_outside_of_a_cluster_it_says_so(tmp_path: Path, missing: str) -> None:
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    pod = Pod(tmp_path, 1, make_certificate("api", ("127.0.0.1",), not_before=yesterday)[1])
    pod.environment.pop(missing, None)
    (tmp_path / missing).unlink(missing_ok=True)
    with pytest.raises(OperationalError, match=r"PKI_API.*not in a pod"):
        pod.objects()


def test_an_object_is_replaced_only_where_it_is(pod: Pod) -> None:
    changed = {**secret("keys"), "data": {"b": "Yg=="}}
    with pytest.raises(OperationalError, match=r"PKI_API.*replacing Secret keys: 404"):
        pod.objects().replace(changed)
    pod.objects().create(secret("keys"))
    pod.objects().replace(changed)
    assert pod.objects().read(SECRET, "keys") == changed


def test_pods_are_found_by_label_deleted_and_evicted(pod: Pod, handler: type[ApiServer]) -> None:
    for name, site in (("a", "true"), ("b", "true"), ("c", "false")):
        metadata = {"name": name, "labels": {"seawall.dev/site": site}}
        handler.held[f"{LAB}/pods/{name}"] = {"metadata": metadata}
    objects = pod.objects()
    names = [one["metadata"]["name"] for one in objects.pods("seawall.dev/site=true")]
    assert names == ["a", "b"]
    assert objects.delete(POD, "a", grace_seconds=0)
    assert not objects.delete(POD, "a", grace_seconds=0)
    handler.guarded = ("b",)
    assert not objects.evict("b")
    assert f"{LAB}/pods/b" in handler.held
    handler.guarded = ()
    assert objects.evict("b")
    assert objects.evict("b"), "a pod that is gone needs no eviction"
    assert list(handler.held) == [f"{LAB}/pods/c"]


def test_labels_of_the_namespace_are_read(pod: Pod, handler: type[ApiServer]) -> None:
    with pytest.raises(OperationalError, match=r"PKI_API.*reading namespace lab: 404"):
        pod.objects().labels_of_namespace()
    handler.held[LAB] = {"metadata": {"name": "lab", "labels": {"seawall.dev/chaos": "enabled"}}}
    assert pod.objects().labels_of_namespace() == {"seawall.dev/chaos": "enabled"}
