"""Append-only logs in segment files: frames with checksums, one sync for many, torn tails cut.

    segment:  magic (8), version (4), segment number (8), sequence of its first frame (8), CRC (4)
    frame:    marker (4), sequence (8), payload length (4), CRC (4), payload

All integers are big-endian. A frame's CRC-32 covers segment number, sequence, length and payload.
Sequences run without gaps through all segments, and so do segment numbers.

Whoever appends syncs before appending again, or at least before telling anybody. So a frame that
is followed by a later valid one may have been relied on: if it is damaged, the log is corrupt.
A damaged end of the last segment that nothing valid follows is what a crash leaves of a write
that was never synced; it is cut off. (What was relied on and yet lost there, by a disk that lies,
shows in the lost-disk check against the other sites.)
"""

import errno
import os
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final
from zlib import crc32

from seawall.errors import OperationalError
from seawall.runtime.locks import sync_directory

SEGMENT_SIZE_BYTES_MAX: Final = 64 << 20
PAYLOAD_SIZE_BYTES_MAX: Final = 1 << 30

_MAGIC: Final = b"SEAWALL\x01"
_MARKER: Final = b"\xf5WLF"
_VERSION: Final = 1
_HEADER: Final = Struct(">8sIQQ")
_CHECK: Final = Struct(">I")
_HEADER_BYTES: Final = _HEADER.size + _CHECK.size
_FRAME: Final = Struct(">4sQII")
_COVERED: Final = Struct(">QQI")
_NAME: Final = re.compile(r"([0-9]{12})\.seg")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame stands: segment number, byte offset, and the length of its payload."""

    segment: int
    offset: int
    size_bytes: int


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
        self, directory: Path, *, segment_size_bytes_max: int = SEGMENT_SIZE_BYTES_MAX
    ) -> None:
        """Use `directory`, and create it when it is not there."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = directory
        self._segment_size_bytes_max = segment_size_bytes_max
        self._segments: list[int] = []
        self._descriptor = -1
        self._size_bytes = 0
        self._failed = False
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
        """Close the file that is written to; nothing is synced."""
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
            first = _first_sequence(data, number)
            if first is None and last and _resume(data, 0, number, 0) is None:
                # Created by a process that ended before it wrote anything into it.
                self._path(number).unlink()
                break
            if first is None or (expected is not None and first != expected):
                raise _corrupt(self._path(number), 0, "its header is damaged")
            end, expected = yield from self._frames(data, number, first, last=last)
            self._segments.append(number)
            if last:
                self._continue(number, end, len(data))
        self.next_sequence = expected or self.next_sequence

    def _frames(
        self, data: bytes, number: int, sequence: int, *, last: bool
    ) -> Generator[Frame, None, tuple[int, int]]:
        """Yield the frames of one segment; return the offset of its end and the next sequence."""
        offset = _HEADER_BYTES
        while offset < len(data):
            payload = _payload_at(data, offset, number, sequence)
            if payload is None:
                if not last or _resume(data, offset, number, sequence) is not None:
                    raise _corrupt(self._path(number), offset, "a frame is damaged")
                break
            yield Frame(Place(number, offset, len(payload)), sequence, payload)
            offset += _FRAME.size + len(payload)
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
        check = _checksum(number, sequence, payload)
        head = _FRAME.pack(_MARKER, sequence, len(payload), check)
        place = Place(number, self._size_bytes, len(payload))
        self._write(head + payload)
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
            os.fdatasync(self._descriptor)
        except OSError as fault:
            raise self._failure(fault) from fault

    def roll(self) -> int:
        """Sync and end the newest segment, begin another, and return its number."""
        number = self._segments[-1] + 1 if self._segments else 1
        self.sync()
        self.close()
        head = _HEADER.pack(_MAGIC, _VERSION, number, self.next_sequence)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            self._descriptor = os.open(self._path(number), flags, 0o600)
            self._size_bytes = 0
            self._segments.append(number)
            self._write(head + _CHECK.pack(crc32(head)))
            os.fsync(self._descriptor)
            sync_directory(self._directory)
        except OSError as fault:
            raise self._failure(fault) from fault
        return number

    def drop_before(self, segment: int) -> int:
        """Delete the segments before this one, oldest first; return how many."""
        old = [number for number in self._segments if number < segment]
        for number in old:
            self._path(number).unlink(missing_ok=True)
        self._segments = [number for number in self._segments if number >= segment]
        return len(old)

    def drop_all(self, next_sequence: int) -> None:
        """Delete everything and go on with this sequence."""
        self.close()
        following = self._segments[-1] + 1 if self._segments else 1
        self.drop_before(following)
        self.next_sequence = next_sequence

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
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

    def read(self, place: Place, sequence: int) -> bytes | None:
        """Return the payload at a place, or None when it is not there any more or damaged."""
        try:
            with self._path(place.segment).open("rb") as file:
                file.seek(place.offset)
                data = file.read(_FRAME.size + place.size_bytes)
        except OSError:
            return None
        return _payload_at(data, 0, place.segment, sequence)

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:012}.seg"


def _checksum(number: int, sequence: int, payload: bytes | memoryview) -> int:
    return crc32(payload, crc32(_COVERED.pack(number, sequence, len(payload))))


def _first_sequence(data: bytes, number: int) -> int | None:
    """Return the sequence that a segment begins with, or None when its header is damaged."""
    if len(data) < _HEADER_BYTES:
        return None
    magic, version, named, sequence = _HEADER.unpack_from(data)
    (check,) = _CHECK.unpack_from(data, _HEADER.size)
    good = check == crc32(data[: _HEADER.size]) and (magic, version) == (_MAGIC, _VERSION)
    return int(sequence) if good and named == number else None


def _payload_at(data: bytes, offset: int, number: int, sequence: int | None) -> bytes | None:
    """Return the payload of the frame at an offset; None when damaged, or of another sequence."""
    if len(data) - offset < _FRAME.size:
        return None
    marker, found, size, check = _FRAME.unpack_from(data, offset)
    start = offset + _FRAME.size
    if marker != _MARKER or size > len(data) - start:
        return None
    if sequence is not None and found != sequence:
        return None
    payload = data[start : start + size]
    return payload if check == _checksum(number, found, payload) else None


def _resume(data: bytes, offset: int, number: int, sequence: int) -> int | None:
    """Return the offset of a valid later frame behind a damage, if there is one."""
    at = data.find(_MARKER, offset)
    while at >= 0:
        if len(data) - at >= _FRAME.size:
            found = _FRAME.unpack_from(data, at)[1]
            if found > sequence and _payload_at(data, at, number, found) is not None:
                return at
        at = data.find(_MARKER, at + 1)
    return None


def _corrupt(path: Path, offset: int, what: str) -> OperationalError:
    hint = f"{path.name}: {what}: restore this directory, or start with an empty one"
    return OperationalError("JOURNAL_CORRUPT", hint, field=path.name, offset=offset)
