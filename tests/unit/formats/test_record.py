import pytest

from seawall.codec import decode_records, encode_records
from seawall.domain.block import UpdateKind
from seawall.errors import PeerError
from seawall.formats.record import record_of
from seawall.formats.submission import Submission

WIDE = [
    ("seq", "seq", 1 << 48),
    ("expires_height", "expiresHeight", 1 << 48),
    ("payload_size", "payloadSize", 1 << 48),
    ("base_version", "baseVersion", 1 << 32),
    ("num_examples", "numExamples", 1 << 32),
]


def submission(**changes: object) -> Submission:
    values: dict[str, object] = {
        "origin": "seawall/0123456789abcdef",
        "task": "digits",
        "kind": "delta",
        "base_version": 3,
        "base_digest": b"b" * 32,
        "contributor": b"c" * 32,
        "seq": 7,
        "expires_height": 900,
        "checkpoint_size": 5,
        "checkpoint_root": b"r" * 32,
        "payload_digest": b"p" * 32,
        "payload_size": 1234,
        "manifest_digest": None,
        "provenance_digest": None,
        "num_examples": 50,
        "metrics": (),
        **changes,
    }
    return Submission(**values)  # type: ignore[arg-type]  # built from a table of fields


@pytest.mark.parametrize(
    ("kind", "expected"), [("delta", UpdateKind.DELTA), ("root", UpdateKind.ROOT)]
)
def test_a_record_says_what_the_submission_says(kind: str, expected: UpdateKind) -> None:
    record = record_of(submission(kind=kind), b"u" * 32, 2)
    assert record.kind is expected
    assert (record.contributor, record.update_id, record.payload_digest) == (
        b"c" * 32,
        b"u" * 32,
        b"p" * 32,
    )
    assert (record.task, record.seq, record.base_version, record.expires_height) == (2, 7, 3, 900)
    assert (record.payload_size_bytes, record.num_examples) == (1234, 50)


@pytest.mark.parametrize(("field", "name", "end"), WIDE)
def test_integers_too_wide_for_a_block_are_refused(field: str, name: str, end: int) -> None:
    fits = record_of(submission(**{field: end - 1}), b"u" * 32, 0)
    assert decode_records(encode_records([fits])) == (fits,)
    with pytest.raises(PeerError) as refused:
        record_of(submission(**{field: end}), b"u" * 32, 0)
    assert (refused.value.code, refused.value.field) == ("SUB_RECORD", name)
