"""A store in one LMDB file.

LMDB calls give up the interpreter lock one by one, so a thread that puts row after row beside a
busy event loop crawls: a thousand puts took a second. Therefore rows are put in the caller's
thread, at about a microsecond each, and only the commit, which waits for the disk, runs elsewhere.
A write transaction that changes threads rules out LMDB's own locks. What they protect holds by
construction: one process (the data directory is locked), one thread that reads and stages, no read
transaction open across a call, so none that is older than the batch before the staged one.
"""

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

import lmdb

from seawall.errors import LocalError, OperationalError
from seawall.ledger.store import Batch, Staged, Table, Usage
from seawall.runtime.disk import Disk, SoundDisk

FORMAT: Final = b"seawall-ledger/3"
"""Name and version of what the file holds."""

_FORMAT_KEY: Final = b"format"
_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class LmdbStore:
    """Tables in one file."""

    def __init__(
        self,
        path: Path,
        *,
        map_size_bytes: int = 1 << 28,
        map_size_bytes_max: int = 1 << 40,
        disk: Disk | None = None,
    ) -> None:
        """Open or create the file.

        Args:
            path: the file; its directory exists and is locked by the caller.
            map_size_bytes: address space to begin with; doubled when it runs out.
            map_size_bytes_max: the most that the file may take.
            disk: is asked before each commit.

        Raises:
            OperationalError: STORE_OPEN when it cannot be read.
            LocalError: STORE_FORMAT when another version wrote it.

        """
        self.disk = disk or SoundDisk()
        self._limit_bytes = map_size_bytes_max
        self._failed: OperationalError | None = None
        try:
            self._environment = lmdb.open(
                str(path),
                map_size=min(map_size_bytes, map_size_bytes_max),
                max_dbs=len(Table) + 1,
                subdir=False,
                lock=False,
                max_readers=4,
            )
            self._tables = [
                self._environment.open_db(table.name.lower().encode()) for table in Table
            ]
        except (lmdb.Error, OSError) as error:
            hint = "the ledger's file cannot be opened: restore it, or remove it to start anew"
            raise OperationalError("STORE_OPEN", hint, field=path.name) from error
        self._check_format()

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return the value of a key, None when there is none."""
        with self._environment.begin(db=self._tables[table]) as transaction:
            value: bytes | None = transaction.get(key)
        return value

    def floor(self, table: Table, key: bytes) -> tuple[bytes, bytes] | None:
        """Return the greatest key not above `key` with its value, None when all are above."""
        with self._environment.begin(db=self._tables[table]) as transaction:
            cursor = transaction.cursor()
            return cursor.item() if _seek_down(cursor, key) else None

    def scan(self, table: Table, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return up to `limit` pairs from `start` on, in ascending order of keys."""
        with self._environment.begin(db=self._tables[table]) as transaction:
            cursor = transaction.cursor()
            found = cursor.set_range(start) if start else cursor.first()
            if not found or limit <= 0:
                return []
            return [pair for pair, _ in zip(cursor.iternext(), range(limit), strict=False)]

    def descend(self, table: Table, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield pairs from the greatest key not above `start` down."""
        with self._environment.begin(db=self._tables[table]) as transaction:
            cursor = transaction.cursor()
            if _seek_down(cursor, start):
                yield from cursor.iterprev()

    def stage(self, batch: Batch) -> Staged:
        """Write a batch without making it durable."""
        if self._failed is not None:
            raise self._failed
        while True:
            transaction = self._environment.begin(write=True)
            try:
                self._write(transaction, batch)
            except lmdb.MapFullError:
                transaction.abort()
                self._grow()
            except (lmdb.Error, OSError) as error:
                transaction.abort()
                self.fail(error)
            else:
                return _StagedBatch(self, transaction)

    def usage(self) -> Usage:
        """Return how much room is taken."""
        info = self._environment.info()
        page_bytes = self._environment.stat()["psize"]
        return Usage(used_bytes=(info["last_pgno"] + 1) * page_bytes, limit_bytes=self._limit_bytes)

    def close(self) -> None:
        """Release the file."""
        self._environment.close()

    def fail(self, error: Exception) -> NoReturn:
        """Take no further batch: what was asked for is not on the disk."""
        if isinstance(error, lmdb.MapFullError | lmdb.DiskError) or _is_full(error):
            hint = "no room is left for the ledger: free disk space or raise its limit, restart"
            self._failed = OperationalError("STORE_FULL", hint)
        else:
            hint = "the disk refused a write of the ledger: repair it, then restart the site"
            self._failed = OperationalError("STORE_WRITE", hint)
        raise self._failed from error

    def _write(self, transaction: lmdb.Transaction, batch: Batch) -> None:
        """Apply the changes of a batch, in ascending order of keys in each table."""
        for table, changes in zip(self._tables, batch.changes, strict=True):
            if not changes:
                continue
            cursor = transaction.cursor(table)
            puts = []
            for key, value in sorted(changes.items()):
                if value is not None:
                    puts.append((key, value))
                elif cursor.set_key(key):
                    cursor.delete()
            cursor.putmulti(puts)
            cursor.close()

    def _grow(self) -> None:
        """Double the map, up to the limit; no transaction is open."""
        size = self._environment.info()["map_size"]
        if size >= self._limit_bytes:
            self.fail(lmdb.MapFullError("limit reached"))
        self._environment.set_mapsize(min(2 * size, self._limit_bytes))

    def _check_format(self) -> None:
        """Write the format's name into a new file; refuse another one."""
        found = self.get(Table.META, _FORMAT_KEY)
        if found is None and self._environment.stat()["entries"] <= len(Table):
            batch = Batch()
            batch.put(Table.META, _FORMAT_KEY, FORMAT)
            self.stage(batch).commit()
        elif found != FORMAT:
            self.close()
            hint = f"this build reads {FORMAT.decode()}: use the build that wrote the directory"
            raise LocalError("STORE_FORMAT", hint)


class _StagedBatch:
    """One open write transaction."""

    __slots__ = ("_store", "_transaction")

    def __init__(self, store: LmdbStore, transaction: lmdb.Transaction) -> None:
        self._store = store
        self._transaction = transaction

    def commit(self) -> None:
        """Commit and sync."""
        try:
            self._store.disk.before_write()
            self._store.disk.before_sync()
        except OSError as error:
            self._transaction.abort()
            self._store.fail(error)
        try:
            self._transaction.commit()
        except (lmdb.Error, OSError) as error:
            self._store.fail(error)


def _seek_down(cursor: lmdb.Cursor, key: bytes) -> bool:
    """Move to the greatest key not above `key`; return whether there is one."""
    if not cursor.set_range(key):
        return bool(cursor.last())
    return cursor.key() == key or bool(cursor.prev())


def _is_full(error: Exception) -> bool:
    """Return whether an error of LMDB or the system says that the disk is full."""
    number = getattr(error, "errno", None)
    return number in _NO_SPACE or "No space left" in str(error)
