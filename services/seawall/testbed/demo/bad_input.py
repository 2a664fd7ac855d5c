"""Submissions that no site may accept, each with the code that it must be answered with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from seawall.client import Base, Prepared, Sealer
from seawall.crypto.signing import SigningKey
from seawall.formats import dsse
from seawall.formats.admission import ENVELOPE_SIZE_BYTES_MAX
from seawall.formats.submission import PAYLOAD_TYPE
from seawall.testbed.demo.schedule import Kind
from seawall.testbed.demo.wire import COMMITTED, claim_of, resealed, with_envelope, with_payload

FAR_SEQ: Final = 5000
"""Beyond the window of numbers around the highest one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What bad submissions are made from.

    Attributes:
        base: a pulled version.
        sealer: signs with the enrolled key of the sender.
        key: that key.
        other: the key of another enrolled contributor.
        stranger: a key that is not enrolled.
        accepted: an update of the sender that was acknowledged before.
        next_seq: gives numbers that were never used.
        draw: a number for choices.

    """

    base: Base
    sealer: Sealer
    key: SigningKey
    other: SigningKey
    stranger: SigningKey
    accepted: Prepared
    next_seq: Callable[[], int]
    draw: int

    def fresh(self) -> Prepared:
        """Return an update that sites would accept."""
        seq = self.next_seq()
        generator = np.random.default_rng([self.draw, seq])
        delta = generator.integers(-2000, 2000, self.sealer.layout.size).astype(np.int32)
        return self.sealer.seal(delta, base=self.base, seq=seq, num_examples=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One bad submission: what it is, the update, and the code to expect."""

    name: str
    update: Prepared
    code: str


def cases_of(kind: Kind, material: Material) -> list[Case]:
    """Return the submissions of one kind of attack."""
    return [Case(name=name, update=make(material), code=code) for name, make, code in _CASES[kind]]


# --- replayed ------------------------------------------------------------------------------------


def _same_bytes(m: Material) -> Prepared:
    return m.accepted


def _used_number(m: Material) -> Prepared:
    return resealed(m.fresh(), m.key, seq=m.accepted.seq)


def _used_payload(m: Material) -> Prepared:
    fresh = resealed(m.accepted, m.key, seq=m.next_seq())
    return with_payload(fresh, m.accepted.payload)


def _other_chain(m: Material) -> Prepared:
    return resealed(m.fresh(), m.key, origin="seawall/" + "0" * 16)


def _expired(m: Material) -> Prepared:
    return resealed(m.fresh(), m.key, expires_height=1)


def _far_number(m: Material) -> Prepared:
    return resealed(m.fresh(), m.key, seq=m.accepted.seq + FAR_SEQ)


def _future_base(m: Material) -> Prepared:
    return resealed(m.fresh(), m.key, base_version=m.base.version + 1000)


def _other_base(m: Material) -> Prepared:
    return resealed(m.fresh(), m.key, base_digest=bytes(32))


def _invented_checkpoint(m: Material) -> Prepared:
    return resealed(m.fresh(), m.key, checkpoint_root=bytes(32))


# --- forged --------------------------------------------------------------------------------------


def _other_signature(m: Material) -> Prepared:
    fresh = m.fresh()
    claim = claim_of(fresh)
    good = dsse.decode(fresh.envelope, size_max=ENVELOPE_SIZE_BYTES_MAX)
    bad = dsse.decode(resealed(fresh, m.other, seq=claim.seq).envelope, size_max=1 << 16)
    forged = msgspec.structs.replace(good.signatures[0], sig=bad.signatures[0].sig)
    return with_envelope(
        fresh, dsse.encode(dsse.Envelope(good.payload_type, good.payload, (forged,)))
    )


def _changed_payload(m: Material) -> Prepared:
    fresh = m.fresh()
    good = dsse.decode(fresh.envelope, size_max=ENVELOPE_SIZE_BYTES_MAX)
    changed = good.payload.replace(b'"numExamples":1,', b'"numExamples":9,')
    envelope = dsse.Envelope(good.payload_type, changed, good.signatures)
    return with_envelope(fresh, dsse.encode(envelope))


def _unknown_key(m: Material) -> Prepared:
    return resealed(m.fresh(), m.stranger)


def _other_name(m: Material) -> Prepared:
    return resealed(m.fresh(), m.other)


def _root_role(m: Material) -> Prepared:
    return resealed(m.fresh(), m.key, kind="root")


def _other_type(m: Material) -> Prepared:
    fresh = m.fresh()
    good = dsse.decode(fresh.envelope, size_max=ENVELOPE_SIZE_BYTES_MAX)
    envelope = dsse.sign(PAYLOAD_TYPE + "x", good.payload, m.key)
    return with_envelope(fresh, dsse.encode(envelope))


# --- oversized -----------------------------------------------------------------------------------


def _large_envelope(m: Material) -> Prepared:
    fresh = m.fresh()
    return with_envelope(fresh, fresh.envelope + b" " * ENVELOPE_SIZE_BYTES_MAX)


def _large_payload(m: Material) -> Prepared:
    fresh = m.fresh()
    return with_payload(fresh, fresh.payload + bytes(4096))


def _other_size(m: Material) -> Prepared:
    payload = m.accepted.payload + bytes(4)
    return m.sealer.seal_payload(payload, base=m.base, seq=m.next_seq(), num_examples=1)


def _out_of_range(m: Material) -> Prepared:
    vector = np.full(m.sealer.layout.size, 1 << 23, dtype=np.int32)
    payload = m.sealer.layout.encode(vector)
    return m.sealer.seal_payload(payload, base=m.base, seq=m.next_seq(), num_examples=1)


# --- truncated -----------------------------------------------------------------------------------


def _short_payload(m: Material) -> Prepared:
    fresh = m.fresh()
    return with_payload(fresh, fresh.payload[: len(fresh.payload) // 2])


def _short_envelope(m: Material) -> Prepared:
    fresh = m.fresh()
    return with_envelope(fresh, fresh.envelope[: len(fresh.envelope) // 2])


def _flipped_byte(m: Material) -> Prepared:
    fresh = m.fresh()
    payload = bytearray(fresh.payload)
    payload[len(payload) - 1 - m.draw % 4096] ^= 1
    return with_payload(fresh, bytes(payload))


def _zeros(m: Material) -> Prepared:
    vector = np.zeros(m.sealer.layout.size, dtype=np.int32)
    payload = m.sealer.layout.encode(vector)
    return m.sealer.seal_payload(payload, base=m.base, seq=m.next_seq(), num_examples=1)


def _no_tensors(m: Material) -> Prepared:
    payload = bytearray(m.accepted.payload)
    payload[:8] = (1 << 60).to_bytes(8, "little")
    return m.sealer.seal_payload(bytes(payload), base=m.base, seq=m.next_seq(), num_examples=1)


_Row = tuple[str, Callable[[Material], Prepared], str]

_CASES: Final[dict[Kind, tuple[_Row, ...]]] = {
    Kind.REPLAY: (
        ("the same bytes again", _same_bytes, COMMITTED),
        ("a used number", _used_number, "REPLAY_SEQ"),
        ("a number far ahead", _far_number, "REPLAY_SEQ"),
        ("a used payload", _used_payload, "REPLAY_PAYLOAD"),
        ("another chain", _other_chain, "REPLAY_ORIGIN"),
        ("expired", _expired, "REPLAY_EXPIRED"),
        ("a base not there yet", _future_base, "REPLAY_BASE"),
        ("a base with other bytes", _other_base, "REPLAY_BASE"),
        ("an invented checkpoint", _invented_checkpoint, "REPLAY_CHECKPOINT"),
    ),
    Kind.FORGERY: (
        ("signed by another", _other_signature, "DSSE_SIGNATURE"),
        ("changed after signing", _changed_payload, "DSSE_SIGNATURE"),
        ("a key nobody knows", _unknown_key, "KEY_UNKNOWN"),
        ("in another's name", _other_name, "KEY_MISMATCH"),
        ("a role not held", _root_role, "KEY_ROLE"),
        ("another payload type", _other_type, "DSSE_TYPE_UNSUPPORTED"),
    ),
    Kind.OVERSIZE: (
        ("an envelope of 64 KiB", _large_envelope, "TOO_LARGE"),
        ("more bytes than signed", _large_payload, "LENGTH"),
        ("more bytes than the task has", _other_size, "VAL_MANIFEST"),
        ("values out of range", _out_of_range, "VAL_RANGE"),
    ),
    Kind.TRUNCATION: (
        ("half a payload", _short_payload, "LENGTH"),
        ("half an envelope", _short_envelope, "JSON_TRUNCATED"),
        ("one bit flipped", _flipped_byte, "CHUNK_HASH"),
        ("nothing but zeros", _zeros, "VAL_ZERO"),
        ("a header beyond the file", _no_tensors, "ST_HEADER_SIZE"),
    ),
}
