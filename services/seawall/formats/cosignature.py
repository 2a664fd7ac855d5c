"""C2SP cosignatures: each site signs the same checkpoint, and enough stake makes it final.

A `cosignature/v1` is Ed25519 over two header lines and the checkpoint's text. It says: at this
time this was the largest tree I knew of this log, and it extends every one I signed before. The
message does not bind the cosigner's name, so every name has a key of its own.

Source: c2sp.org/tlog-cosignature.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

from seawall.crypto.signing import SIGNATURE_BYTES, SigningKey, verify
from seawall.errors import LocalError, PeerError
from seawall.formats.checkpoint import Checkpoint, parse_body
from seawall.formats.signed_note import (
    COSIGNATURE_V1,
    ED25519,
    NoteSignature,
    SignedNote,
    format_note,
    key_hash,
    parse,
    sign,
    signatures_of,
)

TIMESTAMP_BYTES: Final = 8
COSIGNATURE_BYTES: Final = TIMESTAMP_BYTES + SIGNATURE_BYTES
TIMESTAMP_MAX_S: Final = 2**63 - 1

Cosigner: TypeAlias = tuple[str, bytes, int]
"""(name, public key of 32 bytes, stake): one site as a client knows it."""


def message(checkpoint_body: bytes, timestamp_s: int) -> bytes:
    """Return the bytes a cosigner signs; the time is in seconds since 1970, UTC."""
    return b"cosignature/v1\ntime %d\n%b" % (timestamp_s, checkpoint_body)


def cosign(key: SigningKey, checkpoint_body: bytes, timestamp_s: int) -> bytes:
    """Return a cosignature, 72 bytes: the time, 8 bytes big-endian, and 64 of signature."""
    assert 0 <= timestamp_s <= TIMESTAMP_MAX_S, "a time has 63 bits"
    signature = key.sign(message(checkpoint_body, timestamp_s))
    return timestamp_s.to_bytes(TIMESTAMP_BYTES, "big") + signature


def verify_cosignature(
    name: str, public: bytes, checkpoint_body: bytes, blob: bytes, *, latest_s: int | None = None
) -> int:
    """Return the time of a valid cosignature, in seconds since 1970.

    Args:
        name: the cosigner's name; errors carry it as their field.
        public: the cosigner's key, 32 bytes.
        checkpoint_body: the three lines of the checkpoint.
        blob: the cosignature, 72 bytes, without the key id.
        latest_s: the latest time to accept, in seconds; no limit when None.

    Raises PeerError:
        LOG_COSIGNATURE_LENGTH: not 72 bytes.
        LOG_COSIGNATURE_TIME: beyond 2^63 - 1, or after `latest_s`.
        LOG_COSIGNATURE_BAD: not a signature by this key over this checkpoint and time.

    """
    if len(blob) != COSIGNATURE_BYTES:
        raise PeerError("LOG_COSIGNATURE_LENGTH", "a cosignature is 72 bytes", field=name)
    timestamp_s = int.from_bytes(blob[:TIMESTAMP_BYTES], "big")
    if timestamp_s > TIMESTAMP_MAX_S:
        raise PeerError("LOG_COSIGNATURE_TIME", "a time has at most 63 bits", field=name)
    if not verify(public, message(checkpoint_body, timestamp_s), blob[TIMESTAMP_BYTES:]):
        raise PeerError("LOG_COSIGNATURE_BAD", "not of this checkpoint, time and key", field=name)
    if latest_s is not None and timestamp_s > latest_s:
        raise PeerError("LOG_COSIGNATURE_TIME", "signed in the future: compare clocks", field=name)
    return timestamp_s


def log_line(checkpoint: Checkpoint, log_key: SigningKey) -> NoteSignature:
    """Return the log's own signature line; the key carries the name of the origin."""
    return sign(checkpoint.body(), checkpoint.origin, log_key)


def cosigner_line(name: str, public: bytes, blob: bytes) -> NoteSignature:
    """Return the signature line of a cosignature made by `cosign`, 72 bytes."""
    assert len(blob) == COSIGNATURE_BYTES, "a cosignature is 72 bytes"
    return NoteSignature(name, key_hash(name, COSIGNATURE_V1, public), blob)


def quorum_note(
    checkpoint: Checkpoint, log_signature: NoteSignature, cosignatures: Sequence[NoteSignature]
) -> bytes:
    """Return the checkpoint note: the log's line, then those of the cosigners in this order."""
    return format_note(checkpoint.body(), (log_signature, *cosignatures))


def verify_quorum(
    note_text: bytes,
    origin: str,
    log_key: bytes,
    cosigners: Sequence[Cosigner],
    quorum_stake: int,
    *,
    latest_s: int | None = None,
) -> Checkpoint:
    """Return the checkpoint of a note that the log and enough stake have signed.

    A cosigner counts once, however many valid lines it has. Lines of keys outside the policy are
    ignored; a bad signature in a line that names a key of the policy refuses the whole note.

    Args:
        note_text: the note, UTF-8 bytes.
        origin: the log the caller asked for; the log key's name is the same.
        log_key: public key of the log, 32 bytes.
        cosigners: names, keys and stakes; names and keys are distinct.
        quorum_stake: the stake Q that makes a checkpoint final, at least 1.
        latest_s: the latest cosignature time to accept, in seconds since 1970.

    Raises PeerError:
        LOG_NOTE_*, LOG_CHECKPOINT_*: the note or its text is malformed.
        LOG_ORIGIN: a checkpoint of another log.
        LOG_NOTE_UNSIGNED, LOG_NOTE_SIGNATURE: no line of the log key, or a bad one.
        LOG_COSIGNATURE_*: a cosigner's line is bad.
        LOG_QUORUM: the cosigners of the note hold less than `quorum_stake`.
    Raises LocalError `LOG_POLICY` for a policy that could count one key twice or needs no stake.

    """
    _check_policy(cosigners, quorum_stake)
    note = parse(note_text)
    checkpoint = parse_body(note.text)
    if checkpoint.origin != origin:
        raise PeerError("LOG_ORIGIN", "the checkpoint is of another log", field="origin")
    _verify_log_line(note, origin, log_key)
    stake = 0
    for name, public, weight in cosigners:
        blobs = signatures_of(note, name, key_hash(name, COSIGNATURE_V1, public))
        for blob in blobs:
            verify_cosignature(name, public, note.text, blob, latest_s=latest_s)
        stake += weight if blobs else 0
    if stake < quorum_stake:
        raise PeerError("LOG_QUORUM", "wait until more sites have cosigned", field="cosigners")
    return checkpoint


def _check_policy(cosigners: Sequence[Cosigner], quorum_stake: int) -> None:
    """Refuse a trust policy that would accept more than its owner means."""
    names = {name for name, _, _ in cosigners}
    keys = {public for _, public, _ in cosigners}
    if len(names) < len(cosigners) or len(keys) < len(cosigners):
        raise LocalError("LOG_POLICY", "every cosigner has a name and a key of its own")
    if quorum_stake < 1 or any(stake < 0 for _, _, stake in cosigners):
        raise LocalError("LOG_POLICY", "stake is not negative, and a quorum needs at least 1")


def _verify_log_line(note: SignedNote, origin: str, log_key: bytes) -> None:
    """Check the log's own signature, which must be there and must be good."""
    blobs = signatures_of(note, origin, key_hash(origin, ED25519, log_key))
    if not blobs:
        raise PeerError("LOG_NOTE_UNSIGNED", "the log itself has not signed", field="log")
    if not all(verify(log_key, note.text, blob) for blob in blobs):
        raise PeerError("LOG_NOTE_SIGNATURE", "not a signature of the log", field="log")
