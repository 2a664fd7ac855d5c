"""What this site keeps of finished versions, and where it goes on reading the log after a restart.

One file a task, one JSON line a version, only ever appended to; a torn last line is what a crash
leaves, and is dropped. Everything here follows from the log and can be computed again.
"""

import os
from pathlib import Path
from typing import Final

import msgspec

from seawall.aggregation.versions import LoggedVersion
from seawall.errors import OperationalError
from seawall.runtime.disk import Disk, SoundDisk
from seawall.runtime.locks import sync_directory, write_durably

CURSOR: Final = "cursor.json"
CURSOR_BYTES_MAX: Final = 1 << 20


class Finished(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A version whose payload is here.

    `payload` is what stake voted for, in hex. `computed` is what this site computed, empty when it
    took the version from others; only then there are `weights` and `filtered`, in the cut's order.
    """

    version: int
    payload: str
    size_bytes: int
    index: int
    commit: int
    cut: int
    computed: str = ""
    rule_used: str = ""
    weights: tuple[int, ...] = ()
    filtered: tuple[str | None, ...] = ()

    def logged(self) -> LoggedVersion:
        """Return what the log says of it."""
        return LoggedVersion(
            self.version,
            bytes.fromhex(self.payload),
            self.size_bytes,
            self.index,
            self.commit,
            self.cut,
        )


class Cursor(msgspec.Struct, frozen=True):
    """Where to go on after a restart.

    `next` is the entry to read next; `final` has the newest final version of each task, `voted` the
    newest for which a vote of this site was counted.
    """

    next: int = 0
    final: dict[str, int] = msgspec.field(default_factory=dict)
    voted: dict[str, int] = msgspec.field(default_factory=dict)


class History:
    """The finished versions of one task, in order."""

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        """Open the file, or make it; versions above a gap or a torn line are forgotten.

        `disk` is asked before each write and sync.

        Raises:
            OperationalError: AGG_HISTORY when it cannot be read or written.

        """
        self._path = path
        self._disk = disk or SoundDisk()
        self._starts: list[int] = []
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._end = self._read()
            os.ftruncate(self._file, self._end)
            sync_directory(path.parent)
        except OSError as fault:
            raise _broken(path, fault) from fault

    def __len__(self) -> int:
        """Return the number of finished versions, version 0 not counted."""
        return len(self._starts)

    def get(self, version: int) -> Finished | None:
        """Return a finished version, from 1, or None."""
        if not 1 <= version <= len(self._starts):
            return None
        start = self._starts[version - 1]
        end = self._starts[version] if version < len(self._starts) else self._end
        return msgspec.json.decode(os.pread(self._file, end - start, start), type=Finished)

    def append(self, row: Finished) -> None:
        """Add the next version, durably.

        Raises:
            OperationalError: AGG_HISTORY.

        """
        assert row.version == len(self._starts) + 1, "versions are finished in order"
        data = msgspec.json.encode(row) + b"\n"
        try:
            self._disk.before_write()
            written = os.pwrite(self._file, data, self._end)
            self._disk.before_sync()
            os.fsync(self._file)
        except OSError as fault:
            raise _broken(self._path, fault) from fault
        if written < len(data):
            raise OperationalError("AGG_HISTORY", f"cannot write all of {self._path}: disk full?")
        self._starts.append(self._end)
        self._end += len(data)

    def close(self) -> None:
        """Release the file."""
        os.close(self._file)

    def _read(self) -> int:
        """Find the lines of consecutive versions; return where the last one ends."""
        end = 0
        with self._path.open("rb") as file:
            for line in file:
                try:
                    row = msgspec.json.decode(line, type=Finished)
                except msgspec.MsgspecError:
                    break
                if not line.endswith(b"\n") or row.version != len(self._starts) + 1:
                    break
                self._starts.append(end)
                end += len(line)
        return end


def read_cursor(directory: Path) -> Cursor:
    """Return the cursor of a data directory; the beginning of the log when there is none."""
    path = directory / CURSOR
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(CURSOR_BYTES_MAX), type=Cursor)
    except FileNotFoundError:
        return Cursor()
    except (OSError, msgspec.MsgspecError) as fault:
        raise _broken(path, fault) from fault


def write_cursor(directory: Path, cursor: Cursor, disk: Disk | None = None) -> None:
    """Replace the cursor, durably; `disk` is asked first.

    Raises:
        OperationalError: AGG_HISTORY.

    """
    path, disk = directory / CURSOR, disk or SoundDisk()
    try:
        disk.before_write()
        disk.before_sync()
        write_durably(path, msgspec.json.encode(cursor))
    except OSError as fault:
        raise _broken(path, fault) from fault


def _broken(path: Path, fault: Exception) -> OperationalError:
    return OperationalError("AGG_HISTORY", f"cannot use {path}: {fault}; remove it to start anew")
