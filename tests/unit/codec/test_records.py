"""Update records have one width and one meaning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.codec import RECORD_BYTES, decode_records, encode_records, record_count
from seawall.domain.block import UpdateKind, UpdateRecord
from seawall.errors import PeerError
from tests.unit.codec.strategies import records

WIDTH = 131


@given(st.lists(records, min_size=1, max_size=5))
def test_decoding_returns_what_was_encoded(updates: list[UpdateRecord]) -> None:
    data = encode_records(updates)
    assert len(data) == WIDTH * len(updates)
    assert record_count(data) == len(updates)
    decoded = decode_records(data)
    assert list(decoded) == updates
    assert all(isinstance(update.kind, UpdateKind) for update in decoded)
    assert encode_records(decoded) == data


@given(records, st.integers(0, WIDTH - 1), st.integers(1, 255))
def test_every_byte_counts(update: UpdateRecord, place: int, change: int) -> None:
    data = bytearray(encode_records([update]))
    data[place] ^= change
    try:
        decoded = decode_records(bytes(data))
    except PeerError:
        return
    assert decoded != (update,)
    assert encode_records(decoded) == bytes(data)


@pytest.mark.parametrize(
    ("place", "value", "code", "field"),
    [
        (98, 2, "RECORD_KIND", "kind"),
        (99, 1, "RECORD_RANGE", "seq"),
        (100, 1, "RECORD_RANGE", "seq"),
        (111, 1, "RECORD_RANGE", "expires_height"),
        (112, 255, "RECORD_RANGE", "expires_height"),
        (119, 1, "RECORD_RANGE", "payload_size_bytes"),
        (120, 1, "RECORD_RANGE", "payload_size_bytes"),
    ],
)
def test_out_of_range_in_any_record(place: int, value: int, code: str, field: str) -> None:
    data = bytearray(RECORD_BYTES * 3)
    data[RECORD_BYTES * 2 + place] = value
    with pytest.raises(PeerError) as refused:
        decode_records(bytes(data))
    assert (refused.value.code, refused.value.field) == (code, field)


@pytest.mark.parametrize("size", [0, 1, WIDTH - 1, WIDTH + 1])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(PeerError) as refused:
        decode_records(bytes(size))
    assert refused.value.code == "RECORD_SIZE"
