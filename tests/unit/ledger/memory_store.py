"""A store in memory for tests; it passes the contract suite of every store."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from seawall.ledger.store import Batch, Staged, Table, Usage


class MemoryStore:
    """Tables as dictionaries with sorted keys."""

    def __init__(self) -> None:
        """Start empty."""
        self._rows: dict[Table, dict[bytes, bytes]] = {table: {} for table in Table}
        self._keys: dict[Table, list[bytes]] = {table: [] for table in Table}

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return a value."""
        return self._rows[table].get(key)

    def floor(self, table: Table, key: bytes) -> tuple[bytes, bytes] | None:
        """Return the pair at or below a key."""
        return next(self.descend(table, key), None)

    def scan(self, table: Table, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return pairs from a key up."""
        keys = self._keys[table]
        at = bisect_left(keys, start)
        return [(key, self._rows[table][key]) for key in keys[at : at + max(limit, 0)]]

    def descend(self, table: Table, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield pairs from a key down."""
        keys = self._keys[table]
        for at in range(bisect_right(keys, start) - 1, -1, -1):
            yield keys[at], self._rows[table][keys[at]]

    def stage(self, batch: Batch) -> Staged:
        """Keep a batch for later."""
        return _Staged(self, batch)

    def usage(self) -> Usage:
        """Return the bytes held."""
        size = sum(len(k) + len(v) for rows in self._rows.values() for k, v in rows.items())
        return Usage(used_bytes=size, limit_bytes=1 << 40)

    def close(self) -> None:
        """Keep everything: a test opens it again."""

    def apply(self, batch: Batch) -> None:
        """Apply a batch."""
        for table in Table:
            changes = batch.changes[table]
            rows = self._rows[table]
            for key, value in changes.items():
                if value is None:
                    rows.pop(key, None)
                else:
                    rows[key] = value
            self._keys[table] = sorted(rows)


class _Staged:
    """A batch that waits."""

    def __init__(self, store: MemoryStore, batch: Batch) -> None:
        """Wait to be applied to `store`."""
        self._store = store
        self._batch = batch

    def commit(self) -> None:
        """Apply it."""
        self._store.apply(self._batch)
