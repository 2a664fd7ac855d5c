"""Genesis: one canonical form, every fault with its field, the origin is its hash."""

import copy
import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.crypto.coin import deal
from seawall.crypto.signing import SigningKey
from seawall.domain.cut import CutPolicy
from seawall.domain.genesis import (
    SITE_ROLES,
    Contributor,
    Genesis,
    GenesisSite,
    RoleAddress,
    RuleSpec,
    Task,
    TensorSpec,
)
from seawall.domain.parameters import AdmissionParameters, ConsensusParameters
from seawall.errors import LocalError, PeerError
from seawall.formats import genesis as form
from seawall.formats.genesis_consensus import coin_threshold
from seawall.formats.jcs import canonical, parse_canonical

PEM = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"


def key(label: str) -> bytes:
    return SigningKey.from_seed(hashlib.sha256(label.encode()).digest()).public


def make_site(index: int) -> GenesisSite:
    return GenesisSite(
        name=f"site-{index}",
        zone="north",
        stake=index + 1,
        consensus_key=key(f"consensus{index}"),
        cosigner_name=f"example.org/site-{index}",
        cosigner_key=key(f"cosigner{index}"),
        tls_certificate_pem=PEM.format(f"AAA{index}"),
        peer_address=f"10.0.0.{index}:4001",
        client_address="[::1]:4000",
    )


GENESIS = Genesis(
    chain="edge-1",
    sites=tuple(make_site(index) for index in range(4)),
    consensus=ConsensusParameters(),
    admission=AdmissionParameters(),
    log_key=key("log"),
    root_keys=(key("root0"), key("root1")),
    root_threshold=2,
    tasks=(
        Task(
            name="digits",
            rule=RuleSpec("root-gate", 1, (("clip_q16", 65_536), ("f", -1))),
            grid_bits=16,
            tensors=(TensorSpec("w1", (64, 32)), TensorSpec("b1", ())),
            header_size_bytes=128,
            payload_size_bytes=8_328,
            base_payload_digest=bytes(32),
            cut=CutPolicy(interval_ms=500, k=10, k_min=3, staleness_max=4, root_required=True),
        ),
    ),
    contributors=(
        Contributor("Ada L.", key("ada"), ("contributor",)),
        Contributor("Bob", key("bob"), ("contributor", "root")),
    ),
)


def test_a_genesis_round_trips_and_its_hash_is_the_origin() -> None:
    data = form.encode(GENESIS)
    assert form.decode(data) == GENESIS
    assert form.encode(form.decode(data)) == data
    assert form.origin(data) == f"seawall/{hashlib.sha256(data).hexdigest()[:16]}"
    assert canonical(parse_canonical(data, size_max=1 << 20)) == data


def test_the_origin_of_a_genesis_without_roles_of_their_own_stays() -> None:
    data = form.encode(GENESIS)
    assert b"roleAddresses" not in data
    assert form.origin(data) == "seawall/e45c0c7578244e93"


def test_a_coin_round_trips_and_reaches_the_committee() -> None:
    data = form.encode(ASYNCHRONOUS)
    found = form.decode(data)
    assert found == ASYNCHRONOUS
    assert form.encode(found) == data
    assert found.committee("x").coin == KEYS
    assert form.decode(form.encode(GENESIS)).committee("x").coin is None
    assert b'"coin"' not in form.encode(GENESIS)


def test_an_async_genesis_without_a_coin_is_refused() -> None:
    def without(spec: dict[str, Any]) -> None:
        del spec["coin"]

    with pytest.raises(PeerError, match="GENESIS_MISSING") as raised:
        form.decode(changed(without, ASYNCHRONOUS))
    assert raised.value.field == "genesis.spec.coin"


@pytest.mark.parametrize(
    ("sites", "threshold"), [(1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (6, 5), (7, 5), (10, 7)]
)
def test_as_many_sites_make_a_coin_as_have_stake_q(sites: int, threshold: int) -> None:
    assert coin_threshold(sites) == threshold
    for stake in (1, 2, 5):
        one = msgspec.structs.replace(GENESIS.sites[0], stake=stake)
        committee = replace(GENESIS, sites=(one,) * sites).committee("x")
        assert committee.stake_of(range(threshold)) >= committee.quorum
        assert committee.stake_of(range(threshold - 1)) < committee.quorum


def test_roles_with_addresses_of_their_own_round_trip() -> None:
    first, *others = GENESIS.sites
    split = msgspec.structs.replace(
        first,
        role_addresses=(
            RoleAddress("consensus", "10.0.1.0:4001", "10.0.1.0:4000"),
            RoleAddress("ledger", "10.0.2.0:4001", "[::2]:4000"),
        ),
    )
    genesis = replace(GENESIS, sites=(split, *others))
    data = form.encode(genesis)
    assert form.decode(data) == genesis
    assert form.origin(data) != form.origin(form.encode(GENESIS))
    assert [split.peer_address_of(role) for role in SITE_ROLES] == [
        "10.0.0.0:4001",
        "10.0.1.0:4001",
        "10.0.0.0:4001",
        "10.0.0.0:4001",
        "10.0.2.0:4001",
    ]
    assert split.client_address_of("ledger") == "[::2]:4000"
    assert split.client_address_of("integrity") == "[::1]:4000"


def test_every_member_of_a_task_can_be_read_by_others() -> None:
    tree = form.task_tree(GENESIS.tasks[0])
    assert tree["cut"] == {
        "intervalMs": 500,
        "k": 10,
        "kMin": 3,
        "stalenessMax": 4,
        "rootRequired": True,
    }
    assert tree["rule"] == {
        "name": "root-gate",
        "version": 1,
        "parameters": {"clip_q16": 65_536, "f": -1},
    }


def changed(change: Callable[[dict[str, Any]], object], genesis: Genesis = GENESIS) -> bytes:
    """Return the canonical bytes of a genesis whose JSON was changed."""
    tree: Any = parse_canonical(form.encode(genesis), size_max=1 << 20)
    change(tree["spec"])
    return canonical(tree)


def at(path: str, value: object) -> Callable[[dict[str, Any]], object]:
    """Return a change that sets the member at a dotted path."""

    def change(spec: dict[str, Any]) -> None:
        node: Any = spec
        *steps, last = path.split(".")
        for step in steps:
            node = node[int(step)] if step.isdecimal() else node[step]
        if isinstance(node, list):
            node[int(last)] = value
        else:
            node[last] = value

    return change


LOW_ORDER = "01" + "00" * 31
ADDRESSES = [
    {"role": role, "peerAddress": f"{role}:2", "clientAddress": f"{role}:1"}
    for role in ("consensus", "ledger")
]

KEYS, SECRETS = deal(bytes(32), 3, 4)
COIN: dict[str, Any] = {
    "threshold": 3,
    "groupKey": KEYS.group_key.hex(),
    "shareKeys": [one.hex() for one in KEYS.share_keys],
}
ASYNCHRONOUS = replace(
    GENESIS,
    sites=tuple(msgspec.structs.replace(site, stake=7) for site in GENESIS.sites),
    consensus=ConsensusParameters().asynchronous(5),
    coin=KEYS,
)
COIN_FAULTS = [
    ("consensus.protocol", "sync", "GENESIS_RANGE", "consensus.waveLength"),
    ("consensus.protocol", "other", "GENESIS_PROTOCOL", "coin"),
    ("consensus.waveLength", 3, "GENESIS_RANGE", "consensus.waveLength"),
    ("consensus.waveLength", 4, None, ""),
    ("consensus.finalityDelay", 4, "GENESIS_RANGE", "consensus.finalityDelay"),
    ("consensus.gcDepth", 10, "GENESIS_RANGE", "consensus.gcDepth"),
    ("consensus.gcDepth", 11, None, ""),
    ("sites.2.stake", 8, "GENESIS_RANGE", "sites[].stake"),
    ("coin", [], "GENESIS_TYPE", "coin"),
    ("coin.extra", 1, "GENESIS_UNKNOWN", "coin"),
    ("coin.threshold", 2, "GENESIS_RANGE", "coin.threshold"),
    ("coin.threshold", 4, "GENESIS_RANGE", "coin.threshold"),
    ("coin.threshold", 0, "GENESIS_RANGE", "coin.threshold"),
    ("coin.threshold", "3", "GENESIS_TYPE", "coin.threshold"),
    ("coin.groupKey", "00" * 95, "GENESIS_TEXT", "coin.groupKey"),
    ("coin.groupKey", KEYS.group_key.hex().upper(), "GENESIS_TEXT", "coin.groupKey"),
    ("coin.shareKeys", [], "GENESIS_COUNT", "coin.shareKeys"),
    ("coin.shareKeys", COIN["shareKeys"][:3], "GENESIS_COUNT", "coin.shareKeys"),
    ("coin.shareKeys.1", "00" * 97, "GENESIS_TEXT", "coin.shareKeys[1]"),
    ("coin.shareKeys.1", 5, "GENESIS_TYPE", "coin.shareKeys[1]"),
    ("coin.shareKeys.1", COIN["shareKeys"][2], "GENESIS_DUPLICATE", "coin.shareKeys"),
]

FAULTS = [
    ("formatVersion", 2, "GENESIS_VERSION", "formatVersion"),
    ("formatVersion", 0, "GENESIS_RANGE", "formatVersion"),
    ("chain", "", "GENESIS_TEXT", "chain"),
    ("chain", "Edge", "GENESIS_TEXT", "chain"),
    ("chain", 7, "GENESIS_TYPE", "chain"),
    ("sites", [], "GENESIS_COUNT", "sites"),
    ("sites", {}, "GENESIS_TYPE", "sites"),
    ("sites.1", 3, "GENESIS_TYPE", "sites[1]"),
    ("sites.1.stake", 0, "GENESIS_RANGE", "sites[1].stake"),
    ("sites.1.stake", True, "GENESIS_TYPE", "sites[1].stake"),
    ("sites.1.stake", "1", "GENESIS_TYPE", "sites[1].stake"),
    ("sites.1.consensusKey", "ab", "GENESIS_TEXT", "sites[1].consensusKey"),
    ("sites.1.consensusKey", "AB" * 32, "GENESIS_TEXT", "sites[1].consensusKey"),
    ("sites.1.consensusKey", LOW_ORDER, "KEY_LOW_ORDER", "sites[1].consensusKey"),
    ("sites.1.tlsCertificatePem", "x", "GENESIS_TEXT", "sites[1].tlsCertificatePem"),
    ("sites.1.cosignerName", "a+b", "GENESIS_TEXT", "sites[1].cosignerName"),
    ("sites.1.peerAddress", "host", "GENESIS_TEXT", "sites[1].peerAddress"),
    ("sites.1.peerAddress", "host:0", "GENESIS_RANGE", "sites[1].peerAddress"),
    ("sites.1.peerAddress", "host:65536", "GENESIS_RANGE", "sites[1].peerAddress"),
    ("sites.1.name", "site-0", "GENESIS_DUPLICATE", "sites[].name"),
    ("sites.1.extra", 1, "GENESIS_UNKNOWN", "sites[1]"),
    ("sites.1.roleAddresses", ADDRESSES, None, ""),
    ("sites.1.roleAddresses", [], "GENESIS_COUNT", "sites[1].roleAddresses"),
    ("sites.1.roleAddresses", ADDRESSES * 3, "GENESIS_COUNT", "sites[1].roleAddresses"),
    ("sites.1.roleAddresses", {}, "GENESIS_TYPE", "sites[1].roleAddresses"),
    ("sites.1.roleAddresses", ADDRESSES[:1] * 2, "GENESIS_DUPLICATE", "sites[1].roleAddresses"),
    ("sites.1.roleAddresses", ADDRESSES[::-1], "GENESIS_ORDER", "sites[1].roleAddresses"),
    ("sites.1.roleAddresses", [1], "GENESIS_TYPE", "sites[1].roleAddresses[0]"),
    (
        "sites.1.roleAddresses",
        [ADDRESSES[0], {**ADDRESSES[1], "role": "chaos"}],
        "GENESIS_TEXT",
        "sites[1].roleAddresses[1].role",
    ),
    (
        "sites.1.roleAddresses",
        [{**ADDRESSES[0], "peerAddress": "host:0"}],
        "GENESIS_RANGE",
        "sites[1].roleAddresses[0].peerAddress",
    ),
    (
        "sites.1.roleAddresses",
        [{**ADDRESSES[0], "clientAddress": "host"}],
        "GENESIS_TEXT",
        "sites[1].roleAddresses[0].clientAddress",
    ),
    (
        "sites.1.roleAddresses",
        [{**ADDRESSES[0], "extra": 1}],
        "GENESIS_UNKNOWN",
        "sites[1].roleAddresses[0]",
    ),
    ("consensus.protocol", "Sync", "GENESIS_TEXT", "consensus.protocol"),
    ("consensus.waveLength", 2, "GENESIS_RANGE", "consensus.waveLength"),
    ("consensus.finalityDelay", 3, None, ""),
    ("consensus.acceptWindow", 2, "GENESIS_RANGE", "consensus.finalityDelay"),
    ("consensus.waveLength", 4, "GENESIS_RANGE", "consensus.waveLength"),
    ("consensus.waveLength", 5, "GENESIS_RANGE", "consensus.waveLength"),
    ("consensus.protocol", "other", None, ""),
    ("coin", {}, "GENESIS_MISSING", "coin.threshold"),
    ("coin", COIN, "GENESIS_PROTOCOL", "coin"),
    ("consensus.gcDepth", 8, None, ""),
    ("consensus.leaderTimeoutMsMax", 100, "GENESIS_RANGE", "consensus.leaderTimeoutMsMax"),
    ("consensus.leadersPerRound", 5, "GENESIS_RANGE", "consensus.leadersPerRound"),
    ("consensus.extra", 5, "GENESIS_UNKNOWN", "consensus"),
    ("admission.chunkSizeBytes", 1 << 19, "GENESIS_RANGE", "admission.chunkSizeBytes"),
    ("admission.extra", 5, "GENESIS_UNKNOWN", "admission"),
    ("logKey", LOW_ORDER, "KEY_LOW_ORDER", "logKey"),
    ("rootKeys.0", LOW_ORDER, "KEY_LOW_ORDER", "rootKeys[0]"),
    ("rootThreshold", 3, "GENESIS_RANGE", "rootThreshold"),
    ("tasks.0.gridBits", 31, "GENESIS_RANGE", "tasks[0].gridBits"),
    ("tasks.0.tensors.1.name", "w1", "GENESIS_DUPLICATE", "tasks[0].tensors"),
    ("tasks.0.tensors.0.shape", [0], "GENESIS_RANGE", "tasks[0].tensors[0].shape[0]"),
    ("tasks.0.tensors.0.shape", [1] * 9, "GENESIS_COUNT", "tasks[0].tensors[0].shape"),
    ("tasks.0.tensors.0.extra", 1, "GENESIS_UNKNOWN", "tasks[0].tensors[0]"),
    ("tasks.0.rule.extra", 1, "GENESIS_UNKNOWN", "tasks[0].rule"),
    ("tasks.0.rule.parameters.f", "1", "GENESIS_TYPE", "tasks[0].rule.parameters.f"),
    ("tasks.0.rule.parameters", [], "GENESIS_TYPE", "tasks[0].rule.parameters"),
    ("tasks.0.cut.k", 2, "GENESIS_RANGE", "tasks[0].cut.kMin"),
    ("tasks.0.cut.rootRequired", 1, "GENESIS_TYPE", "tasks[0].cut.rootRequired"),
    ("tasks.0.cut.extra", 1, "GENESIS_UNKNOWN", "tasks[0].cut"),
    ("tasks.0.basePayloadDigest", "00", "GENESIS_TEXT", "tasks[0].basePayloadDigest"),
    ("tasks.0.extra", 1, "GENESIS_UNKNOWN", "tasks[0]"),
    ("contributors.0.roles", ["judge"], "GENESIS_TEXT", "contributors[0].roles[0]"),
    ("contributors.0.roles", [], "GENESIS_COUNT", "contributors[0].roles"),
    ("contributors.0.roles", ["root"] * 2, "GENESIS_DUPLICATE", "contributors[0].roles"),
    ("contributors.0.name", "ü", "GENESIS_TEXT", "contributors[0].name"),
    ("contributors.0.extra", 1, "GENESIS_UNKNOWN", "contributors[0]"),
    ("extra", 1, "GENESIS_UNKNOWN", ""),
]


@pytest.mark.parametrize(
    ("genesis", "path", "value", "code", "field"),
    [
        *[(GENESIS, *fault) for fault in FAULTS],
        *[(ASYNCHRONOUS, *fault) for fault in COIN_FAULTS],
    ],
)
def test_every_fault_is_named_with_its_field(
    genesis: Genesis, path: str, value: object, code: str | None, field: str
) -> None:
    data = changed(at(path, value), genesis)
    if code is None:
        form.decode(data)
        return
    with pytest.raises(PeerError) as raised:
        form.decode(data)
    assert raised.value.code == code
    assert raised.value.field == f"genesis.spec.{field}".rstrip(".")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("sites.0.consensusKey", "sites.1.cosignerKey"),
        ("sites.0.consensusKey", "logKey"),
        ("sites.0.cosignerName", "sites.2.cosignerName"),
        ("sites.0.tlsCertificatePem", "sites.3.tlsCertificatePem"),
        ("rootKeys.0", "rootKeys.1"),
        ("contributors.0.publicKey", "contributors.1.publicKey"),
    ],
)
def test_names_and_keys_stand_once(first: str, second: str) -> None:
    spec: Any = parse_canonical(form.encode(GENESIS), size_max=1 << 20)
    value: Any = spec["spec"]
    for step in first.split("."):
        value = value[int(step)] if step.isdecimal() else value[step]
    with pytest.raises(PeerError, match="GENESIS_DUPLICATE"):
        form.decode(changed(at(second, value)))


def test_members_that_are_missing_are_named() -> None:
    def without(spec: dict[str, Any]) -> None:
        del spec["sites"][2]["zone"]

    with pytest.raises(PeerError) as raised:
        form.decode(changed(without))
    assert (raised.value.code, raised.value.field) == (
        "GENESIS_MISSING",
        "genesis.spec.sites[2].zone",
    )


def test_the_frame_around_the_specification() -> None:
    tree: Any = parse_canonical(form.encode(GENESIS), size_max=1 << 20)
    for change, code in (
        ({"apiVersion": "seawall.dev/v2"}, "GENESIS_VERSION"),
        ({"kind": "Task"}, "GENESIS_VERSION"),
        ({"extra": 1}, "GENESIS_UNKNOWN"),
        ({"spec": []}, "GENESIS_TYPE"),
    ):
        with pytest.raises(PeerError, match=code):
            form.decode(canonical({**copy.deepcopy(tree), **change}))
    for data, code in (
        (b"[]", "GENESIS_TYPE"),
        (b"", "JSON_"),
        (form.encode(GENESIS) + b"\n", "JSON_"),
        (b" " * (form.GENESIS_SIZE_BYTES_MAX + 1), "JSON_SIZE"),
    ):
        with pytest.raises(PeerError, match=code):
            form.decode(data)


def test_a_genesis_that_nobody_would_accept_is_not_written() -> None:
    with pytest.raises(LocalError, match="GENESIS_INVALID") as raised:
        form.encode(replace(GENESIS, root_threshold=3))
    assert raised.value.field == "genesis.spec.rootThreshold"


@given(st.binary(max_size=300), st.data())
def test_bytes_of_others_never_do_worse_than_a_peer_error(
    noise: bytes, data: st.DataObject
) -> None:
    whole = form.encode(GENESIS)
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    mixed = whole[:start] + noise + whole[end:]
    try:
        assert form.encode(form.decode(mixed)) == mixed
    except PeerError as fault:
        assert fault.code.startswith(("GENESIS_", "JSON_", "KEY_"))  # noqa: PT017 - or not at all


def test_garbage_is_kept_long_enough_for_the_fast_path() -> None:
    def shallow(spec: dict[str, Any]) -> None:
        spec["consensus"].update(gcDepth=8, finalityDelay=5)

    with pytest.raises(PeerError, match="GENESIS_RANGE") as raised:
        form.decode(changed(shallow))
    assert raised.value.field == "genesis.spec.consensus.gcDepth"
