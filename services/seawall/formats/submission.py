"""The submission: what a contributor signs to offer one update.

The payload of its DSSE envelope is canonical JSON, so a submission has exactly one payload, and the
hash of that payload names the update: another valid signature over the same bytes is the same
update.

Source: docs/protocol.md, "A submission".
"""

import re
from collections.abc import Iterator
from typing import Final, NoReturn

import msgspec

from seawall.crypto.hashing import sha256
from seawall.crypto.signing import SigningKey
from seawall.errors import LocalError, PeerError
from seawall.formats import dsse, jcs
from seawall.formats.oms import CHUNK_SIZE

PAYLOAD_TYPE: Final = "application/vnd.seawall.submission+json"
VERSION: Final = 1
PAYLOAD_BYTES_MAX: Final = 4096
"""The longest submission payload; one with 16 metrics of the longest names is shorter."""

METRICS_MAX: Final = 16
KINDS: Final = ("delta", "root")
KINDS_RESERVED: Final = ("adapter", "sparse", "weights")

_ORIGIN: Final = re.compile(r"seawall/[0-9a-f]{16}")
_TASK: Final = re.compile(r"[a-z0-9-]{1,64}")
_METRIC: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_DIGEST_BYTES: Final = 32


class Submission(msgspec.Struct, frozen=True):
    """One update as its contributor offers it.

    Attributes:
        origin: the chain, `seawall/` and 16 hex digits.
        task: name of the task, `[a-z0-9-]{1,64}`.
        kind: `delta` for an ordinary update, `root` for a reference update.
        base_version: version of the model that was trained from.
        base_digest: payload digest of that version, 32 bytes.
        contributor: key id of the signer, 32 bytes.
        seq: the contributor's number for this update, from 1.
        expires_height: last commit index at which it may still be accepted.
        checkpoint_size: size of a recent checkpoint that the contributor saw.
        checkpoint_root: root of that checkpoint, 32 bytes.
        payload_digest: SHA-256 of the safetensors file, 32 bytes.
        payload_size: size of that file in bytes.
        manifest_digest: SHA-256 of the chunk manifest; None exactly when there is one chunk.
        provenance_digest: SHA-256 of the provenance statement, if there is one.
        num_examples: training examples that the contributor claims.
        metrics: claimed names and integers, sorted by name, at most 16.

    """

    origin: str
    task: str
    kind: str
    base_version: int
    base_digest: bytes
    contributor: bytes
    seq: int
    expires_height: int
    checkpoint_size: int
    checkpoint_root: bytes
    payload_digest: bytes
    payload_size: int
    manifest_digest: bytes | None
    provenance_digest: bytes | None
    num_examples: int
    metrics: tuple[tuple[str, int], ...]


class _Document(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """The JSON document; members stand in canonical order, so encoding them needs no sorting."""

    base_digest: str
    base_version: int
    checkpoint_root: str
    checkpoint_size: int
    contributor: str
    expires_height: int
    kind: str
    manifest_digest: str | None = None
    metrics: dict[str, int]
    num_examples: int
    origin: str
    payload_digest: str
    payload_size: int
    provenance_digest: str | None = None
    seq: int
    task: str
    v: int


_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_decode: Final = msgspec.json.Decoder(_Document).decode
_TEXTS: Final = (
    "baseDigest",
    "checkpointRoot",
    "contributor",
    "kind",
    "origin",
    "payloadDigest",
    "task",
)
_INTEGERS: Final = (
    "baseVersion",
    "checkpointSize",
    "expiresHeight",
    "numExamples",
    "payloadSize",
    "seq",
    "v",
)
_OPTIONAL_TEXTS: Final = ("manifestDigest", "provenanceDigest")


def to_payload(submission: Submission) -> bytes:
    """Return the canonical JSON that is signed.

    Raises:
        LocalError: the SUB_* code that a reader of this payload would answer.

    """
    try:
        _check(submission)
    except PeerError as error:
        raise LocalError(error.code, error.hint, field=error.field) from None
    manifest, provenance = submission.manifest_digest, submission.provenance_digest
    return _encode(
        _Document(
            base_digest=submission.base_digest.hex(),
            base_version=submission.base_version,
            checkpoint_root=submission.checkpoint_root.hex(),
            checkpoint_size=submission.checkpoint_size,
            contributor=submission.contributor.hex(),
            expires_height=submission.expires_height,
            kind=submission.kind,
            manifest_digest=None if manifest is None else manifest.hex(),
            metrics=dict(submission.metrics),
            num_examples=submission.num_examples,
            origin=submission.origin,
            payload_digest=submission.payload_digest.hex(),
            payload_size=submission.payload_size,
            provenance_digest=None if provenance is None else provenance.hex(),
            seq=submission.seq,
            task=submission.task,
            v=VERSION,
        )
    )


def from_payload(payload: bytes) -> Submission:
    """Return the submission in the payload of a verified envelope.

    Raises:
        PeerError: JSON_* for text that is not canonical JSON of at most 4,096 bytes; SUB_* with
            the field for everything else.

    """
    document = _decode_canonical(payload)
    if document is None:
        _refuse(payload)
    if document.v != VERSION:
        raise PeerError("SUB_VERSION", f"send version {VERSION}", field="v")
    manifest, provenance = document.manifest_digest, document.provenance_digest
    submission = Submission(
        origin=document.origin,
        task=document.task,
        kind=document.kind,
        base_version=document.base_version,
        base_digest=_digest(document.base_digest, "baseDigest"),
        contributor=_digest(document.contributor, "contributor"),
        seq=document.seq,
        expires_height=document.expires_height,
        checkpoint_size=document.checkpoint_size,
        checkpoint_root=_digest(document.checkpoint_root, "checkpointRoot"),
        payload_digest=_digest(document.payload_digest, "payloadDigest"),
        payload_size=document.payload_size,
        manifest_digest=None if manifest is None else _digest(manifest, "manifestDigest"),
        provenance_digest=(None if provenance is None else _digest(provenance, "provenanceDigest")),
        num_examples=document.num_examples,
        metrics=tuple(document.metrics.items()),
    )
    _check(submission)
    return submission


def update_id(payload: bytes) -> bytes:
    """Return the identity of an update: SHA-256 of the submission's payload, 32 bytes."""
    return sha256(payload)


def seal(submission: Submission, key: SigningKey) -> dsse.Envelope:
    """Return the submission, signed once, in its envelope.

    Raises:
        LocalError: as `to_payload`.

    """
    return dsse.sign(PAYLOAD_TYPE, to_payload(submission), key)


def _decode_canonical(payload: bytes) -> _Document | None:
    """Return the document when the payload is its only encoding, else None."""
    if len(payload) > PAYLOAD_BYTES_MAX:
        hint = f"send at most {PAYLOAD_BYTES_MAX} bytes"
        raise PeerError("SUB_SIZE", hint, offset=PAYLOAD_BYTES_MAX)
    try:
        document = _decode(payload)
        return document if _encode(document) == payload else None
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _refuse(payload: bytes) -> NoReturn:
    """Say what is wrong with a payload that did not decode to a document."""
    value = jcs.parse_canonical(payload, size_max=PAYLOAD_BYTES_MAX)
    if not isinstance(value, dict):
        raise PeerError("SUB_FIELD_TYPE", "send an object", field="$")
    for name in (*_TEXTS, *_INTEGERS, "metrics"):
        if name not in value:
            raise PeerError("SUB_FIELD_MISSING", "send every required member", field=name)
    if len(value) > len(_TEXTS) + len(_INTEGERS) + 1 + sum(n in value for n in _OPTIONAL_TEXTS):
        raise PeerError("SUB_FIELD_UNKNOWN", "send no other members", field="$")
    raise PeerError("SUB_FIELD_TYPE", "send the type of the schema", field=_mistyped(value))


def _mistyped(document: dict[str, jcs.JsonValue]) -> str:
    """Return the first member that is not of its type."""
    return next(_mistyped_members(document))


def _mistyped_members(document: dict[str, jcs.JsonValue]) -> Iterator[str]:
    """Yield the members that are not of their type."""
    for name in (*_TEXTS, *_OPTIONAL_TEXTS):
        if name in document and type(document[name]) is not str:
            yield name
    for name in _INTEGERS:
        if type(document[name]) is not int:
            yield name
    yield "metrics"


def _digest(text: str, field: str) -> bytes:
    """Return the 32 bytes that 64 lower-case hex digits spell."""
    if _DIGEST.fullmatch(text) is None:
        raise PeerError("SUB_DIGEST", "send 64 lower-case hex digits", field=field)
    return bytes.fromhex(text)


def _check(submission: Submission) -> None:
    """Refuse a submission that no task could accept; state is not looked at."""
    if _ORIGIN.fullmatch(submission.origin) is None:
        raise PeerError("SUB_ORIGIN", "send `seawall/` and 16 hex digits", field="origin")
    if _TASK.fullmatch(submission.task) is None:
        hint = "send 1 to 64 of a-z, 0-9 and hyphen"
        raise PeerError("SUB_TASK", hint, field="task")
    if submission.kind not in KINDS:
        reserved = submission.kind in KINDS_RESERVED
        hint = "this kind is reserved for later" if reserved else "send `delta` or `root`"
        raise PeerError("SUB_KIND", hint, field="kind")
    _check_range(submission.base_version, "baseVersion")
    _check_range(submission.seq, "seq", least=1)
    _check_range(submission.expires_height, "expiresHeight")
    _check_range(submission.checkpoint_size, "checkpointSize")
    _check_range(submission.payload_size, "payloadSize", least=1)
    _check_range(submission.num_examples, "numExamples")
    _check_digests(submission)
    if (submission.manifest_digest is None) != (submission.payload_size <= CHUNK_SIZE):
        hint = "bind a chunk manifest exactly when the payload is over one chunk of 1 MiB"
        raise PeerError("SUB_MANIFEST", hint, field="manifestDigest")
    _check_metrics(submission.metrics)


def _check_range(value: int, field: str, *, least: int = 0) -> None:
    """Refuse an integer outside what JSON keeps exactly."""
    if not least <= value <= jcs.INTEGER_MAX:
        raise PeerError("SUB_RANGE", f"send {least} to 2**53 - 1", field=field)


def _check_digests(submission: Submission) -> None:
    """Refuse a digest that is not 32 bytes; from JSON it always is."""
    for field, digest in (
        ("baseDigest", submission.base_digest),
        ("contributor", submission.contributor),
        ("checkpointRoot", submission.checkpoint_root),
        ("payloadDigest", submission.payload_digest),
        ("manifestDigest", submission.manifest_digest),
        ("provenanceDigest", submission.provenance_digest),
    ):
        if digest is not None and len(digest) != _DIGEST_BYTES:
            raise PeerError("SUB_DIGEST", "a digest has 32 bytes", field=field)


def _check_metrics(metrics: tuple[tuple[str, int], ...]) -> None:
    """Refuse too many metrics, odd names, any order but the sorted one."""
    if len(metrics) > METRICS_MAX:
        raise PeerError("SUB_METRICS", f"send at most {METRICS_MAX} metrics", field="metrics")
    before = ""
    for name, value in metrics:
        if _METRIC.fullmatch(name) is None or name <= before:
            hint = "sort metrics by name; a name is a letter, then up to 31 of a-z, 0-9 and _"
            raise PeerError("SUB_METRICS", hint, field="metrics")
        _check_range(value, "metrics")
        before = name
