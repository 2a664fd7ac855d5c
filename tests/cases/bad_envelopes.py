"""Bad sizes, JSON, envelopes, keys and claims: what is refused before a statement is read."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from seawall.crypto.signing import SigningKey, key_id
from seawall.formats import dsse, jcs, submission
from tests.cases.authors import WIDE, Author, Signed
from tests.cases.case import Case, flip

GROUP_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
STRANGER: Final = SigningKey.from_seed(bytes(32))


def envelope_cases() -> Iterator[Case]:
    """Yield every row."""
    yield from _sizes()
    yield from _envelope_json()
    yield from _envelopes()
    yield from _signatures()
    yield from _identities()
    yield from _submissions()
    yield from _contexts()


# --- sizes ---------------------------------------------------------------------------------------


def _sizes() -> Iterator[Case]:
    def long_envelope(author: Author) -> Signed:
        update = author.update()
        return Signed(envelope=update.envelope + b" " * (1 << 16), payload=update.payload)

    def long_provenance(author: Author) -> Signed:
        update = author.update()
        return Signed(
            envelope=update.envelope, provenance=b" " * ((1 << 16) + 1), payload=update.payload
        )

    def long_manifest(author: Author) -> Signed:
        update = author.update(WIDE)
        return Signed(envelope=update.envelope, manifest=b" " * ((1 << 20) + 1))

    def long_together(author: Author) -> Signed:
        update = author.update(WIDE)
        return Signed(envelope=update.envelope, manifest=b" " * (1 << 20))

    yield Case(name="envelope too long", make=long_envelope, code="TOO_LARGE", field="envelope")
    yield Case(
        name="provenance too long", make=long_provenance, code="TOO_LARGE", field="provenance"
    )
    yield Case(name="manifest too long", make=long_manifest, code="TOO_LARGE", field="manifest")
    yield Case(
        name="statements too long together", make=long_together, code="TOO_LARGE", field="manifest"
    )
    yield Case(
        name="payload larger than any task's",
        make=lambda author: author.update(payload_size=1 << 31, manifest_digest=bytes(32)),
        code="TOO_LARGE",
        field="payloadSize",
    )


# --- JSON ----------------------------------------------------------------------------------------


def _envelope_json() -> Iterator[Case]:
    def row(name: str, code: str, text: bytes, offset: int) -> Case:
        return Case(
            name=f"envelope: {name}",
            make=lambda _: Signed(envelope=text),
            code=code,
            field="envelope",
            offset=offset,
        )

    yield row("member given twice", "JSON_DUPLICATE_KEY", b'{"a":1,"a":2}', 7)
    yield row("member given twice by escape", "JSON_DUPLICATE_KEY", b'{"a":1,"\\u0061":2}', 7)
    yield row("nested member given twice", "JSON_DUPLICATE_KEY", b'{"a":{"b":1,"b":2}}', 12)
    yield row("NaN", "JSON_NUMBER", b'{"a":NaN}', 5)
    yield row("float", "JSON_FLOAT", b'{"a":1.5}', 5)
    yield row("number beyond double", "JSON_FLOAT", b'{"a":1e400}', 5)
    yield row("byte order mark", "JSON_BOM", b"\xef\xbb\xbf{}", 0)
    yield row("lone surrogate", "JSON_SURROGATE", b'{"a":"\\ud800"}', 6)
    yield row("overlong UTF-8", "JSON_UTF8", b'{"a":"\xc0\xaf"}', 6)
    yield row("text after the value", "JSON_TRAILING", b"{} {}", 3)
    yield row("cut off", "JSON_TRUNCATED", b'{"a":', 5)
    yield row("integer beyond 2^53", "JSON_INTEGER_RANGE", b'{"a":9007199254740992}', 5)
    yield row("nested too deeply", "JSON_DEPTH", b"[" * 33 + b"]" * 33, 32)
    yield row("empty", "JSON_TRUNCATED", b"", 0)
    yield row("compressed", "JSON_UTF8", b"\x1f\x8b\x08", 1)
    yield row("no JSON", "JSON_SYNTAX", b"<a/>", 0)


# --- envelopes -----------------------------------------------------------------------------------

Change = Callable[[dict[str, Any]], object]


def _spoilt(name: str, code: str, field: str, change: Change) -> Case:
    """Return the case of a good envelope in which one thing is changed after it was signed."""

    def make(author: Author) -> Signed:
        document = json.loads(dsse.encode(author.envelope()))
        change(document)
        return Signed(envelope=json.dumps(document).encode())

    return Case(name=f"envelope: {name}", make=make, code=code, field=field)


def _first(document: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = document["signatures"][0]
    return entry


def _sign_again(document: dict[str, Any], change: Callable[[bytes], bytes]) -> None:
    entry = _first(document)
    entry["sig"] = _base64(change(base64.b64decode(entry["sig"])))


def _envelopes() -> Iterator[Case]:
    for what, text in (("junk", "!QQ=="), ("bad padding", "QQ"), ("unused bits", "QR==")):
        yield _spoilt(
            f"base64 with {what}",
            "DSSE_BASE64",
            "payload",
            lambda d, text=text: d.update(payload=text),  # type: ignore[misc]  # bound early
        )
    yield _spoilt("empty type", "DSSE_TYPE", "payloadType", lambda d: d.update(payloadType=""))
    yield _spoilt(
        "unsupported type",
        "DSSE_TYPE_UNSUPPORTED",
        "payloadType",
        lambda d: d.update(payloadType="application/vnd.in-toto+json"),
    )
    yield _spoilt(
        "no signature", "DSSE_SIGNATURES", "signatures", lambda d: d.update(signatures=[])
    )
    yield _spoilt(
        "17 signatures",
        "DSSE_SIGNATURES",
        "signatures",
        lambda d: d.update(
            signatures=[{"keyid": f"{at}", "sig": _base64(bytes([at]))} for at in range(17)]
        ),
    )
    yield _spoilt(
        "one key twice",
        "DSSE_KEY_TWICE",
        "signatures[1]",
        lambda d: d["signatures"].append({"keyid": _first(d)["keyid"], "sig": "QQ=="}),
    )
    yield _spoilt(
        "bad signature beside a good one",
        "DSSE_SIGNATURES",
        "signatures",
        lambda d: d["signatures"].append({"keyid": "", "sig": "QQ=="}),
    )
    yield _spoilt("no payload", "DSSE_FIELD", "$.payload", lambda d: d.pop("payload"))
    yield _spoilt("unknown member", "DSSE_FIELD", "$", lambda d: d.update(extra=1))


def _signatures() -> Iterator[Case]:
    field = "signatures[0].sig"
    yield _spoilt("signature junk", "DSSE_BASE64", field, lambda d: _first(d).update(sig="*"))
    yield _spoilt(
        "empty signature", "DSSE_SIGNATURE_SIZE", field, lambda d: _first(d).update(sig="")
    )
    yield _spoilt(
        "one bit of the signature",
        "DSSE_SIGNATURE",
        field,
        lambda d: _sign_again(d, lambda signature: flip(signature, 5)),
    )
    yield _spoilt(
        "S above the group order",
        "DSSE_SIGNATURE",
        field,
        lambda d: _sign_again(d, _raise_s),
    )
    yield _spoilt(
        "one bit of the payload",
        "DSSE_SIGNATURE",
        field,
        lambda d: d.update(payload=_base64(flip(base64.b64decode(d["payload"]), 40))),
    )

    def bare(author: Author) -> Signed:
        envelope = author.envelope()
        entry = dsse.Signature(envelope.signatures[0].keyid, author.key.sign(envelope.payload))
        return Signed(envelope=dsse.encode(msgspec.structs.replace(envelope, signatures=(entry,))))

    def swapped(author: Author) -> Signed:
        envelope = dsse.sign("application/vnd.other", author.envelope().payload, author.key)
        claimed = msgspec.structs.replace(envelope, payload_type=submission.PAYLOAD_TYPE)
        return Signed(envelope=dsse.encode(claimed))

    name = "envelope: signature of the bare payload"
    yield Case(name=name, make=bare, code="DSSE_SIGNATURE", field=field)
    name = "envelope: signed under another type"
    yield Case(name=name, make=swapped, code="DSSE_SIGNATURE", field=field)


# --- identities ----------------------------------------------------------------------------------


def _identities() -> Iterator[Case]:
    def stranger(author: Author) -> Signed:
        claim = author.claim(author.payload(), contributor=key_id(STRANGER.public))
        return Signed(envelope=author.seal(claim, key=STRANGER))

    def unnamed(author: Author) -> Signed:
        envelope = author.envelope()
        signature = msgspec.structs.replace(envelope.signatures[0], keyid="")
        return Signed(
            envelope=dsse.encode(msgspec.structs.replace(envelope, signatures=(signature,)))
        )

    def for_another(author: Author) -> Signed:
        claim = author.claim(author.payload(), contributor=key_id(STRANGER.public))
        return Signed(envelope=author.seal(claim))

    field = "signatures[0].keyid"
    yield Case(name="key that nobody enrolled", make=stranger, code="KEY_UNKNOWN", field=field)
    yield Case(name="key that is not named", make=unnamed, code="KEY_UNKNOWN", field=field)
    yield Case(
        name="claim for another key", make=for_another, code="KEY_MISMATCH", field="contributor"
    )
    yield Case(
        name="root update by a plain contributor",
        make=lambda author: author.update(kind="root"),
        code="KEY_ROLE",
        field="kind",
    )


# --- submissions ---------------------------------------------------------------------------------


def _claimed(name: str, code: str, field: str, change: Change) -> Case:
    """Return the case of a submission in which one thing is changed before it is signed."""

    def make(author: Author) -> Signed:
        document = json.loads(author.envelope().payload)
        change(document)
        return Signed(envelope=author.seal_bytes(jcs.canonical(document)))

    return Case(name=f"submission: {name}", make=make, code=code, field=field)


MEMBERS: Final = (
    ("seq as text", "SUB_FIELD_TYPE", "seq", "1"),
    ("seq as truth value", "SUB_FIELD_TYPE", "seq", True),
    ("version 2", "SUB_VERSION", "v", 2),
    ("origin", "SUB_ORIGIN", "origin", "seawall/XYZ"),
    ("task name", "SUB_TASK", "task", "../small"),
    ("reserved kind", "SUB_KIND", "kind", "sparse"),
    ("seq 0", "SUB_RANGE", "seq", 0),
    ("negative size", "SUB_RANGE", "payloadSize", -1),
    ("upper-case digest", "SUB_DIGEST", "payloadDigest", "A" * 64),
    ("short digest", "SUB_DIGEST", "baseDigest", "ab" * 31),
    ("metric name", "SUB_METRICS", "metrics", {"Loss": 1}),
    ("manifest for one chunk", "SUB_MANIFEST", "manifestDigest", "ab" * 32),
    ("wide seq", "SUB_RECORD", "seq", 1 << 48),
    ("many examples", "SUB_RECORD", "numExamples", 1 << 32),
)
"""Members of a submission, and values that are refused: name, code, member, value."""


def _submissions() -> Iterator[Case]:
    def spaced(author: Author) -> Signed:
        return Signed(envelope=author.seal_bytes(author.envelope().payload + b" "))

    def twice(author: Author) -> Signed:
        payload = author.envelope().payload
        return Signed(envelope=author.seal_bytes(payload[:-1] + b',"v":1}'))

    def long(author: Author) -> Signed:
        return Signed(envelope=author.seal_bytes(b'{"a":"' + b"a" * 4096 + b'"}'))

    place = "envelope.payload"
    name = "submission: not canonical"
    yield Case(name=name, make=spaced, code="JSON_NOT_CANONICAL", field=place)
    name = "submission: member twice"
    yield Case(name=name, make=twice, code="JSON_DUPLICATE_KEY", field=place)
    yield Case(name="submission: too long", make=long, code="SUB_SIZE", field=place, offset=4096)
    yield _claimed("no seq", "SUB_FIELD_MISSING", "seq", lambda d: d.pop("seq"))
    yield _claimed("unknown member", "SUB_FIELD_UNKNOWN", "$", lambda d: d.update(extra=1))
    for what, code, member, value in MEMBERS:
        yield _claimed(
            what,
            code,
            member,
            lambda d, member=member, value=value: d.update({member: value}),  # type: ignore[misc]  # bound early
        )


def _contexts() -> Iterator[Case]:
    def elsewhere(author: Author) -> Signed:
        claim = msgspec.structs.replace(author.claim(author.payload()), task="other")
        return Signed(envelope=author.seal(claim))

    yield Case(
        name="signed for another chain",
        make=lambda author: author.update(origin="seawall/0000000000000000"),
        code="REPLAY_ORIGIN",
        field="origin",
    )
    yield Case(
        name="no such task",
        make=elsewhere,
        code="REPLAY_TASK",
        field="task",
    )
    yield Case(
        name="payload of another task's size",
        make=lambda author: author.update(payload_size=4),
        code="VAL_MANIFEST",
        field="payloadSize",
    )


# --- parts ---------------------------------------------------------------------------------------


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _raise_s(signature: bytes) -> bytes:
    """Return the same signature with the group order added to S: malleable where unchecked."""
    s = int.from_bytes(signature[32:], "little") + GROUP_ORDER
    return signature[:32] + s.to_bytes(32, "little")
