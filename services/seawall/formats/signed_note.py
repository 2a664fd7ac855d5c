"""C2SP signed notes: a text, a blank line, and one line per signature.

A note is text ‖ newline ‖ lines, where the text ends with a newline and every line is an em dash,
a space, the key's name, a space, base64(4-byte key id ‖ signature) and a newline. Names and key
ids only say which key to try; trust comes from keys the reader already has.

Source: c2sp.org/signed-note.
"""

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, Self

import msgspec

from seawall.crypto.signing import PUBLIC_KEY_BYTES, SigningKey, verify
from seawall.errors import PeerError

ED25519: Final = 0x01
"""Signature type: plain Ed25519 over the text."""

COSIGNATURE_V1: Final = 0x04
"""Signature type: timestamped Ed25519 cosignature of a checkpoint (`cosignature` module)."""

KEY_HASH_BYTES: Final = 4
SIGNATURE_LINES_MAX: Final = 100
NOTE_BYTES_MAX: Final = 1 << 20

_DASH: Final = "\u2014 "
_VKEY_PARTS: Final = 3
_CONTROL: Final = bytes(code for code in range(0x20) if code != ord("\n"))


class NoteSignature(msgspec.Struct, frozen=True):
    """One signature line, not yet verified."""

    name: str
    """Key name: not empty, without spaces and without '+'."""
    key_hash: bytes
    """Key id, 4 bytes, as `key_hash` computes it."""
    signature: bytes
    """What the signature type defines; at least one byte."""


class SignedNote(msgspec.Struct, frozen=True):
    """A note whose form is right and whose signatures are not yet verified."""

    text: bytes
    """What is signed: UTF-8, ends with a newline."""
    signatures: tuple[NoteSignature, ...]
    """Signature lines in the order of the note, 1 to 100."""


class NoteKey(msgspec.Struct, frozen=True):
    """A public key that may stand under notes: a name, a signature type, 32 bytes."""

    name: str
    public: bytes
    signature_type: int = ED25519

    def key_hash(self) -> bytes:
        """Return the key id that this key's signature lines carry, 4 bytes."""
        return key_hash(self.name, self.signature_type, self.public)

    def encode(self) -> str:
        """Return the verifier key `<name>+<key id in hex>+<base64(type ‖ key)>`."""
        material = encode_base64(bytes((self.signature_type,)) + self.public)
        return f"{self.name}+{self.key_hash().hex()}+{material}"

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """Read a verifier key of a type with Ed25519 keys (0x01, 0x04).

        Raises PeerError `LOG_VKEY` when the form or the length is wrong, `LOG_VKEY_TYPE` for
        another signature type, `LOG_VKEY_HASH` when the key id does not belong to the key.
        """
        parts = vkey.split("+", _VKEY_PARTS - 1)
        material = decode_base64(parts[-1].encode()) if len(parts) == _VKEY_PARTS else None
        if material is None or not is_key_name(parts[0]):
            raise PeerError("LOG_VKEY", "write <name>+<8 hex digits>+<base64>", field="vkey")
        if material[:1] not in (bytes((ED25519,)), bytes((COSIGNATURE_V1,))):
            raise PeerError("LOG_VKEY_TYPE", "only types 0x01 and 0x04 are used", field="vkey")
        if len(material) != 1 + PUBLIC_KEY_BYTES:
            raise PeerError("LOG_VKEY", "an Ed25519 key is exactly 32 bytes", field="vkey")
        key = cls(parts[0], material[1:], material[0])
        if parts[1] != key.key_hash().hex():
            raise PeerError("LOG_VKEY_HASH", "the key id is not that of this key", field="vkey")
        return key


def key_hash(name: str, signature_type: int, public: bytes) -> bytes:
    """Return the key id SHA-256(name ‖ 0x0A ‖ type ‖ key)[:4], 4 bytes."""
    material = name.encode() + b"\n" + bytes((signature_type,)) + public
    return sha256(material).digest()[:KEY_HASH_BYTES]


def is_key_name(name: str) -> bool:
    """Return whether `name` may stand in a signature line: no space, no '+', not empty."""
    return bool(name) and "+" not in name and not any(c.isspace() or c < " " for c in name)


def encode_base64(data: bytes) -> str:
    """Return standard base64 with padding, on one line (RFC 4648, section 4)."""
    return b2a_base64(data, newline=False).decode()


def decode_base64(text: bytes) -> bytes | None:
    """Return the bytes of standard base64 with padding, or None when it is not exactly that.

    Only the one text that `encode_base64` writes is taken: no white space, no missing padding,
    no stray bits in the last character. So equal bytes always have equal text.
    """
    try:
        data = a2b_base64(text, strict_mode=True)
    except Base64Error:
        return None
    return data if b2a_base64(data, newline=False) == text else None


def sign(text: bytes, name: str, key: SigningKey) -> NoteSignature:
    """Return a plain Ed25519 signature (type 0x01) over the text of a note."""
    return NoteSignature(name, key_hash(name, ED25519, key.public), key.sign(text))


def format_line(signature: NoteSignature) -> bytes:
    """Return the signature line, with its newline."""
    assert is_key_name(signature.name), "a key name has no spaces and no '+'"
    assert len(signature.key_hash) == KEY_HASH_BYTES, "a key id is 4 bytes"
    blob = encode_base64(signature.key_hash + signature.signature)
    return f"{_DASH}{signature.name} {blob}\n".encode()


def format_note(text: bytes, signatures: Sequence[NoteSignature]) -> bytes:
    """Return the note of this text with 1 to 100 signature lines, in the given order."""
    assert text.endswith(b"\n"), "the text of a note ends with a newline"
    assert 1 <= len(signatures) <= SIGNATURE_LINES_MAX, "1 to 100 signatures"
    return b"".join((text, b"\n", *map(format_line, signatures)))


def parse(note: bytes) -> SignedNote:
    """Read a note, strictly, without verifying any signature.

    Raises PeerError:
        LOG_NOTE_SIZE: more than 1 MiB.
        LOG_NOTE_UTF8: not UTF-8.
        LOG_NOTE_CONTROL: an ASCII control character other than newline.
        LOG_NOTE_NEWLINE: no newline at the end.
        LOG_NOTE_SEPARATOR: no blank line between text and signatures.
        LOG_NOTE_LINES: no signature line, or more than 100.
        LOG_NOTE_LINE, LOG_NOTE_NAME, LOG_NOTE_BASE64: a malformed signature line.
    """
    if len(note) > NOTE_BYTES_MAX:
        raise PeerError("LOG_NOTE_SIZE", "a note is at most 1 MiB")
    _check_characters(note)
    if not note.endswith(b"\n"):
        raise PeerError("LOG_NOTE_NEWLINE", "end the last line with a newline", offset=len(note))
    separator = note.rfind(b"\n\n")
    if separator < 0:
        raise PeerError("LOG_NOTE_SEPARATOR", "put a blank line before the signatures")
    lines = note[separator + 2 : -1].split(b"\n") if separator + 2 < len(note) else []
    if not 1 <= len(lines) <= SIGNATURE_LINES_MAX:
        raise PeerError("LOG_NOTE_LINES", "a note has 1 to 100 signature lines")
    offset = separator + 2
    signatures: list[NoteSignature] = []
    for line in lines:
        signatures.append(_parse_line(line, offset))
        offset += len(line) + 1
    return SignedNote(note[: separator + 1], tuple(signatures))


def signatures_of(note: SignedNote, name: str, key_hash: bytes) -> list[bytes]:
    """Return what the lines with this name and key id carry, in the order of the note."""
    return [s.signature for s in note.signatures if s.name == name and s.key_hash == key_hash]


def verify_note(note: SignedNote, keys: Sequence[NoteKey]) -> list[NoteKey]:
    """Return those of our plain Ed25519 keys (type 0x01) that signed the note, in our order.

    Lines of other keys are ignored, also when they share a name or a key id, not both, with one
    of ours.

    Raises PeerError:
        LOG_NOTE_SIGNATURE: a line names one of our keys and its signature is bad, even beside a
            good one.
        LOG_NOTE_UNSIGNED: no line is of one of our keys.
    """
    signers: list[NoteKey] = []
    for key in keys:
        assert key.signature_type == ED25519, "cosignatures are verified by their own module"
        blobs = signatures_of(note, key.name, key.key_hash())
        if not all(verify(key.public, note.text, blob) for blob in blobs):
            raise PeerError("LOG_NOTE_SIGNATURE", "the signature is not of this text and key")
        if blobs:
            signers.append(key)
    if not signers:
        raise PeerError("LOG_NOTE_UNSIGNED", "no signature is of a known key")
    return signers


def _check_characters(note: bytes) -> None:
    """Refuse anything but UTF-8 without control characters."""
    try:
        note.decode()
    except UnicodeDecodeError as error:
        raise PeerError("LOG_NOTE_UTF8", "a note is UTF-8 text", offset=error.start) from None
    if len(note.translate(None, _CONTROL)) < len(note):
        offset = next(i for i, byte in enumerate(note) if byte in _CONTROL)
        raise PeerError("LOG_NOTE_CONTROL", "newline is the only control character", offset=offset)


def _parse_line(line: bytes, offset: int) -> NoteSignature:
    """Read one signature line, without its newline; `offset` is where it stands in the note."""
    parts = line.decode().removeprefix(_DASH).split(" ")
    if not line.startswith(_DASH.encode()) or len(parts) != 2:  # noqa: PLR2004 -- name, base64
        raise PeerError("LOG_NOTE_LINE", "write: em dash, name, base64", offset=offset)
    name, blob = parts
    if not is_key_name(name):
        raise PeerError("LOG_NOTE_NAME", "a key name has no spaces and no '+'", offset=offset)
    data = decode_base64(blob.encode())
    if data is None or len(data) <= KEY_HASH_BYTES:
        raise PeerError(
            "LOG_NOTE_BASE64", "write padded base64 of key id and signature", offset=offset
        )
    return NoteSignature(name, data[:KEY_HASH_BYTES], data[KEY_HASH_BYTES:])
