"""C2SP checkpoints: origin, size and root of a log, as the text of a signed note.

Three lines: the origin, the number of leaves in decimal, the root in base64. The format allows
further extension lines; ours never have any, because nobody audits them.

Source: c2sp.org/tlog-checkpoint.
"""

from functools import lru_cache
from typing import Final

import msgspec

from seawall.crypto.hashing import DIGEST_BYTES
from seawall.crypto.merkle import EMPTY_ROOT
from seawall.errors import PeerError
from seawall.formats.signed_note import decode_base64, encode_base64, is_key_name

SIZE_MAX: Final = 2**63 - 1
"""Most leaves a tree may have."""

ORIGIN_BYTES_MAX: Final = 255
"""Longest origin in UTF-8: what the cosignatures of later suites can name."""

_is_name: Final = lru_cache(maxsize=64)(is_key_name)
"""Remembers the few names that every checkpoint is checked for, none longer than an origin."""

_LINES: Final = 3
_SIZE_DIGITS_MAX: Final = len(str(SIZE_MAX))


class Checkpoint(msgspec.Struct, frozen=True):
    """The state of a log at one size."""

    origin: str
    """Name of the log, and of its key: no spaces, no '+', 1 to 255 bytes of UTF-8."""
    size: int
    """Number of leaves, 0 to 2^63 - 1."""
    root: bytes
    """RFC 6962 root, 32 bytes."""

    def body(self) -> bytes:
        """Return the three lines that are signed and cosigned."""
        assert _is_origin(self.origin), "an origin is a key name of at most 255 bytes"
        assert 0 <= self.size <= SIZE_MAX, "a tree has at most 2^63 - 1 leaves"
        assert len(self.root) == DIGEST_BYTES, "a root is 32 bytes"
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n".encode()


def parse_body(body: bytes) -> Checkpoint:
    """Read the text of a checkpoint note, strictly: `parse_body(b).body() == b`.

    Raises PeerError:
        LOG_CHECKPOINT_LINES: fewer than three lines, or no newline at the end.
        LOG_CHECKPOINT_EXTENSION: more than three lines.
        LOG_CHECKPOINT_ORIGIN: empty, over 255 bytes, with spaces or '+', or not UTF-8.
        LOG_CHECKPOINT_SIZE: not a decimal number without leading zeros up to 2^63 - 1.
        LOG_CHECKPOINT_ROOT: not base64 of 32 bytes, or not the empty root at size 0.
    """
    lines = body.split(b"\n", _LINES)
    if len(lines) <= _LINES:
        raise PeerError("LOG_CHECKPOINT_LINES", "write origin, size and root, each with a newline")
    if lines[_LINES]:
        raise PeerError("LOG_CHECKPOINT_EXTENSION", "extension lines are not used here")
    origin = _parse_origin(lines[0])
    size = parse_decimal(lines[1])
    if size is None:
        raise PeerError(
            "LOG_CHECKPOINT_SIZE",
            "write a decimal, 0 to 2^63 - 1, no leading zeros",
            field="size",
        )
    root = decode_base64(lines[2])
    if root is None or len(root) != DIGEST_BYTES:
        raise PeerError("LOG_CHECKPOINT_ROOT", "write base64 of 32 bytes", field="root")
    if size == 0 and root != EMPTY_ROOT:
        raise PeerError("LOG_CHECKPOINT_ROOT", "the empty tree has one root", field="root")
    return Checkpoint(origin, size, root)


def parse_decimal(text: bytes) -> int | None:
    """Return an ASCII decimal from 0 to 2^63 - 1 without sign or leading zeros, else None."""
    # `isdigit` of bytes knows ASCII digits only, and accepts no empty text.
    if not text.isdigit() or len(text) > _SIZE_DIGITS_MAX or (text[:1] == b"0" and text != b"0"):
        return None
    value = int(text)
    return value if value <= SIZE_MAX else None


def _parse_origin(line: bytes) -> str:
    """Read the first line."""
    try:
        origin = line.decode()
    except UnicodeDecodeError:
        origin = ""
    if not _is_origin(origin):
        raise PeerError("LOG_CHECKPOINT_ORIGIN", "1 to 255 bytes, no space, no +", field="origin")
    return origin


def _is_origin(origin: str) -> bool:
    """Return whether the text may name a log."""
    return len(origin.encode()) <= ORIGIN_BYTES_MAX and _is_name(origin)
