"""Ledger entries: what the leaves of the log say, as canonical JSON.

An entry is `{"apiVersion":"seawall.dev/v1","kind":K,"spec":{...}}` in RFC 8785 form, of ASCII
strings and integers only, at most 65,535 bytes; digests and keys are lower-case hex. The types
here are the specs, with the member names of the JSON in camel case.

With nothing but ASCII and integers, a plain encoder that writes members in sorted order writes
exactly RFC 8785, so no general canonicaliser runs on the hot path; tests compare both.

Source: docs/ledger.md.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from seawall.domain.block import UpdateKind, UpdateRecord
from seawall.errors import PeerError
from seawall.formats import jcs

API_VERSION: Final = "seawall.dev/v1"
ENTRY_BYTES_MAX: Final = 65_535
"""The longest entry: C2SP tiles count its bytes in 16 bits."""

KIND_NAMES: Final = {UpdateKind.DELTA: "delta", UpdateKind.ROOT: "root"}
"""How an update's kind is spelt in submissions and entries."""

_KIND_PREFIX: Final = f'{{"apiVersion":"{API_VERSION}","kind":"'.encode()


class Spec(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The part of an entry that depends on its kind."""


class Validator(Spec, frozen=True):
    """One validator of an epoch; keys in hex."""

    consensus_key: str
    cosigner_key: str
    cosigner_name: str
    index: int
    name: str
    stake: int
    zone: str


class EpochEntry(Spec, frozen=True):
    """Who validates from here on; `genesis` is the SHA-256 of the genesis document."""

    epoch: int
    genesis: str
    origin: str
    quorum: int
    validators: tuple[Validator, ...]


class Rule(Spec, frozen=True):
    """An aggregation rule with its integer parameters."""

    name: str
    parameters: dict[str, int]
    version: int


class TaskEntry(Spec, frozen=True):
    """One learning job, as far as a reader of the log needs it; genesis has the rest."""

    base_payload: str
    grid_bits: int
    header_size: int
    index: int
    name: str
    payload_size: int
    rule: Rule


class KeyEntry(Spec, frozen=True):
    """An enrolled contributor: `contributor` is the SHA-256 of `publicKey`."""

    contributor: str
    index: int
    name: str
    public_key: str
    roles: tuple[str, ...]


class Leader(Spec, frozen=True):
    """The block whose commit this is."""

    author: int
    digest: str
    round: int


class CommitEntry(Spec, frozen=True):
    """Opens the entries of one commit.

    `stateRoot` is the digest of the state before the commit; `updates` and `transactions` count
    what its blocks deliver, accepted or not; `clockMs` is the ledger clock.
    """

    clock_ms: int
    digest: str
    index: int
    leader: Leader
    state_root: str
    transactions: int
    updates: int


class UpdateEntry(Spec, frozen=True):
    """An accepted update; `site` and `batch` name the batch that brought it.

    `taint` are the codes, ascending, of the state rules that held when it was attested and did
    not when it was accepted.
    """

    base_version: int
    batch: int
    commit: int
    contributor: str
    expires_height: int
    kind: str
    num_examples: int
    payload: str
    payload_size: int
    seq: int
    site: int
    taint: tuple[str, ...]
    task: str
    update_id: str


class SelectedUpdate(Spec, frozen=True):
    """One update of a cut; `staleness` is in versions behind the cut's base."""

    contributor: str
    num_examples: int
    payload: str
    payload_size: int
    staleness: int
    update_id: str


class DroppedUpdate(Spec, frozen=True):
    """An update that no cut can select any more, and why: STALE or SUPERSEDED."""

    reason: str
    update_id: str


class CutEntry(Spec, frozen=True):
    """The decision which updates form `version` out of version `base`.

    `root` is the update id of the root update that goes into it, empty when there is none;
    `updates` stand in the order of selection, `dropped` in the order of their update ids. What
    does not fit into `dropped` follows in entries of kind `dropped`.
    """

    base: int
    base_payload: str
    clock_ms: int
    commit: int
    dropped: tuple[DroppedUpdate, ...]
    root: str
    rule: Rule
    task: str
    updates: tuple[SelectedUpdate, ...]
    version: int


class DroppedEntry(Spec, frozen=True):
    """More updates that the cut of `version` put out for good."""

    commit: int
    dropped: tuple[DroppedUpdate, ...]
    task: str
    version: int


class VersionEntry(Spec, frozen=True):
    """Sites of enough stake computed the same bytes: V for `usable`, Q for `final`.

    `cut` is the index of the cut's entry; `votes` are the sites that named this payload so far.
    """

    commit: int
    cut: int
    payload: str
    payload_size: int
    status: str
    task: str
    version: int
    votes: tuple[int, ...]


class EvidenceEntry(Spec, frozen=True):
    """Two statements that one honest party would never make both.

    `kind` is `equivocation` (a contributor, two updates under one seq), `twins` (a site, two
    blocks of one round), `vote` (a site, two payloads for one version) or `fork` (two payloads of
    one version, each with V stake). `subject` is the contributor's id or the site's name, empty for
    `fork`; `number` the seq, round or version; `task` is empty for `equivocation` and `twins`.
    `signatures` are the site's, over its two blocks, for `twins`; else there are none.
    """

    commit: int
    first: str
    kind: str
    number: int
    second: str
    signatures: tuple[str, ...]
    subject: str
    task: str


Entry: TypeAlias = (
    EpochEntry
    | TaskEntry
    | KeyEntry
    | CommitEntry
    | UpdateEntry
    | CutEntry
    | DroppedEntry
    | VersionEntry
    | EvidenceEntry
)

KINDS: Final[dict[str, type[Entry]]] = {
    "commit": CommitEntry,
    "cut": CutEntry,
    "dropped": DroppedEntry,
    "epoch": EpochEntry,
    "evidence": EvidenceEntry,
    "key": KeyEntry,
    "task": TaskEntry,
    "update": UpdateEntry,
    "version": VersionEntry,
}
"""Every kind of entry of this version."""


class _Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """An entry whose spec is not read yet."""

    api_version: str
    kind: str
    spec: msgspec.Raw


_NAMES: Final[dict[type[Entry], str]] = {spec: name for name, spec in KINDS.items()}
_PREFIXES: Final = {
    name: f'{{"apiVersion":"{API_VERSION}","kind":"{name}","spec":'.encode() for name in KINDS
}
_encode: Final = msgspec.json.Encoder(order="sorted").encode
_decode_head: Final = msgspec.json.Decoder(_Head).decode
_decoders: Final = {name: msgspec.json.Decoder(spec).decode for name, spec in KINDS.items()}


def encode(entry: Entry) -> bytes:
    """Return the leaf of an entry of ours: ASCII, integers within +-(2**53 - 1), not too long."""
    data = b"%b%b}" % (_PREFIXES[_NAMES[type(entry)]], _encode(entry))
    assert data.isascii(), "entries are ASCII"
    assert len(data) <= ENTRY_BYTES_MAX, "an entry has at most 65,535 bytes"
    return data


def encode_update(
    record: UpdateRecord,
    *,
    commit: int,
    task: str,
    site: int,
    batch: int,
    taint: Sequence[str] = (),
) -> bytes:
    """Return the leaf of an accepted update.

    Args:
        record: what the block says of it.
        commit: index of the commit whose verdict accepts it.
        task: name of the record's task.
        site: index of the site whose batch brought it.
        batch: number of that batch at its site.
        taint: what changed for the worse since it was attested, as codes, ascending.

    """
    return encode(
        UpdateEntry(
            base_version=record.base_version,
            batch=batch,
            commit=commit,
            contributor=record.contributor.hex(),
            expires_height=record.expires_height,
            kind=KIND_NAMES[record.kind],
            num_examples=record.num_examples,
            payload=record.payload_digest.hex(),
            payload_size=record.payload_size_bytes,
            seq=record.seq,
            site=site,
            taint=tuple(taint),
            task=task,
            update_id=record.update_id.hex(),
        )
    )


def parse(data: bytes) -> Entry:
    """Return the entry in a leaf, strictly: `encode(parse(b)) == b`.

    Raises:
        PeerError: ENTRY_SIZE above 65,535 bytes; JSON_* when it is not canonical JSON;
            ENTRY_ASCII, ENTRY_VERSION, ENTRY_KIND, ENTRY_FIELDS for what it says.

    """
    if len(data) > ENTRY_BYTES_MAX:
        raise PeerError("ENTRY_SIZE", "an entry has at most 65,535 bytes", offset=ENTRY_BYTES_MAX)
    jcs.parse_canonical(data, size_max=ENTRY_BYTES_MAX)
    if not data.isascii():
        raise PeerError("ENTRY_ASCII", "strings of entries are ASCII")
    try:
        head = _decode_head(data)
    except msgspec.ValidationError:
        hint = "an entry has exactly apiVersion, kind and spec"
        raise PeerError("ENTRY_FIELDS", hint, field="$") from None
    if head.api_version != API_VERSION:
        raise PeerError("ENTRY_VERSION", f"this is {API_VERSION}", field="apiVersion")
    decoder = _decoders.get(head.kind)
    if decoder is None:
        raise PeerError("ENTRY_KIND", "not a kind of entry that this version knows", field="kind")
    try:
        return decoder(head.spec)
    except msgspec.ValidationError:
        hint = f"a spec of kind {head.kind} has other members or types"
        raise PeerError("ENTRY_FIELDS", hint, field="spec") from None


def kind_of(data: bytes) -> str:
    """Return the kind of one of our own entries without parsing it."""
    start = len(_KIND_PREFIX)
    return data[start : data.index(b'"', start)].decode()
