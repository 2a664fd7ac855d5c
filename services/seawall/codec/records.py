"""Update records: a fixed-width layout, so that a batch is checked and decoded at C speed.

One record is `RECORD_BYTES` long: contributor (32), update id (32), payload digest (32), task
(2), kind (1), seq (8), base version (4), expires height (8), payload size (8), number of
examples (4). The three 8-byte integers are below 2^48, so that they are exact in any JSON.
"""

from collections.abc import Iterable
from struct import Struct
from typing import Final

from seawall.domain.block import UpdateKind, UpdateRecord
from seawall.errors import PeerError

_LAYOUT: Final = Struct(">32s32s32sHBQIQQI")
RECORD_BYTES: Final = _LAYOUT.size

_ID_OFFSET: Final = 32
_ID_END: Final = 64
_KIND_OFFSET: Final = 98
_WIDE_OFFSETS: Final = (("seq", 99), ("expires_height", 111), ("payload_size_bytes", 119))
_KINDS: Final = tuple(UpdateKind)
_KIND_BYTES: Final = bytes(_KINDS)


def encode_records(records: Iterable[UpdateRecord]) -> bytes:
    """Return the canonical bytes of the records, one after the other.

    The values are our own and in range; `check_records` finds those that are not.
    """
    data = b"".join(
        _LAYOUT.pack(
            record.contributor,
            record.update_id,
            record.payload_digest,
            record.task,
            record.kind,
            record.seq,
            record.base_version,
            record.expires_height,
            record.payload_size_bytes,
            record.num_examples,
        )
        for record in records
    )
    check_records(data)
    return data


def check_records(data: bytes) -> None:
    """Refuse bytes that are not a list of at least one record, without decoding any.

    Raises PeerError:
        RECORD_SIZE: empty, or not a multiple of the width.
        RECORD_KIND: an unknown kind of update.
        RECORD_RANGE: an integer of 2^48 or more.
    """
    if not data or len(data) % RECORD_BYTES:
        raise PeerError("RECORD_SIZE", f"records are {RECORD_BYTES} bytes each, at least one")
    if data[_KIND_OFFSET::RECORD_BYTES].strip(_KIND_BYTES):
        raise PeerError("RECORD_KIND", "not a kind of update that this version knows", field="kind")
    for name, offset in _WIDE_OFFSETS:
        # The two highest bytes of every record at once.
        high = data[offset::RECORD_BYTES] + data[offset + 1 :: RECORD_BYTES]
        if high.strip(b"\0"):
            raise PeerError("RECORD_RANGE", "integers are below 2^48", field=name)


def decode_records(data: bytes) -> tuple[UpdateRecord, ...]:
    """Return the records of a batch; raise PeerError RECORD_* as `check_records` does."""
    check_records(data)
    return tuple(
        [
            UpdateRecord(
                contributor=contributor,
                update_id=update_id,
                payload_digest=payload_digest,
                task=task,
                kind=_KINDS[kind],
                seq=seq,
                base_version=base_version,
                expires_height=expires_height,
                payload_size_bytes=payload_size_bytes,
                num_examples=num_examples,
            )
            for (
                contributor,
                update_id,
                payload_digest,
                task,
                kind,
                seq,
                base_version,
                expires_height,
                payload_size_bytes,
                num_examples,
            ) in _LAYOUT.iter_unpack(data)
        ]
    )


def record_count(data: bytes) -> int:
    """Return how many records these canonical bytes hold."""
    return len(data) // RECORD_BYTES


def update_id_at(data: bytes, position: int) -> bytes:
    """Return the update id of the record at this place, from 0, without decoding the others."""
    start = position * RECORD_BYTES
    return data[start + _ID_OFFSET : start + _ID_END]
