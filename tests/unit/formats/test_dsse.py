import base64
import json
from pathlib import Path
from typing import Any

import pytest
import securesystemslib.dsse
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]  # not in __all__

from seawall.crypto.signing import SigningKey, key_id
from seawall.errors import PeerError
from seawall.formats import dsse
from seawall.formats.dsse import Envelope, Signature

GOLDEN = Path(__file__).parents[2] / "golden" / "formats"
KEY = SigningKey.from_seed(bytes(range(32)))
OTHER = SigningKey.from_seed(bytes(32))
TYPE = "application/vnd.seawall.test+json"
GOOD = dsse.sign(TYPE, b"payload", KEY)


def test_the_specification_vector() -> None:
    # DSSE 1.0.2, protocol.md, "Test Vectors".
    envelope = dsse.decode((GOLDEN / "dsse_specification.json").read_bytes(), size_max=1000)
    assert envelope.payload == b"hello world"
    assert envelope.payload_type == "http://example.com/HelloWorld"
    assert [len(signature.sig) for signature in envelope.signatures] == [64]
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert dsse.pae(envelope.payload_type, envelope.payload) == expected


def test_lengths_in_the_signed_bytes_count_bytes() -> None:
    assert dsse.pae("é", b"") == "DSSEv1 2 é 0 ".encode()


@given(st.binary(max_size=100), st.integers(0, 255))
def test_a_signed_payload_comes_back(payload: bytes, seed: int) -> None:
    key = SigningKey.from_seed(bytes([seed]) * 32)
    data = dsse.encode(dsse.sign(TYPE, payload, key))
    assert dsse.verify_one(dsse.decode(data, size_max=len(data)), TYPE, key.public) == payload


@given(st.binary(max_size=200))
def test_another_implementation_verifies_what_we_sign(payload: bytes) -> None:
    envelope = dsse.sign(TYPE, payload, KEY)
    theirs = securesystemslib.dsse.Envelope.from_dict(json.loads(dsse.encode(envelope)))
    assert theirs.pae() == dsse.pae(TYPE, payload)
    identity = key_id(KEY.public).hex()
    public = SSlibKey(identity, "ed25519", "ed25519", {"public": KEY.public.hex()})
    assert list(theirs.verify([public], 1)) == [identity]
    assert dsse.decode(json.dumps(theirs.to_dict()).encode(), size_max=1000) == envelope


def test_the_encoding_is_canonical_json() -> None:
    text = dsse.encode(Envelope("t", b"\xff\xfe", (Signature("k", b"\x00"),)))
    assert text == (
        b'{"payload":"//4=","payloadType":"t","signatures":[{"keyid":"k","sig":"AA=="}]}'
    )


@pytest.mark.parametrize(
    "text",
    [
        b'{"signatures":[{"sig":"AA=="}],"payloadType":"t","payload":"__4="}',
        b'{"payload":"//4=", "payloadType":"t", "signatures":[{"sig":"AA==","keyid":""}]}',
    ],
)
def test_either_alphabet_any_order_and_no_key_id_are_read(text: bytes) -> None:
    expected = Envelope("t", b"\xff\xfe", (Signature("", b"\x00"),))
    assert dsse.decode(text, size_max=100) == expected


def document(**changes: object) -> dict[str, Any]:
    good: dict[str, Any] = json.loads(dsse.encode(GOOD))
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


SIG = {"keyid": "", "sig": "AAAA"}


def signatures(count: int) -> list[dict[str, str]]:
    return [
        {"keyid": str(at), "sig": base64.b64encode(bytes([at])).decode()} for at in range(count)
    ]


@pytest.mark.parametrize(
    ("value", "code", "field"),
    [
        ([], "DSSE_FIELD", "$"),
        (document(payload=...), "DSSE_FIELD", "$.payload"),
        (document(payloadType=...), "DSSE_FIELD", "$.payloadType"),
        (document(signatures=...), "DSSE_FIELD", "$.signatures"),
        (document(extra=1), "DSSE_FIELD", "$"),
        (document(payload=1), "DSSE_FIELD", "payload"),
        (document(payload=None), "DSSE_FIELD", "payload"),
        (document(payloadType=[]), "DSSE_FIELD", "payloadType"),
        (document(signatures={}), "DSSE_FIELD", "signatures"),
        (document(signatures=[1]), "DSSE_FIELD", "signatures[0]"),
        (document(signatures=[{"keyid": ""}]), "DSSE_FIELD", "signatures[0].sig"),
        (document(signatures=[{**SIG, "cert": ""}]), "DSSE_FIELD", "signatures[0]"),
        (document(signatures=[{**SIG, "keyid": 1}]), "DSSE_FIELD", "signatures[0].keyid"),
        (document(payload="AAA"), "DSSE_BASE64", "payload"),
        (document(payload="AA=A"), "DSSE_BASE64", "payload"),
        (document(payload="AA== "), "DSSE_BASE64", "payload"),
        (document(payload="AA==AA=="), "DSSE_BASE64", "payload"),
        (document(payload="AB=="), "DSSE_BASE64", "payload"),
        (document(payload="A\nAA="), "DSSE_BASE64", "payload"),
        (document(payload="AAé="), "DSSE_BASE64", "payload"),
        (document(payload="+_4="), "DSSE_BASE64", "payload"),
        (document(payload="_/4="), "DSSE_BASE64", "payload"),
        (document(payload="===="), "DSSE_BASE64", "payload"),
        (document(signatures=[SIG, {"sig": "A"}]), "DSSE_BASE64", "signatures[1].sig"),
        (document(payloadType=""), "DSSE_TYPE", "payloadType"),
        (document(payloadType="a b"), "DSSE_TYPE", "payloadType"),
        (document(payloadType="é"), "DSSE_TYPE", "payloadType"),
        (document(payloadType="a\n"), "DSSE_TYPE", "payloadType"),
        (document(payloadType="a" * 256), "DSSE_TYPE", "payloadType"),
        (document(signatures=[]), "DSSE_SIGNATURES", "signatures"),
        (document(signatures=signatures(17)), "DSSE_SIGNATURES", "signatures"),
        (document(signatures=[{"sig": ""}]), "DSSE_SIGNATURE_SIZE", "signatures[0].sig"),
        (
            document(signatures=[{"sig": base64.b64encode(bytes(4097)).decode()}]),
            "DSSE_SIGNATURE_SIZE",
            "signatures[0].sig",
        ),
        (document(signatures=[{**SIG, "keyid": "\n"}]), "DSSE_KEYID", "signatures[0].keyid"),
        (document(signatures=[SIG, SIG]), "DSSE_KEY_TWICE", "signatures[1]"),
        (
            document(signatures=[{"keyid": "k", "sig": "AAAA"}, {"keyid": "k", "sig": "AAAB"}]),
            "DSSE_KEY_TWICE",
            "signatures[1]",
        ),
    ],
)
def test_a_bad_envelope_is_refused(value: object, code: str, field: str) -> None:
    with pytest.raises(PeerError) as refusal:
        dsse.decode(json.dumps(value, ensure_ascii=False).encode(), size_max=10_000)
    assert (refusal.value.code, refusal.value.field) == (code, field)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "JSON_TRUNCATED"),
        (b"\xef\xbb\xbf{}", "JSON_BOM"),
        (b"[" * 10_000, "JSON_DEPTH"),
        (b'{"payload":"","payload":"AAAA"}', "JSON_DUPLICATE_KEY"),
        (dsse.encode(GOOD) + b"{}", "JSON_TRAILING"),
        (dsse.encode(GOOD).ljust(10_001), "JSON_SIZE"),
        (b"\xff", "JSON_UTF8"),
    ],
)
def test_bad_json_is_refused(text: bytes, code: str) -> None:
    with pytest.raises(PeerError) as refusal:
        dsse.decode(text, size_max=10_000)
    assert refusal.value.code == code


def test_sixteen_signatures_are_read() -> None:
    data = json.dumps(document(signatures=signatures(16))).encode()
    assert len(dsse.decode(data, size_max=10_000).signatures) == 16


GOOD_SIGNATURE = GOOD.signatures[0]


@pytest.mark.parametrize(
    ("envelope", "code"),
    [
        (Envelope(TYPE + "x", GOOD.payload, GOOD.signatures), "DSSE_TYPE_UNSUPPORTED"),
        (Envelope(TYPE, b"Payload", GOOD.signatures), "DSSE_SIGNATURE"),
        (Envelope(TYPE, GOOD.payload, ()), "DSSE_SIGNATURES"),
        (
            Envelope(TYPE, GOOD.payload, (GOOD_SIGNATURE, Signature("", bytes(64)))),
            "DSSE_SIGNATURES",
        ),
        (Envelope(TYPE, GOOD.payload, (Signature("", bytes(64)),)), "DSSE_SIGNATURE"),
        (Envelope(TYPE, GOOD.payload, (Signature("", b"short"),)), "DSSE_SIGNATURE"),
        (Envelope(TYPE, GOOD.payload, (Signature("other", GOOD_SIGNATURE.sig),)), "DSSE_KEYID"),
        (dsse.sign(TYPE, GOOD.payload, OTHER), "DSSE_KEYID"),
    ],
)
def test_what_one_key_did_not_sign_as_one_type_is_refused(envelope: Envelope, code: str) -> None:
    with pytest.raises(PeerError) as refusal:
        dsse.verify_one(envelope, TYPE, KEY.public)
    assert refusal.value.code == code


def test_the_type_is_signed_with_the_payload() -> None:
    swapped = Envelope("other/type", GOOD.payload, GOOD.signatures)
    with pytest.raises(PeerError, match="DSSE_SIGNATURE"):
        dsse.verify_one(swapped, "other/type", KEY.public)


def test_a_key_id_is_only_a_hint() -> None:
    unnamed = Envelope(TYPE, GOOD.payload, (Signature("", GOOD_SIGNATURE.sig),))
    assert dsse.verify_one(unnamed, TYPE, KEY.public) == GOOD.payload


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_no_input_raises_anything_else(data: bytes) -> None:
    with pytest.raises(PeerError):
        dsse.decode(data, size_max=100)
