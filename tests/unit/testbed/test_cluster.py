"""Keys and genesis of a cluster: made once, kept, and never mixed."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from seawall.domain.genesis import Genesis
from seawall.errors import LocalError, OperationalError
from seawall.formats import genesis as genesis_format
from seawall.runtime.coin_key import read_coin_secret
from seawall.runtime.keys import read_key, read_site_secrets
from seawall.runtime.service import ROLES
from seawall.testbed.cluster import (
    CONFIG_MAP,
    SECRET,
    ClusterPlan,
    Manifest,
    as_list,
    ensure,
    make_manifests,
    object_names,
    read_plan,
)
from seawall.testbed.genesis_maker import make_network

Change = Callable[[dict[str, Any]], object]


class Objects:
    """A namespace in memory."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, str], Manifest] = {}

    def read(self, kind: str, name: str) -> Manifest | None:
        """Return what is held."""
        return self.held.get((kind, name))

    def create(self, manifest: Manifest) -> None:
        """Hold it."""
        self.held[manifest["kind"], manifest["metadata"]["name"]] = manifest


def document(**members: object) -> dict[str, Any]:
    sites = [
        {
            "pool": pool,
            "number": number,
            "zone": f"zone-{pool}",
            "hosts": {role: f"{role}-{pool}-{number}.{role}.lab.svc" for role in ROLES},
        }
        for pool in ("north", "south")
        for number in range(2)
    ]
    return {
        "name": "sea",
        "chain": "trial",
        "port": 7000,
        "contributors": 2,
        "labels": {"app.kubernetes.io/instance": "trial"},
        "sites": sites,
        **members,
    }


def plan(**members: object) -> ClusterPlan:
    return read_plan(json.dumps(document(**members)).encode())


def made(place: Path, **members: object) -> tuple[Genesis, Objects]:
    objects = Objects()
    return ensure(plan(**members), objects, lambda: place / "network"), objects


def unpack(secret: Manifest, number: int, place: Path) -> None:
    """Write a site's files as its pod mounts them."""
    place.mkdir(exist_ok=True)
    for name, content in secret["data"].items():
        owner, _, file = name.partition(".")
        if owner == str(number):
            (place / file).write_bytes(base64.b64decode(content))
            (place / file).chmod(0o400)


@pytest.mark.parametrize("protocol", ["sync", "async"])
def test_every_site_finds_its_keys_in_its_pool_s_secrets(tmp_path: Path, protocol: str) -> None:
    genesis, objects = made(tmp_path, protocol=protocol)
    assert genesis.consensus.protocol == protocol
    for site, (pool, number) in enumerate([("north", 0), ("north", 1), ("south", 0), ("south", 1)]):
        place = tmp_path / f"{pool}-{number}"
        for what in ("signing", "tls"):
            unpack(objects.held[SECRET, f"sea-{pool}-{what}"], number, place)
        read_site_secrets(place, genesis, site)
        read_coin_secret(place, genesis, site)
        assert (place / "coin.key").exists() is (protocol == "async")
        assert genesis.sites[site].zone == f"zone-{pool}"
        for role in ROLES:
            host = f"{role}-{pool}-{number}.{role}.lab.svc"
            assert genesis.sites[site].client_address_of(role) == f"{host}:7000"
            assert genesis.sites[site].peer_address_of(role) == f"{host}:7001"


def test_what_signs_is_apart_from_what_connects(tmp_path: Path) -> None:
    _, objects = made(tmp_path)
    assert {name.partition(".")[2] for name in objects.held[SECRET, "sea-north-tls"]["data"]} == {
        "tls.key",
        "tls.crt",
    }
    signing = objects.held[SECRET, "sea-north-signing"]["data"]
    assert not [name for name in signing if "tls" in name]


def test_contributors_base_models_and_root_keys_are_there(tmp_path: Path) -> None:
    genesis, objects = made(tmp_path)
    people = objects.held[SECRET, "sea-contributors"]["data"]
    assert set(people) == {f"{person.name}.key" for person in genesis.contributors}
    place = tmp_path / "contributor.key"
    place.write_bytes(base64.b64decode(people["contributor-00.key"]))
    place.chmod(0o400)
    assert read_key(place).public == genesis.contributors[0].public_key
    payloads = objects.held[CONFIG_MAP, "sea-payloads"]["binaryData"]
    assert list(payloads) == [f"{genesis.tasks[0].base_payload_digest.hex()}.safetensors"]
    assert len(objects.held[SECRET, "sea-root"]["data"]) == len(genesis.root_keys)


def test_every_object_is_kept_labelled_and_never_changed(tmp_path: Path) -> None:
    _, objects = made(tmp_path)
    for manifest in objects.held.values():
        assert manifest["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
        assert manifest["metadata"]["labels"] == {"app.kubernetes.io/instance": "trial"}
        assert manifest["immutable"] is True


def test_genesis_is_created_last(tmp_path: Path) -> None:
    _, objects = made(tmp_path)
    assert list(objects.held)[-1] == (CONFIG_MAP, "sea-genesis")


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    genesis, objects = made(tmp_path)
    before = dict(objects.held)

    def nothing_is_made() -> Path:
        raise AssertionError

    assert ensure(plan(), objects, nothing_is_made) == genesis
    assert objects.held == before


def fewer(members: dict[str, Any]) -> None:
    members["sites"].append({**members["sites"][3], "number": 2})


def moved(members: dict[str, Any]) -> None:
    members["sites"][1]["hosts"]["ledger"] = "elsewhere"


CHANGES: list[tuple[Change, str]] = [
    (fewer, "sites"),
    (moved, "sites[1].ledger"),
    (lambda members: members.update(port=7100), "sites[0].ledger"),
    (lambda members: members.update(chain="other"), "chain"),
    (lambda members: members.update(protocol="async"), "protocol"),
]


@pytest.mark.parametrize(("change", "field"), CHANGES)
def test_a_plan_of_another_network_is_refused(tmp_path: Path, change: Change, field: str) -> None:
    _, objects = made(tmp_path)
    members = document()
    change(members)
    with pytest.raises(LocalError, match="PKI_CHANGED") as refused:
        ensure(read_plan(json.dumps(members).encode()), objects, lambda: tmp_path / "other")
    assert refused.value.field == field


def test_a_missing_object_is_named(tmp_path: Path) -> None:
    _, objects = made(tmp_path)
    for kind, name in object_names(plan())[:-1]:
        whole = dict(objects.held)
        del objects.held[kind, name]
        with pytest.raises(OperationalError, match=f"PKI_MISSING.*{kind} {name} is missing"):
            ensure(plan(), objects, lambda: tmp_path / "other")
        objects.held = whole


def test_keys_without_genesis_are_not_replaced(tmp_path: Path) -> None:
    _, objects = made(tmp_path)
    del objects.held[CONFIG_MAP, "sea-genesis"]
    before = dict(objects.held)
    with pytest.raises(LocalError, match=r"PKI_PARTIAL.*Secret sea-north-signing"):
        ensure(plan(), objects, lambda: tmp_path / "other")
    assert objects.held == before


BAD_PLANS: list[tuple[Change, str]] = [
    (lambda members: members.pop("name"), "name"),
    (lambda members: members.update(colour="blue"), "colour"),
    (lambda members: members["sites"].pop(), "3 sites tolerate no faulty one"),
    (lambda members: members["sites"][0]["hosts"].pop("ledger"), "a host for each of"),
]


@pytest.mark.parametrize(("change", "reason"), BAD_PLANS)
def test_a_wrong_plan_is_refused(change: Change, reason: str) -> None:
    members = document()
    change(members)
    with pytest.raises(LocalError, match=f"PKI_PLAN.*{reason}"):
        read_plan(json.dumps(members).encode())


def test_a_plan_needs_the_port_and_all_hosts(tmp_path: Path) -> None:
    network = plan().network()
    for broken in (
        replace(network, port=None),
        replace(network, role_hosts=(("one",), *network.role_hosts[1:])),
    ):
        with pytest.raises(LocalError, match="GENESIS_PLAN"):
            make_network(tmp_path / "network", broken)


def test_the_list_is_one_document_of_all_objects(tmp_path: Path) -> None:
    listed = json.loads(as_list(make_manifests(plan(), tmp_path / "network")))
    assert (listed["apiVersion"], listed["kind"]) == ("v1", "List")
    names = {(one["kind"], one["metadata"]["name"]) for one in listed["items"]}
    assert names >= set(object_names(plan()))
    genesis = listed["items"][-1]["data"]["genesis.json"].encode()
    assert genesis_format.decode(genesis).chain == "trial"


def test_a_plan_is_written_as_it_is_read() -> None:
    again = msgspec.json.encode(plan())
    assert read_plan(again) == plan()


def test_the_runner_of_chaos_gets_an_identity_that_genesis_does_not_know(tmp_path: Path) -> None:
    genesis, objects = made(tmp_path, runner=True)
    secret = objects.held[SECRET, "sea-runner"]
    assert sorted(secret["data"]) == ["runner.crt", "runner.key"]
    certificate = base64.b64decode(secret["data"]["runner.crt"]).decode()
    assert certificate not in [site.tls_certificate_pem for site in genesis.sites]


def test_the_runner_may_come_later_and_stays_the_same(tmp_path: Path) -> None:
    _, objects = made(tmp_path)
    assert (SECRET, "sea-runner") not in objects.held
    later = plan(runner=True)
    ensure(later, objects, lambda: tmp_path / "unused")
    first = objects.held[SECRET, "sea-runner"]
    ensure(later, objects, lambda: tmp_path / "unused")
    assert objects.held[SECRET, "sea-runner"] is first


def test_a_runner_that_is_left_over_serves_the_next_network(tmp_path: Path) -> None:
    _, objects = made(tmp_path, runner=True)
    left = objects.held[SECRET, "sea-runner"]
    objects.held = {(SECRET, "sea-runner"): left}
    ensure(plan(runner=True), objects, lambda: tmp_path / "anew")
    assert objects.held[SECRET, "sea-runner"] is left
    assert len(objects.held) > 1


def test_each_site_has_a_password_for_its_redis_and_keeps_it(tmp_path: Path) -> None:
    genesis, objects = made(tmp_path, redis=True)
    passwords = []
    for pool in ("north", "south"):
        held = objects.held[SECRET, f"sea-{pool}-redis"]["data"]
        for number in range(2):
            password = base64.b64decode(held[f"{number}.redis.password"])
            conf = base64.b64decode(held[f"{number}.redis.conf"])
            assert conf == b"requirepass " + password
            passwords.append(password)
    assert len(dict.fromkeys(passwords)) == 4
    before = dict(objects.held)
    assert ensure(plan(redis=True), objects, lambda: tmp_path / "never") == genesis
    assert objects.held == before


def test_a_network_gets_passwords_when_it_gets_a_redis(tmp_path: Path) -> None:
    genesis, objects = made(tmp_path)
    names = list(objects.held)
    assert not any("redis" in name for _, name in names)
    assert ensure(plan(redis=True), objects, lambda: tmp_path / "never") == genesis
    added = [name for kind, name in objects.held if (kind, name) not in names]
    assert added == ["sea-north-redis", "sea-south-redis"]
    # They are no keys of the chain: one that is lost is made anew.
    del objects.held[SECRET, "sea-north-redis"]
    assert ensure(plan(redis=True), objects, lambda: tmp_path / "never") == genesis
    assert (SECRET, "sea-north-redis") in objects.held


def test_passwords_alone_are_no_part_of_a_network(tmp_path: Path) -> None:
    _, objects = made(tmp_path, redis=True)
    left = {key: one for key, one in objects.held.items() if key[1].endswith("-redis")}
    objects.held = dict(left)
    ensure(plan(redis=True), objects, lambda: tmp_path / "anew")
    assert {key: one for key, one in objects.held.items() if key in left} == left
