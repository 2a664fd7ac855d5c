import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.errors import PeerError
from seawall.formats.oms import CHUNK_SIZE
from seawall.ingestion.config import IngestionSettings
from seawall.ingestion.uploads import Upload, Uploads, UploadStream
from tests.cases.authors import SMALL, WIDE
from tests.unit.ingestion.known import admitted, author

WIDE_UPDATE = admitted(author().update(WIDE))


class Entropy:
    """Bytes that never repeat."""

    def __init__(self) -> None:
        self.taken = 0

    def __call__(self, count: int) -> bytes:
        """Return so many bytes."""
        self.taken += 1
        return self.taken.to_bytes(count, "big")


def uploads_of(**limits: float) -> Uploads:
    return Uploads(IngestionSettings.model_validate(limits), Entropy())


@given(st.sets(st.integers(0, 2)))
def test_the_bitmap_names_what_is_missing(missing: set[int]) -> None:
    upload = Upload(bytes(16), WIDE_UPDATE, sorted(missing), 0.0)
    (bits,) = upload.bitmap()
    assert [at for at in range(8) if bits >> at & 1] == sorted(missing)


def test_place_and_length_of_a_chunk_are_checked() -> None:
    upload = Upload(bytes(16), WIDE_UPDATE, (0, 2), 0.0)
    rest = WIDE.payload_size_bytes - 2 * CHUNK_SIZE
    assert upload.chunk_refusal(0, CHUNK_SIZE) is None
    assert upload.chunk_refusal(2, rest) is None
    upload.writing[2] = None
    for index, size, code in (
        (3, CHUNK_SIZE, "CHUNK_ORDER"),
        (1, CHUNK_SIZE, "CHUNK_ORDER"),
        (2, rest, "CHUNK_ORDER"),
        (0, CHUNK_SIZE - 1, "CHUNK_LENGTH"),
        (0, CHUNK_SIZE + 1, "CHUNK_LENGTH"),
    ):
        refusal = upload.chunk_refusal(index, size)
        assert refusal is not None
        assert refusal.code == code


def test_opening_again_is_the_same_upload() -> None:
    uploads = uploads_of()
    first = uploads.open(WIDE_UPDATE, (0, 1, 2), 0.0)
    again = uploads.open(WIDE_UPDATE, (1,), 1.0)
    assert again is first
    assert list(again.missing) == [1]
    assert uploads.find(first.upload_id, 2.0) is first
    assert uploads.find(bytes(16), 2.0) is None
    uploads.close(first)
    uploads.close(first)
    assert len(uploads) == 0


def test_uploads_are_limited_in_all_by_owner_and_by_size() -> None:
    for limits in (
        {"uploads_max": 1},
        {"uploads_contributor_max": 1},
        {"uploads_bytes_max": WIDE_UPDATE.beside_size_bytes},
    ):
        uploads = uploads_of(**limits)
        first = uploads.open(WIDE_UPDATE, (), 0.0)
        other = admitted(author().update(SMALL, seq=9))
        with pytest.raises(PeerError) as caught:
            uploads.open(other, (), 0.0)
        assert caught.value.code == "QUOTA_UPLOADS"
        uploads.close(first)
        uploads.open(other, (), 0.0)


def test_idle_uploads_are_forgotten_unless_a_chunk_is_on_its_way() -> None:
    uploads = uploads_of(uploads_contributor_max=8, upload_idle_seconds=10)
    idle = uploads.open(WIDE_UPDATE, (), 0.0)
    busy = uploads.open(admitted(author().update(SMALL, seq=9)), (), 0.0)
    busy.writing[0] = None
    fresh = uploads.open(admitted(author(1).update(SMALL)), (), 5.0)
    assert uploads.sweep(11.0) == 1
    assert uploads.find(idle.upload_id, 11.0) is None
    assert uploads.find(busy.upload_id, 11.0) is busy
    assert uploads.find(fresh.upload_id, 11.0) is fresh


@pytest.mark.parametrize(
    ("chunks", "indices", "borne"),
    [(1000, [5] * 9, 2), (3, [0, 1, 2], 2), (1000, list(range(99)), 10)],
)
def test_a_stream_bears_few_refusals(chunks: int, indices: list[int], borne: int) -> None:
    class Long(Upload):
        chunk_count = chunks

    long = Long(bytes(16), WIDE_UPDATE, (), 0.0)
    stream = UploadStream()
    for index in indices[:borne]:
        stream.count(long, long.upload_id, index)
    with pytest.raises(PeerError) as caught:
        stream.count(long, long.upload_id, indices[borne])
    assert caught.value.code == "CHUNK_HASH"


def test_a_stream_of_unknown_uploads_ends_as_well() -> None:
    stream = UploadStream()
    stream.count(None, b"a", 0)
    stream.count(None, b"b", 0)
    with pytest.raises(PeerError):
        stream.count(None, b"c", 0)


def test_a_stream_belongs_to_one_contributor() -> None:
    uploads = uploads_of()
    stream = UploadStream()
    own = uploads.open(WIDE_UPDATE, (), 0.0)
    foreign = uploads.open(admitted(author(1).update(SMALL)), (), 0.0)
    stream.check_owner(own)
    stream.check_owner(own)
    with pytest.raises(PeerError) as caught:
        stream.check_owner(foreign)
    assert caught.value.code == "OWNER"
