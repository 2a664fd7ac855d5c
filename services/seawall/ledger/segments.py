"""Append-only segment files for bytes that are written once: payload chunks and submissions.

A record is a header and its data. Records of many callers are appended with one write and made
durable with one sync, whatever their sizes; that is why they are neither one file each (a create
and a sync per kilobyte) nor rows of the ledger's tables (two to six times the CPU). Where a record
lies is kept in memory and, from time to time, in an index file that a restart completes from the
tail of the last segment.
"""

import errno
import os
import zlib
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from struct import Struct
from typing import Final

import msgspec

from seawall.errors import OperationalError
from seawall.runtime.disk import Disk, SoundDisk

SEGMENT_BYTES: Final = 1 << 28
"""A segment that has reached this size is not appended to any more."""

KEY_BYTES: Final = 45

_MAGIC: Final = b"SWS1"
_HEADER: Final = Struct(">4s45sI32s")
_CHECK: Final = Struct(">I")
HEADER_BYTES: Final = _HEADER.size + _CHECK.size
_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where the data of a record lies, and what it must hash to."""

    segment: int
    offset: int
    length: int
    digest: bytes


class Record(msgspec.Struct, frozen=True):
    """A key of 45 bytes, and data of up to 4 GiB with its SHA-256."""

    key: bytes
    data: bytes
    digest: bytes


class Segments:
    """The segment files of one directory."""

    def __init__(self, directory: Path, disk: Disk | None = None) -> None:
        """Open what is there; nothing is read yet. `disk` is asked before each write and sync.

        Raises OperationalError `STORE_OPEN`.
        """
        self._directory = directory
        self._disk = disk or SoundDisk()
        self._files: dict[int, int] = {}
        try:
            directory.mkdir(exist_ok=True)
            numbers = sorted(int(path.stem) for path in directory.glob("*.seg"))
            self.last = numbers[-1] if numbers else 0
            self._writer = self._open_writer()
            self.end = os.fstat(self._writer).st_size
        except (OSError, ValueError) as error:
            hint = "the payload files cannot be opened: look at the directory's owner and disk"
            raise OperationalError("STORE_OPEN", hint, field="payloads") from error

    def append(self, records: Sequence[Record]) -> list[Place]:
        """Append records and return their places once they are durable. Blocks.

        Raises OperationalError `STORE_FULL` or `STORE_WRITE`; nothing then counts as written.
        """
        try:
            self._disk.before_write()
            if self.end >= SEGMENT_BYTES:
                self._rotate()
            pieces: list[bytes] = []
            places, offset = [], self.end
            for record in records:
                header = _HEADER.pack(_MAGIC, record.key, len(record.data), record.digest)
                pieces += (header, _CHECK.pack(zlib.crc32(header)), record.data)
                place = Place(self.last, offset + HEADER_BYTES, len(record.data), record.digest)
                places.append(place)
                offset = place.offset + place.length
            self._write(pieces, offset - self.end)
            self._disk.before_sync()
            os.fdatasync(self._writer)
        except OSError as error:
            self._cut(self.end)
            raise write_error(error) from error
        self.end = offset
        return places

    def read(self, place: Place) -> bytes:
        """Return the data at a place.

        Raises OperationalError `STORE_READ` when it cannot be read in full.
        """
        try:
            if place.segment not in self._files:
                path = self._path(place.segment)
                self._files[place.segment] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            data = os.pread(self._files[place.segment], place.length, place.offset)
        except OSError as error:
            raise OperationalError("STORE_READ", "a payload file cannot be read") from error
        if len(data) != place.length:
            raise OperationalError("STORE_READ", "a payload file is cut short: restore it")
        return data

    def tail(self, segment: int, offset: int) -> Iterator[tuple[bytes, Place]]:
        """Yield keys and places of whole records from a position on, and drop a torn end.

        A record that is not whole was never acknowledged: its sync had not returned.

        Raises OperationalError `STORE_CORRUPT` for one that is not the last segment's.
        """
        for number in range(segment, self.last + 1):
            start = offset if number == segment else 0
            end = start
            for key, place in self._scan(number, start):
                end = place.offset + place.length
                yield key, place
            if number == self.last:
                self._cut(end)
                self.end = end
            elif end != self._path(number).stat().st_size:
                hint = "a full payload file is damaged: restore it"
                raise OperationalError("STORE_CORRUPT", hint, field="payloads")

    def close(self) -> None:
        """Close all files."""
        os.close(self._writer)
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

    def _scan(self, number: int, offset: int) -> Iterator[tuple[bytes, Place]]:
        """Yield whole records of one segment."""
        with self._path(number).open("rb") as file:
            file.seek(offset)
            while len(header := file.read(HEADER_BYTES)) == HEADER_BYTES:
                magic, key, length, digest = _HEADER.unpack_from(header)
                (check,) = _CHECK.unpack_from(header, _HEADER.size)
                if magic != _MAGIC or check != zlib.crc32(header[: _HEADER.size]):
                    return
                offset += HEADER_BYTES
                data = file.read(length)
                if len(data) != length or sha256(data).digest() != digest:
                    return
                yield key, Place(number, offset, length, digest)
                offset += length

    def _write(self, pieces: list[bytes], total: int) -> None:
        """Write all pieces, however many calls that takes."""
        written = 0
        for start in range(0, len(pieces), _PIECES_MAX):
            written += self._write_some(pieces[start : start + _PIECES_MAX])
        assert written == total, "every byte was written"

    def _write_some(self, pieces: list[bytes]) -> int:
        """Write up to `_PIECES_MAX` pieces."""
        total = sum(map(len, pieces))
        written = os.writev(self._writer, pieces)
        if written < total:
            rest = memoryview(b"".join(pieces))[written:]
            while rest:
                rest = rest[os.write(self._writer, rest) :]
        return total

    def _rotate(self) -> None:
        """Begin the next segment."""
        os.close(self._writer)
        self.last += 1
        self._writer = self._open_writer()
        self.end = 0

    def _open_writer(self) -> int:
        """Open the last segment for appending; its name is durable afterwards."""
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self._path(self.last), flags, 0o600)
        directory = os.open(self._directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return descriptor

    def _cut(self, end: int) -> None:
        """Cut the last segment to `end` bytes, as far as the disk lets us."""
        try:
            os.ftruncate(self._writer, end)
        except OSError as error:
            raise write_error(error) from error

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:08d}.seg"


_PIECES_MAX: Final = 1023
"""Pieces in one call: below the least limit of POSIX systems in use, and whole records."""


def write_error(error: OSError) -> OperationalError:
    """Return the error that a failed write of ours stands for."""
    if error.errno in _NO_SPACE:
        hint = "no room is left for payloads: free disk space, then restart the site"
        return OperationalError("STORE_FULL", hint)
    hint = "the disk refused a payload: repair it, then restart the site"
    return OperationalError("STORE_WRITE", hint)
