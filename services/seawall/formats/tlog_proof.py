"""C2SP tlog-proof: one text that proves offline that an entry is in a log.

It is the line `c2sp.org/tlog-proof@v1`, an optional `extra <base64>`, `index <N>`, one base64 hash
for each step of the inclusion proof, an empty line, and the checkpoint note as it was published.

Source: c2sp.org/tlog-proof.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from seawall.crypto.hashing import DIGEST_BYTES
from seawall.crypto.merkle import leaf_hash, verify_inclusion
from seawall.errors import PeerError
from seawall.formats.checkpoint import SIZE_MAX, Checkpoint, parse_decimal
from seawall.formats.cosignature import Cosigner, verify_quorum
from seawall.formats.signed_note import NOTE_BYTES_MAX, decode_base64, encode_base64

HEADER: Final = b"c2sp.org/tlog-proof@v1"
HASHES_MAX: Final = 63
EXTRA_BYTES_MAX: Final = 65_535
PROOF_BYTES_MAX: Final = NOTE_BYTES_MAX + 2 * EXTRA_BYTES_MAX

_EXTRA: Final = b"extra "
_INDEX: Final = b"index "


class TlogProof(msgspec.Struct, frozen=True):
    """A proof whose form is right; nothing in it is verified yet."""

    index: int
    """Position of the entry in the log, from 0."""
    hashes: tuple[bytes, ...]
    """RFC 6962 inclusion proof, the leaf's sibling first; 32 bytes each."""
    checkpoint: bytes
    """The checkpoint note, byte for byte."""
    extra: bytes | None = None
    """Data of the application, 1 to 65,535 bytes; nobody signs it."""


class ProvenEntry(msgspec.Struct, frozen=True):
    """What a verified proof says: this entry stands at `index` of the log at `checkpoint`."""

    index: int
    checkpoint: Checkpoint


def encode(proof: TlogProof) -> bytes:
    """Return the text of the proof, UTF-8 bytes; `parse` is its inverse."""
    assert 0 <= proof.index <= SIZE_MAX, "an index is not negative"
    assert len(proof.hashes) <= HASHES_MAX, "a path has at most 63 steps"
    lines = [HEADER.decode()]
    if proof.extra is not None:
        assert 1 <= len(proof.extra) <= EXTRA_BYTES_MAX, "extra data is 1 to 65,535 bytes"
        lines.append(f"extra {encode_base64(proof.extra)}")
    lines.append(f"index {proof.index}")
    lines.extend(encode_base64(value) for value in proof.hashes)
    return "\n".join(lines).encode() + b"\n\n" + proof.checkpoint


def parse(text: bytes) -> TlogProof:
    """Read a proof, strictly, without verifying it.

    Raises PeerError:
        LOG_PROOF_SIZE: more than about 1.1 MiB.
        LOG_PROOF_HEADER: the first line is not that of version 1.
        LOG_PROOF_EXTRA: extra data that is not base64 of 1 to 65,535 bytes.
        LOG_PROOF_INDEX: no index line, or not a decimal without leading zeros.
        LOG_PROOF_LENGTH: more than 63 hashes.
        LOG_PROOF_HASH: a line that is not base64 of 32 bytes.
        LOG_PROOF_SEPARATOR: no empty line before the checkpoint.
    """
    if len(text) > PROOF_BYTES_MAX:
        raise PeerError("LOG_PROOF_SIZE", "a proof is at most about 1.1 MiB")
    head, separator, checkpoint = text.partition(b"\n\n")
    lines = head.split(b"\n", HASHES_MAX + 3)
    if lines.pop(0) != HEADER:
        raise PeerError("LOG_PROOF_HEADER", "the first line is c2sp.org/tlog-proof@v1", offset=0)
    if not separator:
        raise PeerError("LOG_PROOF_SEPARATOR", "put an empty line before the checkpoint")
    extra = _parse_extra(lines.pop(0)) if lines and lines[0].startswith(_EXTRA) else None
    index = parse_decimal(lines[0][len(_INDEX) :]) if lines else None
    if index is None or not lines[0].startswith(_INDEX):
        raise PeerError("LOG_PROOF_INDEX", "write index and a decimal", field="index")
    if len(lines) > HASHES_MAX + 1:
        raise PeerError("LOG_PROOF_LENGTH", "a path has at most 63 steps")
    return TlogProof(index, tuple(map(_parse_hash, lines[1:])), checkpoint, extra)


def verify(
    text: bytes,
    entry: bytes,
    *,
    origin: str,
    log_key: bytes,
    cosigners: Sequence[Cosigner],
    quorum_stake: int,
    latest_s: int | None = None,
) -> ProvenEntry:
    """Return where in which log the entry stands, or raise.

    The arguments after `entry` are the trust policy, as for `cosignature.verify_quorum`. The extra
    data is not returned because nothing vouches for it; `parse` gives it.

    Raises PeerError: all of `parse`, of `verify_quorum`, and of `merkle.verify_inclusion`.
    """
    proof = parse(text)
    checkpoint = verify_quorum(
        proof.checkpoint, origin, log_key, cosigners, quorum_stake, latest_s=latest_s
    )
    verify_inclusion(leaf_hash(entry), proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    return ProvenEntry(proof.index, checkpoint)


def _parse_extra(line: bytes) -> bytes:
    """Read the optional second line."""
    extra = decode_base64(line[len(_EXTRA) :])
    if extra is None or not 1 <= len(extra) <= EXTRA_BYTES_MAX:
        raise PeerError("LOG_PROOF_EXTRA", "write base64 of 1 to 65,535 bytes", field="extra")
    return extra


def _parse_hash(line: bytes) -> bytes:
    """Read one step of the path."""
    value = decode_base64(line)
    if value is None or len(value) != DIGEST_BYTES:
        raise PeerError("LOG_PROOF_HASH", "every hash of a proof is base64 of 32 bytes")
    return value
