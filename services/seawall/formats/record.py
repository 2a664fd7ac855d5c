"""The record of an update: what blocks say of a submission, derived in one place only."""

from collections.abc import Mapping
from typing import Final

from seawall.domain.block import UpdateKind, UpdateRecord
from seawall.errors import PeerError
from seawall.formats.submission import Submission

_KINDS: Final[Mapping[str, UpdateKind]] = {"delta": UpdateKind.DELTA, "root": UpdateKind.ROOT}
_WIDE_END: Final = 1 << 48
_NARROW_END: Final = 1 << 32


def record_of(submission: Submission, update_id: bytes, task_index: int) -> UpdateRecord:
    """Return the record that stands for a submission in blocks.

    Args:
        submission: as decoded from its signed payload.
        update_id: SHA-256 of that payload, 32 bytes.
        task_index: position of the submission's task among the tasks of genesis.

    Raises:
        PeerError: SUB_RECORD with the field when an integer is wider than records hold: 48 bits
            for seq, expiry and payload size, 32 for base version and examples.

    """
    for field, value, end in (
        ("seq", submission.seq, _WIDE_END),
        ("expiresHeight", submission.expires_height, _WIDE_END),
        ("payloadSize", submission.payload_size, _WIDE_END),
        ("baseVersion", submission.base_version, _NARROW_END),
        ("numExamples", submission.num_examples, _NARROW_END),
    ):
        if value >= end:
            hint = f"blocks hold integers below 2^{end.bit_length() - 1} here"
            raise PeerError("SUB_RECORD", hint, field=field)
    return UpdateRecord(
        contributor=submission.contributor,
        update_id=update_id,
        payload_digest=submission.payload_digest,
        task=task_index,
        kind=_KINDS[submission.kind],
        seq=submission.seq,
        base_version=submission.base_version,
        expires_height=submission.expires_height,
        payload_size_bytes=submission.payload_size,
        num_examples=submission.num_examples,
    )
