"""Payload store and segment files: durable answers, torn ends, chunks that do not belong."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.errors import OperationalError, PeerError
from seawall.ledger import payloads as payloads_module
from seawall.ledger import segments as segments_module
from seawall.ledger.lmdb_store import LmdbStore
from seawall.ledger.payloads import CHUNK_BYTES, ChunkData, Payloads, Submission
from seawall.ledger.segments import HEADER_BYTES, KEY_BYTES, Record, Segments, write_error


def pass_by(point: str) -> None:
    del point


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[Payloads]:
    index = LmdbStore(directory / "index.mdb")
    payloads = Payloads(Segments(directory / "payloads"), index, pass_by)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(payloads.run())
        yield payloads
        task.cancel()
    payloads.close()


def digest_of(data: bytes) -> bytes:
    return sha256(data).digest()


def chunks_of(data: bytes) -> list[ChunkData]:
    pieces = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)] or [b""]
    return [
        ChunkData(digest_of(data), at, digest_of(piece), piece, len(data))
        for at, piece in enumerate(pieces)
    ]


LARGE = bytes(range(251)) * 10_000
"""Three chunks."""


async def test_small_payloads_come_back_after_a_restart(tmp_path: Path) -> None:
    small = [bytes([at]) * 100 for at in range(5)]
    async with opened(tmp_path) as payloads:
        put = [chunks_of(data)[0] for data in small]
        assert await payloads.put(put) == []
        assert await payloads.put(put) == []
    async with opened(tmp_path) as payloads:
        for data in small:
            assert payloads.holding(digest_of(data), 100).complete
            assert not payloads.holding(digest_of(data), 99).complete
            (chunk,) = payloads.chunks(digest_of(data), 0)
            assert (chunk.data, chunk.chunk_digest) == (data, digest_of(data))
        assert payloads.size(digest_of(b"none")) is None


async def test_a_large_payload_is_readable_once_it_is_whole(tmp_path: Path) -> None:
    first, second, third = chunks_of(LARGE)
    name = digest_of(LARGE)
    async with opened(tmp_path) as payloads:
        assert await payloads.put([third, first]) == []
        holding = payloads.holding(name, len(LARGE))
        assert (holding.bitmap(len(LARGE)), holding.complete) == (b"\x05", False)
        assert list(holding.chunks.values()) == [first.chunk_digest, third.chunk_digest]
        with pytest.raises(PeerError, match="PAYLOAD_UNKNOWN"):
            next(payloads.chunks(name, 0))
    async with opened(tmp_path) as payloads:
        assert await payloads.put([second]) == []
        assert payloads.holding(name, len(LARGE)).complete
    async with opened(tmp_path) as payloads:
        assert b"".join(chunk.data for chunk in payloads.chunks(name, 0)) == LARGE
        assert [chunk.index for chunk in payloads.chunks(name, 2)] == [2]
        with pytest.raises(PeerError, match="CHUNK_ORDER"):
            next(payloads.chunks(name, 3))


async def test_chunks_of_another_payload_cannot_stand_in(tmp_path: Path) -> None:
    first, second, third = chunks_of(LARGE)
    other = ChunkData(
        first.payload_digest, 1, digest_of(b"x" * CHUNK_BYTES), b"x" * CHUNK_BYTES, len(LARGE)
    )
    async with opened(tmp_path) as payloads:
        assert await payloads.put([first, other]) == []
        # The third completes a payload of another digest: all of it is forgotten.
        assert await payloads.put([third]) == [0]
        assert payloads.holding(first.payload_digest, len(LARGE)).chunks == {}
    async with opened(tmp_path) as payloads:
        assert payloads.holding(first.payload_digest, len(LARGE)).chunks == {}
        assert await payloads.put([first, other, second, third]) == []
        # A whole payload does not change any more.
        assert await payloads.put([other, second]) == [0]
        assert b"".join(chunk.data for chunk in payloads.chunks(first.payload_digest, 0)) == LARGE


async def test_chunks_stored_before_a_crash_are_sealed_when_sent_again(tmp_path: Path) -> None:
    chunks = chunks_of(LARGE)
    async with opened(tmp_path) as payloads:
        await payloads._write([_record(chunk) for chunk in chunks])  # noqa: SLF001 - the state that a crash before the seal leaves
        assert not payloads.holding(chunks[0].payload_digest, len(LARGE)).complete
        assert await payloads.put(chunks[:1]) == []
        assert payloads.holding(chunks[0].payload_digest, len(LARGE)).complete


def _record(chunk: ChunkData) -> Record:
    key = payloads_module._chunk_key(  # noqa: SLF001 - as above
        chunk.payload_digest, chunk.payload_size_bytes, chunk.index
    )
    return Record(key, chunk.data, chunk.chunk_digest)


GOOD = chunks_of(b"good")[0]


@pytest.mark.parametrize(
    "bad",
    [
        ChunkData(GOOD.payload_digest, 0, GOOD.chunk_digest, b"evil", 4),
        ChunkData(GOOD.payload_digest, 0, GOOD.chunk_digest, b"good", 5),
        ChunkData(GOOD.payload_digest, 1, GOOD.chunk_digest, b"good", 4),
        ChunkData(GOOD.payload_digest, 0, digest_of(b"evil"), b"evil", 4),
        ChunkData(GOOD.payload_digest[:31], 0, GOOD.chunk_digest, b"good", 4),
        ChunkData(GOOD.payload_digest, 1, digest_of(b"tail"), b"tail", CHUNK_BYTES + 5),
    ],
)
async def test_bytes_that_do_not_fit_are_refused_alone(tmp_path: Path, bad: ChunkData) -> None:
    async with opened(tmp_path) as payloads:
        assert await payloads.put([bad, GOOD, bad]) == [0, 2]
        assert payloads.size(GOOD.payload_digest) == 4


async def test_concurrent_puts_share_a_sync(tmp_path: Path) -> None:
    async with opened(tmp_path) as payloads:
        many = [bytes([at]) * 50 for at in range(200)]
        async with asyncio.TaskGroup() as group:
            for data in many:
                group.create_task(payloads.put(chunks_of(data)))
        assert all(payloads.size(digest_of(data)) == 50 for data in many)


async def test_more_records_than_memory_keeps_go_to_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payloads_module, "INDEX_ROWS_PENDING_MAX", 10)
    monkeypatch.setattr(payloads_module, "GROUP_BYTES_MAX", 300)
    monkeypatch.setattr(segments_module, "SEGMENT_BYTES", 1000)
    many = [bytes([at]) * 50 for at in range(60)]
    for start in (0, 30):
        async with opened(tmp_path) as payloads, asyncio.TaskGroup() as group:
            for data in many[start : start + 30]:
                group.create_task(payloads.put(chunks_of(data)))
    async with opened(tmp_path) as payloads:
        assert [next(payloads.chunks(digest_of(data), 0)).data for data in many] == many
    assert len(list((tmp_path / "payloads").glob("*.seg"))) > 3


async def test_submissions_are_kept_by_update_id(tmp_path: Path) -> None:
    kept = Submission(b"envelope", b"manifest", b"")
    newer = Submission(b"another envelope", b"manifest", b"provenance")
    async with opened(tmp_path) as payloads:
        await payloads.put_submissions([(b"u" * 32, kept)])
        await payloads.put_submissions([(b"u" * 32, kept)])
        assert payloads.submission(b"u" * 32) == kept
        assert payloads.submission(b"v" * 32) is None
        await payloads.put_submissions([(b"u" * 32, newer)])
    async with opened(tmp_path) as payloads:
        assert payloads.submission(b"u" * 32) == newer


def key(at: int) -> bytes:
    return at.to_bytes(KEY_BYTES, "big")


def fill(directory: Path, count: int) -> Path:
    segments = Segments(directory)
    data = [bytes([at]) * (at + 1) for at in range(count)]
    segments.append([Record(key(at), one, digest_of(one)) for at, one in enumerate(data)])
    segments.close()
    return directory / "00000000.seg"


@given(st.integers(0, 4 * HEADER_BYTES + 10))
def test_a_torn_end_is_dropped_and_the_rest_is_kept(
    tmp_path_factory: pytest.TempPathFactory, keep: int
) -> None:
    directory = tmp_path_factory.mktemp("segments")
    path = fill(directory, 4)
    os.truncate(path, min(keep, path.stat().st_size))
    ends = [sum(HEADER_BYTES + at + 1 for at in range(count)) for count in range(5)]
    whole = max(count for count, end in enumerate(ends) if end <= keep)
    segments = Segments(directory)
    found = list(segments.tail(0, 0))
    assert [name for name, _ in found] == [key(at) for at in range(whole)]
    assert path.stat().st_size == ends[whole] == segments.end
    segments.append([Record(key(9), b"next", digest_of(b"next"))])
    assert [segments.read(place) for _, place in segments.tail(0, 0)][-1] == b"next"
    segments.close()


@given(st.integers(0, 2 * HEADER_BYTES + 2), st.integers(1, 255))
def test_a_flipped_byte_is_never_taken_for_data(
    tmp_path_factory: pytest.TempPathFactory, at: int, change: int
) -> None:
    directory = tmp_path_factory.mktemp("segments")
    path = fill(directory, 2)
    data = bytearray(path.read_bytes())
    data[at] ^= change
    path.write_bytes(data)
    segments = Segments(directory)
    found = list(segments.tail(0, 0))
    assert len(found) == (0 if at <= HEADER_BYTES else 1)
    segments.close()


def test_a_damaged_full_segment_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fill(tmp_path, 3)
    monkeypatch.setattr(segments_module, "SEGMENT_BYTES", 10)
    segments = Segments(tmp_path)
    segments.append([Record(key(7), b"x", digest_of(b"x"))])
    segments.close()
    os.truncate(path, 200)
    segments = Segments(tmp_path)
    with pytest.raises(OperationalError, match="STORE_CORRUPT"):
        list(segments.tail(0, 0))
    segments.close()


def test_a_place_that_is_gone_is_reported(tmp_path: Path) -> None:
    path = fill(tmp_path, 3)
    segments = Segments(tmp_path)
    places = [place for _, place in segments.tail(0, 0)]
    os.truncate(path, HEADER_BYTES)
    with pytest.raises(OperationalError, match="STORE_READ"):
        segments.read(places[2])
    segments.close()
    path.unlink()
    again = Segments(tmp_path)
    again.close()
    path.unlink()
    with pytest.raises(OperationalError, match="STORE_READ"):
        again.read(places[2])


def test_damaged_data_is_refused_and_counted(tmp_path: Path) -> None:
    path, damaged = fill(tmp_path, 3), []
    segments = Segments(tmp_path, damaged=lambda: damaged.append("one"))
    places = [place for _, place in segments.tail(0, 0)]
    assert [segments.read(place) for place in places] == [b"\0", b"\1\1", b"\2\2\2"]
    data = bytearray(path.read_bytes())
    data[places[1].offset] ^= 1
    path.write_bytes(data)
    assert (segments.read(places[0]), damaged) == (b"\0", [])
    with pytest.raises(OperationalError, match="STORE_CORRUPT"):
        segments.read(places[1])
    os.truncate(path, places[2].offset + 1)
    with pytest.raises(OperationalError, match="STORE_READ"):
        segments.read(places[2])
    assert damaged == ["one", "one"]
    segments.close()


def test_a_directory_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.seg").write_bytes(b"")
    with pytest.raises(OperationalError, match="STORE_OPEN"):
        Segments(tmp_path)


def test_write_errors_say_whether_room_is_missing() -> None:
    assert write_error(OSError(28, "No space left on device")).code == "STORE_FULL"
    assert write_error(OSError(5, "Input/output error")).code == "STORE_WRITE"


@pytest.fixture
def small_limit() -> Iterator[None]:
    import resource  # noqa: PLC0415 - only this fixture changes limits
    import signal  # noqa: PLC0415 - as above

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


async def test_a_full_disk_refuses_and_loses_nothing(tmp_path: Path, small_limit: None) -> None:
    del small_limit
    stored: list[bytes] = []
    index = LmdbStore(tmp_path / "index.mdb")
    payloads = Payloads(Segments(tmp_path / "payloads"), index, pass_by)
    running = asyncio.ensure_future(payloads.run())
    with suppress(OperationalError):
        for at in range(100):
            data = bytes([at]) * 50_000
            await payloads.put(chunks_of(data))
            stored.append(data)
    assert 0 < len(stored) < 100
    with pytest.raises(OperationalError, match="STORE_FULL"):
        await running
    with pytest.raises(OperationalError, match="STORE_FULL"):
        await payloads.put(chunks_of(b"one more"))
    payloads.close()
    async with opened(tmp_path) as again:
        assert [next(again.chunks(digest_of(data), 0)).data for data in stored] == stored
