"""in-toto Statement v1 with exactly one subject, known by its SHA-256.

Narrower than the specification on purpose: one subject, one digest algorithm, no unknown members
outside the predicate. Two readers of one statement cannot then understand it differently.

Source: in-toto Attestation Framework, spec/v1/statement.md.
"""

import re
from typing import Final

import msgspec

from seawall.errors import LocalError, PeerError
from seawall.formats import jcs, names

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
DIGEST_BYTES: Final = 32
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class Subject(msgspec.Struct, frozen=True):
    """What a statement is about: a relative path and a SHA-256 digest of 32 bytes."""

    name: str
    sha256: bytes


class Statement(msgspec.Struct, frozen=True):
    """A claim of one type about one subject; the predicate is plain JSON."""

    subject: Subject
    predicate_type: str
    predicate: dict[str, jcs.JsonValue]


def encode(statement: Statement) -> bytes:
    """Return the statement as canonical JSON.

    Raises:
        LocalError: STMT_NAME or STMT_DIGEST for the subject; JSON_* for the predicate.

    """
    subject = statement.subject
    fault = names.path_fault(subject.name)
    if fault is not None:
        raise LocalError("STMT_NAME", fault, field="subject.name")
    if len(subject.sha256) != DIGEST_BYTES:
        raise LocalError("STMT_DIGEST", "a digest has 32 bytes", field="subject.sha256")
    return jcs.canonical(
        {
            "_type": STATEMENT_TYPE,
            "predicate": statement.predicate,
            "predicateType": statement.predicate_type,
            "subject": [{"digest": {"sha256": subject.sha256.hex()}, "name": subject.name}],
        }
    )


def decode(data: bytes, *, size_max: int, predicate_type: str) -> Statement:
    """Return the statement in a JSON text, which must be of one known predicate type.

    Raises:
        PeerError: JSON_* for the text; STMT_FIELD, STMT_TYPE, STMT_PREDICATE_TYPE, STMT_SUBJECT,
            STMT_NAME, STMT_DIGEST with the field.

    """
    document = members(
        jcs.parse_strict(data, size_max=size_max),
        "$",
        required=("_type", "predicate", "predicateType", "subject"),
    )
    if document["_type"] != STATEMENT_TYPE:
        raise PeerError("STMT_TYPE", "send an in-toto Statement v1", field="_type")
    if document["predicateType"] != predicate_type:
        hint = "send the predicate type that this call takes"
        raise PeerError("STMT_PREDICATE_TYPE", hint, field="predicateType")
    subjects = document["subject"]
    if not isinstance(subjects, list) or len(subjects) != 1:
        raise PeerError("STMT_SUBJECT", "send exactly one subject", field="subject")
    subject = members(subjects[0], "subject[0]", required=("digest", "name"))
    predicate = document["predicate"]
    if not isinstance(predicate, dict):
        raise PeerError("STMT_FIELD", "send an object", field="predicate")
    name = path(subject["name"], "subject[0].name")
    digest = digest_set(subject["digest"], "subject[0].digest")
    return Statement(Subject(name, digest), predicate_type, predicate)


def members(
    value: jcs.JsonValue, field: str, *, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, jcs.JsonValue]:
    """Return an object that has all required members and no unknown ones, or refuse it."""
    if not isinstance(value, dict):
        raise PeerError("STMT_FIELD", "send an object", field=field)
    for name in required:
        if name not in value:
            raise PeerError("STMT_FIELD", "send every required member", field=f"{field}.{name}")
    if any(name not in required and name not in optional for name in value):
        raise PeerError("STMT_FIELD", "send no unknown members", field=field)
    return value


def text(value: jcs.JsonValue, field: str) -> str:
    """Return a string, or refuse it."""
    if not isinstance(value, str):
        raise PeerError("STMT_FIELD", "send a string", field=field)
    return value


def path(value: jcs.JsonValue, field: str) -> str:
    """Return a safe relative path, or refuse it."""
    name = text(value, field)
    fault = names.path_fault(name)
    if fault is not None:
        raise PeerError("STMT_NAME", fault, field=field)
    return name


def hex_digest(value: jcs.JsonValue, field: str) -> bytes:
    """Return the 32 bytes that 64 lower-case hex digits spell, or refuse them."""
    if not isinstance(value, str) or _DIGEST.fullmatch(value) is None:
        raise PeerError("STMT_DIGEST", "send 64 lower-case hex digits", field=field)
    return bytes.fromhex(value)


def digest_set(value: jcs.JsonValue, field: str, *, algorithm: str = "sha256") -> bytes:
    """Return the one digest of a DigestSet, 32 bytes; other algorithms beside it are refused."""
    if not isinstance(value, dict) or list(value) != [algorithm]:
        raise PeerError("STMT_DIGEST", f"send one {algorithm} digest", field=field)
    return hex_digest(value[algorithm], field)
