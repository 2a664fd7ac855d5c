"""Data directories: one process at a time, one format, one owner.

A directory that is opened twice would let a replica sign two blocks for one round, so the lock is
held as long as the process lives, and the system drops it when the process ends, however it ends.
The format file says what the directory holds and for whom; a directory of another chain, site or
role is refused, and so is one of another format version.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from seawall.errors import LocalError, OperationalError

FORMAT_VERSION: Final = 1
LOCK_NAME: Final = "LOCK"
FORMAT_NAME: Final = "FORMAT"


class DataDirectory:
    """An opened and locked directory; a context manager that unlocks at its end."""

    def __init__(self, path: Path, owner: str) -> None:
        """Open `path`, and create it when it is not there.

        Args:
            path: the directory.
            owner: what it belongs to, for example `seawall/0123456789abcdef site-0 ledger`.

        Raises:
            OperationalError: DATA_LOCKED with the holder's process id; DATA_DIR when it cannot be
                created or written.
            LocalError: DATA_FORMAT when it has another format or owner, with both values.

        """
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._descriptor = os.open(
                path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as fault:
            hint = f"cannot use {path}: {fault.strerror}"
            raise OperationalError("DATA_DIR", hint) from fault
        try:
            self._lock()
            self._check_format(f"seawall-data {FORMAT_VERSION} {owner}\n")
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Unlock."""
        os.close(self._descriptor)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            hint = f"process {holder or 'unknown'} uses {self.path}: stop it first"
            raise OperationalError("DATA_LOCKED", hint) from fault
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def _check_format(self, wanted: str) -> None:
        """Compare the format file, or write it into a directory that holds nothing yet."""
        place = self.path / FORMAT_NAME
        if place.exists():
            found = place.read_text(encoding="ascii", errors="replace")
            if found != wanted:
                hint = f"expected {wanted.strip()!r}, found {found[:200].strip()!r} in {self.path}"
                raise LocalError("DATA_FORMAT", hint)
            return
        strangers = [entry.name for entry in self.path.iterdir() if entry.name != LOCK_NAME]
        if strangers:
            hint = f"{self.path} holds files but no format: choose an empty directory"
            raise LocalError("DATA_FORMAT", hint)
        write_durably(place, wanted.encode())


def write_durably(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file's content so that a crash leaves the old or the new one, never a part."""
    scratch = path.with_name(path.name + ".new")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    scratch.replace(path)
    sync_directory(path.parent)


def sync_file(path: Path) -> None:
    """Make a file's content durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Make created, renamed and deleted names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
