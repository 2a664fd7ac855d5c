"""The payload store: chunks by digest, and what travels beside updates by update id.

Everything is durable before it is answered; puts of many callers share one write and one sync. A
payload of one chunk is its own proof. One of several chunks is readable only once the whole was
hashed, so that chunks of somebody else's making cannot stand in for it.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from struct import Struct
from time import perf_counter_ns
from typing import Final

import msgspec

from seawall.errors import OperationalError, PeerError
from seawall.ledger.disk import finish
from seawall.ledger.segments import Place, Record, Segments
from seawall.ledger.store import Batch, Store, Table

CHUNK_BYTES: Final = 1 << 20
INDEX_ROWS_PENDING_MAX: Final = 1024
"""Places kept in memory before they are written to the index."""

GROUP_BYTES_MAX: Final = 8 << 20
QUEUE_GROUPS_MAX: Final = 256
THREAD_BYTES_MIN: Final = 1 << 18
"""Chunks from this size on are hashed in a thread: a hop costs as much as hashing 64 KiB."""

_KEY: Final = Struct(">B32sQI")
_POSITION_KEY: Final = b"position"
_WHOLE, _CHUNK, _SEAL, _SUBMISSION, _DROP = range(1, 6)


class ChunkData(msgspec.Struct, frozen=True):
    """A chunk to store: bytes and the digests that its sender claims."""

    payload_digest: bytes
    index: int
    chunk_digest: bytes
    data: bytes
    payload_size_bytes: int


class Holding(msgspec.Struct, frozen=True):
    """What is stored of a payload: digests of its chunks by index, and whether it is whole."""

    chunks: dict[int, bytes]
    complete: bool

    def bitmap(self, size_bytes: int) -> bytes:
        """Return the stored chunks as bits: bit i of byte i / 8, least significant first."""
        stored = bytearray(-(-chunk_count(size_bytes) // 8))
        for index in self.chunks:
            stored[index >> 3] |= 1 << (index & 7)
        return bytes(stored)


class Submission(msgspec.Struct, frozen=True, array_like=True):
    """What travels beside an update: DSSE envelope and statements, empty when absent."""

    envelope: bytes
    manifest: bytes
    provenance: bytes


class _Put(msgspec.Struct):
    """Records of one caller on their way to the disk."""

    records: list[Record]
    size_bytes: int
    durable: "asyncio.Future[None]"


_encode: Final = msgspec.msgpack.Encoder().encode
_decode_place: Final = msgspec.msgpack.Decoder(Place).decode
_decode_position: Final = msgspec.msgpack.Decoder(tuple[int, int]).decode
_decode_submission: Final = msgspec.msgpack.Decoder(Submission).decode


class Payloads:
    """The payload store of one site."""

    def __init__(
        self,
        segments: Segments,
        index: Store,
        reach: Callable[[str], None],
        written: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        """Open the store and complete its index.

        `reach` passes a named crash point; `written` hears how long each group took to be durable.

        Raises OperationalError `STORE_CORRUPT`.
        """
        self._segments = segments
        self._index = index
        self._reach = reach
        self._written = written
        self._recent: dict[bytes, Place | None] = {}
        self._queue: asyncio.Queue[_Put] = asyncio.Queue(QUEUE_GROUPS_MAX)
        self._sealing: dict[bytes, None] = {}
        self._failed: OperationalError | None = None
        position = index.get(Table.META, _POSITION_KEY)
        start = (0, 0) if position is None else _decode_position(position)
        for key, place in segments.tail(*start):
            self._note(key, place)

    # --- reading ---------------------------------------------------------------------------------

    def holding(self, payload_digest: bytes, size_bytes: int) -> Holding:
        """Return what is stored of a payload of this size."""
        if size_bytes <= CHUNK_BYTES:
            whole = self._place(_key(_WHOLE, payload_digest))
            complete = whole is not None and whole.length == size_bytes
            return Holding({0: payload_digest} if complete else {}, complete)
        chunks = {}
        for index in range(chunk_count(size_bytes)):
            place = self._place(_key(_CHUNK, payload_digest, size_bytes, index))
            if place is not None:
                chunks[index] = place.digest
        return Holding(chunks, self.size(payload_digest) == size_bytes)

    def size(self, payload_digest: bytes) -> int | None:
        """Return the size of a payload that is here as a whole, in bytes, else None."""
        whole = self._place(_key(_WHOLE, payload_digest))
        if whole is not None:
            return whole.length
        seal = self._place(_key(_SEAL, payload_digest))
        return None if seal is None else int.from_bytes(self._segments.read(seal), "big")

    def chunks(self, payload_digest: bytes, first: int) -> Iterator[ChunkData]:
        """Yield the chunks of a payload from index `first` on.

        Raises PeerError `PAYLOAD_UNKNOWN` unless it is here as a whole, `CHUNK_ORDER` when it has
        no such chunk; OperationalError `STORE_READ`.
        """
        size_bytes = self.size(payload_digest)
        if size_bytes is None:
            hint = "not stored here: ask a site that attested it"
            raise PeerError("PAYLOAD_UNKNOWN", hint, field="payload_digest")
        count = chunk_count(size_bytes)
        if first >= count:
            raise PeerError("CHUNK_ORDER", f"it has {count} chunks", field="first_chunk")
        for index in range(first, count):
            place = self._place(_chunk_key(payload_digest, size_bytes, index))
            if place is None:
                raise OperationalError("STORE_READ", "a chunk is missing: restore the directory")
            data = self._segments.read(place)
            yield ChunkData(payload_digest, index, place.digest, data, size_bytes)

    def submission(self, update_id: bytes) -> Submission | None:
        """Return what is kept beside an update, None when nothing is."""
        place = self._place(_key(_SUBMISSION, update_id))
        return None if place is None else _decode_submission(self._segments.read(place))

    # --- writing ---------------------------------------------------------------------------------

    async def put(self, chunks: Sequence[ChunkData]) -> list[int]:
        """Store chunks; return the positions that were refused, all others being durable.

        Refused is a chunk whose bytes do not match their digest or its payload's size, that would
        change a whole payload, or that completed a payload of another digest (whose chunks are
        then all forgotten).

        Raises OperationalError `STORE_FULL` or `STORE_WRITE`.
        """
        refused: list[int] = []
        records: list[Record] = []
        completed: dict[tuple[bytes, int], None] = {}
        for position, chunk in enumerate(chunks):
            key = _chunk_key(chunk.payload_digest, chunk.payload_size_bytes, chunk.index)
            if not _is_well_formed(chunk) or await _digest(chunk.data) != chunk.chunk_digest:
                refused.append(position)
                continue
            stored = self._place(key)
            is_stored = stored is not None and stored.digest == chunk.chunk_digest
            if chunk.payload_size_bytes > CHUNK_BYTES:
                if self.size(chunk.payload_digest) is None:
                    completed[chunk.payload_digest, chunk.payload_size_bytes] = None
                elif not is_stored:
                    refused.append(position)
                    continue
            if not is_stored:
                records.append(Record(key, chunk.data, chunk.chunk_digest))
        await self._write(records)
        for digest, size_bytes in completed:
            if not await self._seal(digest, size_bytes):
                refused += [at for at, one in enumerate(chunks) if one.payload_digest == digest]
        return sorted(set(refused))

    async def put_submissions(self, submissions: Sequence[tuple[bytes, Submission]]) -> None:
        """Keep what travels beside updates, by update id; durable when it returns.

        Raises OperationalError `STORE_FULL` or `STORE_WRITE`.
        """
        records = []
        for update_id, submission in submissions:
            key = _key(_SUBMISSION, update_id)
            data = _encode(submission)
            digest = sha256(data).digest()
            stored = self._place(key)
            if stored is None or stored.digest != digest:
                records.append(Record(key, data, digest))
        await self._write(records)

    async def run(self) -> None:
        """Write what is queued, group by group, until cancelled.

        Raises OperationalError after a failed write: nothing more can be promised.
        """
        carried: _Put | None = None
        while True:
            group = [carried or await self._queue.get()]
            carried = None
            size_bytes = group[0].size_bytes
            while not self._queue.empty():
                put = self._queue.get_nowait()
                if size_bytes + put.size_bytes > GROUP_BYTES_MAX:
                    carried = put
                    break
                group.append(put)
                size_bytes += put.size_bytes
            await self._write_group(group, carried)

    def close(self) -> None:
        """Release the files."""
        self._segments.close()
        self._index.close()

    async def _write_group(self, group: list[_Put], carried: _Put | None) -> None:
        """Make one group durable and say so."""
        records = [record for put in group for record in put.records]
        self._reach("ledger.before_payload")
        began_ns = perf_counter_ns()
        try:
            places = await finish(lambda: self._segments.append(records))
        except OperationalError as error:
            self._fail(error, group if carried is None else [*group, carried])
            raise
        self._written((perf_counter_ns() - began_ns) / 1e9)
        self._reach("ledger.after_payload")
        for record, place in zip(records, places, strict=True):
            self._note(record.key, place)
        for put in group:
            if not put.durable.done():
                put.durable.set_result(None)
        if len(self._recent) >= INDEX_ROWS_PENDING_MAX:
            await self._write_index()

    def _fail(self, error: OperationalError, group: list[_Put]) -> None:
        """Tell everybody who waits that nothing more is stored."""
        self._failed = error
        while not self._queue.empty():
            group.append(self._queue.get_nowait())
        for put in group:
            if not put.durable.done():
                put.durable.set_exception(error)

    async def _write(self, records: list[Record]) -> None:
        """Return when the records are durable."""
        if self._failed is not None:
            raise self._failed
        if not records:
            return
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        size_bytes = sum(len(record.data) for record in records)
        await self._queue.put(_Put(records, size_bytes, durable))
        await durable

    async def _write_index(self) -> None:
        """Write the places that are only in memory to the index."""
        batch = Batch()
        written = dict(self._recent)
        for key, place in written.items():
            if place is None:
                batch.delete(Table.PLACES, key)
            else:
                batch.put(Table.PLACES, key, _encode(place))
        position = (self._segments.last, self._segments.end)
        batch.put(Table.META, _POSITION_KEY, _encode(position))
        staged = self._index.stage(batch)
        await finish(staged.commit)
        for key, place in written.items():
            if self._recent.get(key) is place:
                del self._recent[key]

    async def _seal(self, payload_digest: bytes, size_bytes: int) -> bool:
        """Hash a payload whose chunks are all here; return whether it may still become whole."""
        keys = [
            _key(_CHUNK, payload_digest, size_bytes, index)
            for index in range(chunk_count(size_bytes))
        ]
        places = [self._place(key) for key in keys]
        if payload_digest in self._sealing or None in places:
            return True
        self._sealing[payload_digest] = None
        try:
            hasher = sha256()
            for place in places:
                assert place is not None, "looked at above"
                await asyncio.to_thread(hasher.update, self._segments.read(place))
            if hasher.digest() == payload_digest:
                size = size_bytes.to_bytes(8, "big")
                key = _key(_SEAL, payload_digest)
                await self._write([Record(key, size, sha256(size).digest())])
                return True
            key = _key(_DROP, payload_digest, size_bytes)
            await self._write([Record(key, b"", sha256(b"").digest())])
            return False
        finally:
            del self._sealing[payload_digest]

    def _note(self, key: bytes, place: Place) -> None:
        """Remember a durable record."""
        kind, digest, size_bytes, _ = _KEY.unpack(key)
        if kind != _DROP:
            self._recent[key] = place
            return
        for index in range(chunk_count(size_bytes)):
            self._recent[_key(_CHUNK, digest, size_bytes, index)] = None

    def _place(self, key: bytes) -> Place | None:
        """Return where a record lies, None when it is not here."""
        if key in self._recent:
            return self._recent[key]
        value = self._index.get(Table.PLACES, key)
        return None if value is None else _decode_place(value)


def chunk_count(size_bytes: int) -> int:
    """Return the number of chunks of a payload; an empty one has one."""
    return max(1, -(-size_bytes // CHUNK_BYTES))


def _key(kind: int, digest: bytes, size_bytes: int = 0, index: int = 0) -> bytes:
    """Return the key of a record."""
    return _KEY.pack(kind, digest, size_bytes, index)


def _chunk_key(payload_digest: bytes, size_bytes: int, index: int) -> bytes:
    """Return the key of a chunk, which is the payload's when it is the only one."""
    if size_bytes <= CHUNK_BYTES:
        return _key(_WHOLE, payload_digest)
    return _key(_CHUNK, payload_digest, size_bytes, index)


def _is_well_formed(chunk: ChunkData) -> bool:
    """Return whether index and length fit the payload's size, and digests their form."""
    size_bytes, index = chunk.payload_size_bytes, chunk.index
    if len(chunk.payload_digest) != sha256().digest_size or index >= chunk_count(size_bytes):
        return False
    if size_bytes <= CHUNK_BYTES and chunk.chunk_digest != chunk.payload_digest:
        return False
    return len(chunk.data) == min(CHUNK_BYTES, size_bytes - index * CHUNK_BYTES)


async def _digest(data: bytes) -> bytes:
    """Return the SHA-256 of a chunk; a large one is hashed beside the event loop."""
    if len(data) < THREAD_BYTES_MIN:
        return sha256(data).digest()
    return (await asyncio.to_thread(sha256, data)).digest()
