"""Append-only logs in segment files: frames with checksums, one sync for many, torn tails cut.

    segment:  magic (8), version (4), segment number (8), sequence of its first frame (8),
              salt (8), CRC (4)
    frame:    marker (4), sequence (8), payload length (4), CRC (4), payload
    mark:     marker (4), sequence (8), 0 (4), CRC (4): frames up to this sequence were synced

All integers are big-endian. CRC-32 covers the segment's salt and number, sequence, length and
payload; the salt is random, so that no payload can look like a frame or a mark. Sequences run
without gaps through all segments, and so do segment numbers.

Nobody is told of a frame before it is synced, and a mark is written when it was. So a damaged
frame that a later frame or its mark follows may have been relied on: the log is corrupt. Damage at
the end of the last segment that nothing valid follows is what a crash leaves of a write that was
never synced, and is cut off. (A mark is not synced itself. What a power cut takes of it, and what
a disk that lies loses, shows in the lost-disk check against the other sites; `unsynced` says how
an experiment has a disk lie.)
"""

import errno
import os
import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final
from zlib import crc32

from seawall.consensus import unsynced
from seawall.errors import OperationalError
from seawall.runtime.disk import Disk, SoundDisk
from seawall.runtime.locks import sync_directory, sync_file

SEGMENT_SIZE_BYTES_MAX: Final = 64 << 20
PAYLOAD_SIZE_BYTES_MAX: Final = 1 << 30

_MAGIC: Final = b"SEAWALL\x01"
_MARKER: Final = b"\xf5WLF"
_SYNCED: Final = b"\xf5WLS"
_VERSION: Final = 1
SALT_BYTES: Final = 8
_HEADER: Final = Struct(f">8sIQQ{SALT_BYTES}s")
_CHECK: Final = Struct(">I")
_HEADER_BYTES: Final = _HEADER.size + _CHECK.size
_FRAME: Final = Struct(">4sQII")
_COVERED: Final = Struct(f">{SALT_BYTES}sQQI")
_NAME: Final = re.compile(r"([0-9]{12})\.seg")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame stands: segment number and byte offset."""

    segment: int
    offset: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One recovered frame."""

    place: Place
    sequence: int
    payload: bytes


class SegmentedLog:
    """Frames in the segment files of one directory, owned by one thread at a time.

    Call `recover` once and exhaust it before anything else.
    """

    def __init__(
        self,
        directory: Path,
        *,
        segment_size_bytes_max: int = SEGMENT_SIZE_BYTES_MAX,
        entropy: Callable[[int], bytes] = os.urandom,
        disk: Disk | None = None,
    ) -> None:
        """Use `directory`, and create it when it is not there; `disk` is asked first."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = directory
        self._segment_size_bytes_max = segment_size_bytes_max
        self._segments: list[int] = []
        self._descriptor = -1
        self._size_bytes = 0
        self._failed = False
        self._marked = 0
        self._disk = disk or SoundDisk()
        self._kept = Place(0, 0)
        self._lied = False
        self._entropy = entropy
        self._salts: dict[int, bytes] = {}
        self.next_sequence = 1

    @property
    def segments(self) -> tuple[int, ...]:
        """Return the numbers of the segments, oldest first."""
        return tuple(self._segments)

    @property
    def size_bytes(self) -> int:
        """Return the size of the newest segment."""
        return self._size_bytes

    def close(self) -> None:
        """Close the file that is written to; nothing is synced, but what a disk has lied about.

        Raises:
            OperationalError: JOURNAL_FULL, JOURNAL_IO, after a lie alone.

        """
        if self._lied and not self._failed and self._descriptor >= 0:
            try:
                self._keep()
            except OSError as fault:
                raise self._failure(fault) from fault
        self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    # --- recovery -------------------------------------------------------------------------------

    def recover(self) -> Iterator[Frame]:
        """Yield every frame in order, cut a torn tail, and make ready to append.

        Raises:
            OperationalError: JOURNAL_CORRUPT with segment and offset of the first damage that is
                no torn tail; JOURNAL_IO when a file cannot be read.

        """
        try:
            unsynced.lose(self._directory)
        except OSError as fault:
            raise self._failure(fault) from fault
        numbers = sorted(
            int(found[1])
            for entry in self._directory.iterdir()
            if (found := _NAME.fullmatch(entry.name)) is not None
        )
        expected: int | None = None
        for number in numbers:
            last = number == numbers[-1]
            if not last and number + 1 not in numbers:
                raise _corrupt(self._path(number + 1), 0, "the segment is missing")
            try:
                data = self._path(number).read_bytes()
            except OSError as fault:
                raise self._failure(fault) from fault
            head = _Head.read(data, number)
            if head is None and last and len(data) <= _HEADER_BYTES:
                # Created by a process that ended before it wrote anything into it.
                self._path(number).unlink()
                break
            if head is None or (expected is not None and head.sequence != expected):
                raise _corrupt(self._path(number), 0, "its header is damaged")
            end, expected = yield from self._frames(data, head, last=last)
            self._segments.append(number)
            self._salts[number] = head.salt
            if last:
                self._continue(number, end, len(data))
        self.next_sequence = expected or self.next_sequence
        self._marked = self.next_sequence - 1
        self._kept = Place(self._segments[-1] if self._segments else 0, self._size_bytes)

    def _frames(
        self, data: bytes, head: "_Head", *, last: bool
    ) -> Generator[Frame, None, tuple[int, int]]:
        """Yield the frames of one segment; return the offset of its end and the next sequence."""
        offset, sequence = _HEADER_BYTES, head.sequence
        while offset < len(data):
            payload = head.payload_at(data, offset, sequence)
            if payload is None:
                if not last or head.is_relied_on(data, offset, sequence):
                    raise _corrupt(self._path(head.number), offset, "a frame is damaged")
                break
            yield Frame(Place(head.number, offset), sequence, payload)
            offset += _FRAME.size + len(payload)
            if head.is_mark(data, offset, sequence):
                offset += _FRAME.size
            sequence += 1
        return offset, sequence

    def _continue(self, number: int, end: int, size_bytes: int) -> None:
        """Open the last segment for appending, without its torn tail."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._path(number), flags)
        self._size_bytes = end
        if end != size_bytes:
            os.ftruncate(self._descriptor, end)
            os.fsync(self._descriptor)

    # --- writing --------------------------------------------------------------------------------

    def append(self, payload: bytes) -> Place:
        """Write a frame at the end and return its place; it need not be durable yet.

        Raises:
            OperationalError: JOURNAL_FULL when the disk is full, JOURNAL_IO for every other
                failure. Nothing may be appended after either.

        """
        assert not self._failed, "a log that failed is not used again"
        assert len(payload) <= PAYLOAD_SIZE_BYTES_MAX
        if self._descriptor < 0 or self._size_bytes >= self._segment_size_bytes_max:
            self.roll()
        number, sequence = self._segments[-1], self.next_sequence
        check = _checksum(self._salts[number], number, sequence, payload)
        place = Place(number, self._size_bytes)
        self._write(_FRAME.pack(_MARKER, sequence, len(payload), check) + payload)
        self.next_sequence += 1
        return place

    def sync(self) -> None:
        """Return once everything appended is durable.

        Raises:
            OperationalError: JOURNAL_FULL or JOURNAL_IO; what was appended since the last sync
                may or may not be there after a restart.

        """
        assert not self._failed, "a log that failed is not used again"
        if self._descriptor < 0:
            return
        try:
            self._disk.before_sync()
            if self._disk.is_lying():
                self._lie()
            else:
                self._keep()
        except OSError as fault:
            raise self._failure(fault) from fault
        newest = self.next_sequence - 1
        if self._marked < newest:
            self._marked = newest
            number = self._segments[-1]
            check = _checksum(self._salts[number], number, newest, b"")
            self._write(_FRAME.pack(_SYNCED, newest, 0, check))

    def _keep(self) -> None:
        """Sync: the newest segment, and those of which a lying disk has only said so."""
        os.fdatasync(self._descriptor)
        if self._lied:
            for number in self._segments[:-1]:
                if number >= self._kept.segment:
                    sync_file(self._path(number))
            unsynced.forget(self._directory)
            self._lied = False
        self._kept = Place(self._segments[-1], self._size_bytes)

    def _lie(self) -> None:
        """Keep nothing, and note once what a crash is to leave."""
        if not self._lied:
            unsynced.note(self._directory, self._kept.segment, self._kept.offset)
            self._lied = True

    def roll(self) -> int:
        """Sync and end the newest segment, begin another, and return its number."""
        number = self._segments[-1] + 1 if self._segments else 1
        self.sync()
        self._close()
        salt = self._entropy(SALT_BYTES)
        head = _HEADER.pack(_MAGIC, _VERSION, number, self.next_sequence, salt)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            self._disk.before_write()
            self._descriptor = os.open(self._path(number), flags, 0o600)
            self._size_bytes = 0
            self._segments.append(number)
            self._salts[number] = salt
            self._write(head + _CHECK.pack(crc32(head)))
            os.fsync(self._descriptor)
            sync_directory(self._directory)
        except OSError as fault:
            raise self._failure(fault) from fault
        return number

    def drop_before(self, segment: int) -> int:
        """Delete the segments before this one, oldest first; return how many.

        None while a disk has lied: what takes their place may be lost yet.
        """
        return 0 if self._lied else self._drop_before(segment)

    def _drop_before(self, segment: int) -> int:
        old = [number for number in self._segments if number < segment]
        for number in old:
            self._path(number).unlink(missing_ok=True)
            del self._salts[number]
        self._segments = [number for number in self._segments if number >= segment]
        return len(old)

    def drop_all(self, next_sequence: int) -> None:
        """Delete everything and go on with this sequence."""
        self._close()
        following = self._segments[-1] + 1 if self._segments else 1
        self._drop_before(following)
        self.next_sequence = next_sequence

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            self._disk.before_write()
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as fault:
            raise self._failure(fault) from fault
        self._size_bytes += len(data)

    def _failure(self, fault: OSError) -> OperationalError:
        """Return the error to raise; the log is unusable from now on.

        A failed sync must never be tried again: the system may have dropped the pages.
        """
        self._failed = True
        if fault.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = f"no space left in {self._directory}: free some, then start this site again"
            return OperationalError("JOURNAL_FULL", hint)
        hint = f"{self._directory}: {fault.strerror}: repair the disk, then start again"
        return OperationalError("JOURNAL_IO", hint)

    # --- reading --------------------------------------------------------------------------------

    def read(self, segment: int, offset: int, sequence: int) -> bytes | None:
        """Return the payload at a place, or None when it is not there any more or damaged."""
        salt = self._salts.get(segment)
        try:
            with self._path(segment).open("rb") as file:
                file.seek(offset)
                head = file.read(_FRAME.size)
                size = _FRAME.unpack(head)[2] if len(head) == _FRAME.size else 0
                data = head + file.read(min(size, PAYLOAD_SIZE_BYTES_MAX))
        except OSError:
            return None
        if salt is None:
            return None
        return _Head(segment, 0, salt).payload_at(data, 0, sequence)

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:012}.seg"


@dataclass(frozen=True, slots=True)
class _Head:
    """A segment's header, and with it the way to read its frames."""

    number: int
    sequence: int
    salt: bytes

    @classmethod
    def read(cls, data: bytes, number: int) -> "_Head | None":
        """Return the header of segment `number`, or None when it is damaged."""
        if len(data) < _HEADER_BYTES:
            return None
        magic, version, named, sequence, salt = _HEADER.unpack_from(data)
        (check,) = _CHECK.unpack_from(data, _HEADER.size)
        good = check == crc32(data[: _HEADER.size]) and (magic, version) == (_MAGIC, _VERSION)
        return cls(number, sequence, salt) if good and named == number else None

    def payload_at(self, data: bytes, offset: int, sequence: int) -> bytes | None:
        """Return the payload of the frame at an offset, None when it is not that frame."""
        if len(data) - offset < _FRAME.size:
            return None
        marker, found, size, check = _FRAME.unpack_from(data, offset)
        start = offset + _FRAME.size
        if marker != _MARKER or found != sequence or size > len(data) - start:
            return None
        payload = data[start : start + size]
        good = check == _checksum(self.salt, self.number, sequence, payload)
        return payload if good else None

    def is_mark(self, data: bytes, offset: int, least: int) -> bool:
        """Return whether a mark for this sequence or a later one stands at an offset."""
        if len(data) - offset < _FRAME.size:
            return False
        marker, found, size, check = _FRAME.unpack_from(data, offset)
        if marker != _SYNCED or size or found < least:
            return False
        return bool(check == _checksum(self.salt, self.number, found, b""))

    def is_relied_on(self, data: bytes, offset: int, sequence: int) -> bool:
        """Return whether a valid later frame, or a mark, follows the damaged frame `sequence`."""
        at = data.find(_MARKER[:1], offset)
        while at >= 0:
            if self.is_mark(data, at, sequence):
                return True
            if data.startswith(_MARKER, at) and len(data) - at >= _FRAME.size:
                found = _FRAME.unpack_from(data, at)[1]
                if found > sequence and self.payload_at(data, at, found) is not None:
                    return True
            at = data.find(_MARKER[:1], at + 1)
        return False


def _checksum(salt: bytes, number: int, sequence: int, payload: bytes) -> int:
    return crc32(payload, crc32(_COVERED.pack(salt, number, sequence, len(payload))))


def _corrupt(path: Path, offset: int, what: str) -> OperationalError:
    hint = f"{path.name}: {what}: restore this directory, or start with an empty one"
    return OperationalError("JOURNAL_CORRUPT", hint, field=path.name, offset=offset)
