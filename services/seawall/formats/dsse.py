"""Dead Simple Signing Envelope: a payload, its type, and signatures over both.

What is verified is what is used: `verify_one` returns the payload bytes that the signature covers,
and callers parse those same bytes. Identity comes from the payload, never from the envelope, which
has many encodings.

Narrower than the specification on purpose: unknown members are refused instead of ignored, and a
key id that is given must be the hash of the key.

Source: DSSE 1.0.2, protocol.md and envelope.md.
"""

import binascii
import re
from typing import Final

import msgspec

from seawall.crypto.signing import SigningKey, key_id, verify
from seawall.errors import PeerError
from seawall.formats import jcs

SIGNATURES_MAX: Final = 16
SIGNATURE_BYTES_MAX: Final = 4096
"""Enough for every signature scheme in use; ML-DSA-44 takes 2,420."""
_TYPE: Final = re.compile(r"[\x21-\x7e]{1,255}")
_KEYID: Final = re.compile(r"[\x20-\x7e]{0,255}")
_URL_SAFE: Final = str.maketrans("-_", "+/")


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One signature and a hint, not authenticated, at the key that made it."""

    keyid: str
    sig: bytes


class Envelope(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename={"payload_type": "payloadType"},
):
    """A payload with its type and its signatures; nothing here is verified yet."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]


_encode: Final = msgspec.json.Encoder(order="sorted").encode
_decode: Final = msgspec.json.Decoder(Envelope).decode


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that a signature covers: both parts behind their lengths in bytes."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload_type: str, payload: bytes, key: SigningKey) -> Envelope:
    """Return the payload in an envelope with one Ed25519 signature."""
    signature = Signature(key_id(key.public).hex(), key.sign(pae(payload_type, payload)))
    return Envelope(payload_type, payload, (signature,))


def encode(envelope: Envelope) -> bytes:
    """Return the JSON envelope, itself canonical JSON, with standard base64."""
    return _encode(envelope)


def decode(data: bytes, *, size_max: int) -> Envelope:
    """Return the envelope in a JSON text of at most `size_max` bytes.

    Raises:
        PeerError: JSON_* for the text; DSSE_FIELD, DSSE_BASE64, DSSE_TYPE, DSSE_SIGNATURES,
            DSSE_SIGNATURE_SIZE, DSSE_KEY_TWICE for what it says.

    """
    envelope = _decode_fast(data, size_max)
    if envelope is None:
        envelope = _decode_exact(data, size_max)
    if _TYPE.fullmatch(envelope.payload_type) is None:
        hint = "name the payload type in 1 to 255 visible ASCII characters"
        raise PeerError("DSSE_TYPE", hint, field="payloadType")
    if not 1 <= len(envelope.signatures) <= SIGNATURES_MAX:
        raise PeerError("DSSE_SIGNATURES", "send 1 to 16 signatures", field="signatures")
    for at, signature in enumerate(envelope.signatures):
        if _KEYID.fullmatch(signature.keyid) is None:
            hint = "use at most 255 printable ASCII characters"
            raise PeerError("DSSE_KEYID", hint, field=f"signatures[{at}].keyid")
        if not 1 <= len(signature.sig) <= SIGNATURE_BYTES_MAX:
            hint = f"a signature has 1 to {SIGNATURE_BYTES_MAX} bytes"
            raise PeerError("DSSE_SIGNATURE_SIZE", hint, field=f"signatures[{at}].sig")
    _check_keys_once(envelope.signatures)
    return envelope


def verify_one(envelope: Envelope, payload_type: str, public: bytes) -> bytes:
    """Return the payload that one known key signed as one known type.

    Args:
        envelope: as decoded.
        payload_type: the only type that the caller understands.
        public: Ed25519 key, 32 bytes.

    Raises:
        PeerError: DSSE_TYPE_UNSUPPORTED; DSSE_SIGNATURES unless there is exactly one;
            DSSE_KEYID for a hint at another key; DSSE_SIGNATURE for a bad one.

    """
    if envelope.payload_type != payload_type:
        hint = "send the payload type that this call takes"
        raise PeerError("DSSE_TYPE_UNSUPPORTED", hint, field="payloadType")
    if len(envelope.signatures) != 1:
        raise PeerError("DSSE_SIGNATURES", "send exactly one signature", field="signatures")
    signature = envelope.signatures[0]
    if signature.keyid and signature.keyid != key_id(public).hex():
        hint = "leave the key id empty or send the hash of the signing key"
        raise PeerError("DSSE_KEYID", hint, field="signatures[0].keyid")
    if not verify(public, pae(payload_type, envelope.payload), signature.sig):
        hint = "sign the pre-authentication encoding with the enrolled key"
        raise PeerError("DSSE_SIGNATURE", hint, field="signatures[0].sig")
    return envelope.payload


def _decode_fast(data: bytes, size_max: int) -> Envelope | None:
    """Return the envelope when its text is the one that `encode` writes, else None."""
    if len(data) > size_max:
        raise PeerError("JSON_SIZE", f"send at most {size_max} bytes", offset=size_max)
    try:
        envelope = _decode(data)
        return envelope if _encode(envelope) == data else None
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _decode_exact(data: bytes, size_max: int) -> Envelope:
    """Return the envelope in any JSON text that spells one, or say what is wrong."""
    members = _members(
        jcs.parse_strict(data, size_max=size_max), "$", ("payload", "payloadType", "signatures")
    )
    entries = members["signatures"]
    if not isinstance(entries, list):
        raise PeerError("DSSE_FIELD", "send an array", field="signatures")
    signatures = []
    for at, entry in enumerate(entries):
        place = f"signatures[{at}]"
        parts = _members(entry, place, ("sig",), ("keyid",))
        keyid = _text(parts.get("keyid", ""), f"{place}.keyid")
        signatures.append(Signature(keyid, _base64(parts["sig"], f"{place}.sig")))
    return Envelope(
        _text(members["payloadType"], "payloadType"),
        _base64(members["payload"], "payload"),
        tuple(signatures),
    )


def _members(
    value: jcs.JsonValue, field: str, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, jcs.JsonValue]:
    """Return an object that has all required members and no unknown ones."""
    if not isinstance(value, dict):
        raise PeerError("DSSE_FIELD", "send an object", field=field)
    for name in required:
        if name not in value:
            raise PeerError("DSSE_FIELD", "send every required member", field=f"{field}.{name}")
    if any(name not in required and name not in optional for name in value):
        raise PeerError("DSSE_FIELD", "send no unknown members", field=field)
    return value


def _text(value: jcs.JsonValue, field: str) -> str:
    """Return a string member."""
    if not isinstance(value, str):
        raise PeerError("DSSE_FIELD", "send a string", field=field)
    return value


def _base64(value: jcs.JsonValue, field: str) -> bytes:
    """Return the bytes of standard or URL-safe base64 in its one canonical spelling."""
    text = _text(value, field)
    url_safe = "-" in text or "_" in text
    standard = text.translate(_URL_SAFE) if url_safe else text
    hint = "send padded base64 of one alphabet, without white space or unused bits"
    try:
        data = binascii.a2b_base64(standard.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        raise PeerError("DSSE_BASE64", hint, field=field) from None
    mixed = url_safe and ("+" in text or "/" in text)
    if mixed or binascii.b2a_base64(data, newline=False).decode() != standard:
        raise PeerError("DSSE_BASE64", hint, field=field)
    return data


def _check_keys_once(signatures: tuple[Signature, ...]) -> None:
    """Refuse two signatures that claim one key, or are one signature."""
    seen: dict[str | bytes, None] = {}
    for at, signature in enumerate(signatures):
        if signature.sig in seen or (signature.keyid and signature.keyid in seen):
            hint = "let each key sign once"
            raise PeerError("DSSE_KEY_TWICE", hint, field=f"signatures[{at}]")
        seen[signature.sig] = None
        seen[signature.keyid] = None
