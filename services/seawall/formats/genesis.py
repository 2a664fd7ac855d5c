"""Genesis as canonical JSON: what the origin is the hash of.

`encode` writes RFC 8785 JSON; `decode` accepts exactly what `encode` writes, nothing more, and
names the field of every fault. The origin is `seawall/` and the first 16 hex digits of SHA-256
over these bytes, so two files that differ in a byte are two chains.

Member names are those of the domain values in camelCase; keys and digests are lower-case hex.
"""

import re
from typing import Final

from seawall.crypto.hashing import sha256
from seawall.crypto.signing import check_public_key
from seawall.domain.cut import CutPolicy
from seawall.domain.genesis import (
    FORMAT_VERSION,
    Contributor,
    Genesis,
    RuleSpec,
    Task,
    TensorSpec,
)
from seawall.domain.parameters import AdmissionParameters
from seawall.errors import LocalError, PeerError
from seawall.formats.genesis_consensus import (
    check_protocol,
    coin_tree,
    consensus_tree,
    read_coin,
    read_consensus,
)
from seawall.formats.genesis_members import (
    NAME,
    Members,
    camel,
    check_unique,
    read_hexadecimal,
    read_integer,
    read_integers,
    read_text,
)
from seawall.formats.genesis_sites import SITES_MAX, read_site, site_tree
from seawall.formats.jcs import INTEGER_MAX, JsonInput, JsonValue, canonical, parse_canonical

GENESIS_SIZE_BYTES_MAX: Final = 1 << 24
TASKS_MAX: Final = 1024
CONTRIBUTORS_MAX: Final = 1 << 16

ROLES: Final = ("contributor", "root")
"""Roles that a contributor may have."""

_TEXT: Final = re.compile(r"[ -~]{1,200}")
_TENSOR: Final = re.compile(r"[!-~]{1,200}")

_ADMISSION_LIMITS: Final = {
    "payload_size_bytes_max": (1024, 1 << 40),
    "chunk_size_bytes": (1 << 20, 1 << 20),
    "seq_window": (1, 1 << 16),
    "expires_height_ahead_max": (1, 1 << 32),
    "pin_age_commits_max": (1, 1 << 20),
    "batch_updates_max": (1, 1024),
}
_CUT_LIMITS: Final = {
    "interval_ms": (1, INTEGER_MAX),
    "k": (1, INTEGER_MAX),
    "k_min": (1, INTEGER_MAX),
    "staleness_max": (0, INTEGER_MAX),
}


def encode(genesis: Genesis) -> bytes:
    """Return the canonical JSON of a genesis.

    What it returns is always accepted by `decode`.

    Raises:
        LocalError: GENESIS_INVALID with the field, when `decode` would refuse it.

    """
    data = canonical(_tree(genesis))
    try:
        decode(data)
    except PeerError as fault:
        raise LocalError("GENESIS_INVALID", fault.hint, field=fault.field) from fault
    return data


def origin(data: bytes) -> str:
    """Return the name of the chain that these genesis bytes begin."""
    return f"seawall/{sha256(data).hex()[:16]}"


def decode(data: bytes) -> Genesis:
    """Return the genesis that these canonical bytes describe.

    Raises:
        PeerError: JSON_* when they are not canonical JSON; GENESIS_MISSING, GENESIS_UNKNOWN,
            GENESIS_TYPE, GENESIS_RANGE, GENESIS_TEXT, GENESIS_COUNT, GENESIS_DUPLICATE,
            GENESIS_ORDER, GENESIS_VERSION, GENESIS_PROTOCOL or KEY_* with the field.

    """
    root = Members(parse_canonical(data, size_max=GENESIS_SIZE_BYTES_MAX), "genesis")
    root.constant("apiVersion", "seawall.dev/v1")
    root.constant("kind", "Genesis")
    spec = root.members("spec")
    root.end()
    version = spec.integer("formatVersion", 1, INTEGER_MAX)
    if version != FORMAT_VERSION:
        hint = f"this build reads version {FORMAT_VERSION}"
        raise PeerError("GENESIS_VERSION", hint, field=spec.path("formatVersion"))
    genesis = Genesis(
        chain=spec.text("chain", NAME),
        sites=spec.each("sites", read_site, 1, SITES_MAX),
        consensus=read_consensus(spec.members("consensus")),
        admission=_admission(spec.members("admission")),
        log_key=spec.key("logKey"),
        root_keys=spec.each("rootKeys", _root_key, 1, 64),
        root_threshold=spec.integer("rootThreshold", 1, 64),
        tasks=spec.each("tasks", _task, 0, TASKS_MAX),
        contributors=spec.each("contributors", _contributor, 0, CONTRIBUTORS_MAX),
        coin=read_coin(spec),
        format_version=version,
    )
    spec.end()
    _check_whole(genesis)
    return genesis


# --- writing -----------------------------------------------------------------------------------


def _tree(genesis: Genesis) -> JsonInput:
    coin = {} if genesis.coin is None else {"coin": coin_tree(genesis.coin)}
    return {
        "apiVersion": "seawall.dev/v1",
        "kind": "Genesis",
        "spec": {
            "formatVersion": genesis.format_version,
            "chain": genesis.chain,
            "sites": [site_tree(site) for site in genesis.sites],
            "consensus": consensus_tree(genesis.consensus),
            "admission": {
                camel(name): getattr(genesis.admission, name) for name in _ADMISSION_LIMITS
            },
            "logKey": genesis.log_key.hex(),
            "rootKeys": [key.hex() for key in genesis.root_keys],
            "rootThreshold": genesis.root_threshold,
            "tasks": [task_tree(task) for task in genesis.tasks],
            "contributors": [
                {"name": one.name, "publicKey": one.public_key.hex(), "roles": list(one.roles)}
                for one in genesis.contributors
            ],
            **coin,
        },
    }


def task_tree(task: Task) -> dict[str, JsonInput]:
    """Return a task as it stands in genesis, ready for `canonical`."""
    return {
        "name": task.name,
        "rule": {
            "name": task.rule.name,
            "version": task.rule.version,
            "parameters": dict(task.rule.parameters),
        },
        "gridBits": task.grid_bits,
        "tensors": [{"name": one.name, "shape": list(one.shape)} for one in task.tensors],
        "headerSizeBytes": task.header_size_bytes,
        "payloadSizeBytes": task.payload_size_bytes,
        "basePayloadDigest": task.base_payload_digest.hex(),
        "cut": {
            "intervalMs": task.cut.interval_ms,
            "k": task.cut.k,
            "kMin": task.cut.k_min,
            "stalenessMax": task.cut.staleness_max,
            "rootRequired": task.cut.root_required,
        },
    }


# --- reading -----------------------------------------------------------------------------------


def _admission(members: Members) -> AdmissionParameters:
    values = read_integers(members, _ADMISSION_LIMITS)
    members.end()
    return AdmissionParameters(**values)


def _root_key(value: JsonValue, place: str) -> bytes:
    key = read_hexadecimal(value, place, 32)
    check_public_key(key, field=place)
    return key


def _tensor(value: JsonValue, place: str) -> TensorSpec:
    members = Members(value, place)
    name = members.text("name", _TENSOR)
    shape = members.each("shape", lambda one, at: read_integer(one, at, 1, 1 << 32), 0, 8)
    members.end()
    return TensorSpec(name=name, shape=shape)


def _rule(members: Members) -> RuleSpec:
    name = members.text("name", NAME)
    version = members.integer("version", 1, 1 << 16)
    given = members.members("parameters")
    parameters = tuple(
        (one, given.integer(one, -INTEGER_MAX, INTEGER_MAX)) for one in given.names()
    )
    members.end()
    return RuleSpec(name=name, version=version, parameters=parameters)


def _cut(members: Members) -> CutPolicy:
    values = read_integers(members, _CUT_LIMITS)
    required = members.flag("rootRequired")
    members.end()
    try:
        return CutPolicy(root_required=required, **values)
    except LocalError as fault:
        field = members.path(camel(fault.field or ""))
        raise PeerError("GENESIS_RANGE", fault.hint, field=field) from fault


def _task(value: JsonValue, place: str) -> Task:
    members = Members(value, place)
    task = Task(
        name=members.text("name", NAME),
        rule=_rule(members.members("rule")),
        grid_bits=members.integer("gridBits", 0, 30),
        tensors=members.each("tensors", _tensor, 1, 4096),
        header_size_bytes=members.integer("headerSizeBytes", 2, 8 << 20),
        payload_size_bytes=members.integer("payloadSizeBytes", 10, 1 << 40),
        base_payload_digest=members.hexadecimal("basePayloadDigest", 32),
        cut=_cut(members.members("cut")),
    )
    members.end()
    check_unique([one.name for one in task.tensors], f"{place}.tensors")
    return task


def _role(value: JsonValue, place: str) -> str:
    role = read_text(value, place, NAME)
    if role not in ROLES:
        raise PeerError("GENESIS_TEXT", f"choose among {', '.join(ROLES)}", field=place)
    return role


def _contributor(value: JsonValue, place: str) -> Contributor:
    members = Members(value, place)
    contributor = Contributor(
        name=members.text("name", _TEXT),
        public_key=members.key("publicKey"),
        roles=members.each("roles", _role, 1, len(ROLES)),
    )
    members.end()
    check_unique(contributor.roles, f"{place}.roles")
    return contributor


# --- rules over the whole ------------------------------------------------------------------------


def _check_whole(genesis: Genesis) -> None:
    """Refuse what each part allows and the whole does not."""
    sites = genesis.sites
    keys = [key for site in sites for key in (site.consensus_key, site.cosigner_key)]
    check_unique([*keys, genesis.log_key], "genesis.spec.sites[].consensusKey")
    check_unique([site.name for site in sites], "genesis.spec.sites[].name")
    check_unique([site.cosigner_name for site in sites], "genesis.spec.sites[].cosignerName")
    pems = [site.tls_certificate_pem for site in sites]
    check_unique(pems, "genesis.spec.sites[].tlsCertificatePem")
    check_unique(genesis.root_keys, "genesis.spec.rootKeys")
    check_unique([task.name for task in genesis.tasks], "genesis.spec.tasks[].name")
    people = genesis.contributors
    check_unique([one.public_key for one in people], "genesis.spec.contributors[].publicKey")
    if genesis.root_threshold > len(genesis.root_keys):
        hint = "choose at most the number of root keys"
        raise PeerError("GENESIS_RANGE", hint, field="genesis.spec.rootThreshold")
    if genesis.consensus.leaders_per_round > len(sites):
        hint = "choose at most the number of sites"
        raise PeerError("GENESIS_RANGE", hint, field="genesis.spec.consensus.leadersPerRound")
    check_protocol(genesis)
