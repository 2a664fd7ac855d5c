"""Numbers that a rejected update has used and no accepted one: evidence needs to know them.

Two updates of one contributor under one number are evidence, whatever became of them. An accepted
one leaves its trace in the log; a rejected one leaves no entry, so its id is kept here until its
number is accepted. The newest `REJECTIONS_MAX` are kept: the table is bounded, and covered by the
state root like every table that later entries depend on.
"""

from typing import Final

from seawall.ledger import rows
from seawall.ledger.state_root import TableDigest
from seawall.ledger.store import Batch, Table

REJECTIONS_MAX: Final = 16_384


class Rejections:
    """The table, by a serial number that follows from what it holds, hence equal everywhere."""

    __slots__ = ("_by_key", "_digest", "_rows")

    def __init__(self) -> None:
        """Start empty."""
        self._rows: dict[int, rows.Rejection] = {}
        self._by_key: dict[bytes, int] = {}
        self._digest = TableDigest()

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: bytes) -> rows.Rejection | None:
        """Return the first rejected update under a number (`rows.seq_key`), if it is known."""
        serial = self._by_key.get(key)
        return None if serial is None else self._rows[serial]

    def put(self, row: rows.Rejection, batch: Batch) -> None:
        """Add a number, or replace what is kept of it; the oldest goes when there are too many."""
        serial = self._by_key.get(row.key)
        if serial is None:
            serial = 1 + next(reversed(self._rows)) if self._rows else 0
        self._set(serial, row)
        batch.put(Table.REJECTIONS, rows.key_of(serial), rows.encode(row))
        if len(self._rows) > REJECTIONS_MAX:
            self.remove(next(iter(self._rows.values())).key, batch)

    def remove(self, key: bytes, batch: Batch) -> None:
        """Forget a number that is there."""
        serial = self._by_key.pop(key)
        del self._rows[serial]
        self._digest.remove(serial)
        batch.delete(Table.REJECTIONS, rows.key_of(serial))

    def load(self, serial: int, value: bytes) -> None:
        """Take over a stored row; they come in ascending order."""
        self._set(serial, rows.decode_rejection(value))

    def digest(self) -> bytes:
        """Return the digest of the table, 32 bytes."""
        return self._digest.digest()

    def _set(self, serial: int, row: rows.Rejection) -> None:
        self._rows[serial] = row
        self._by_key[row.key] = serial
        self._digest.set(serial, rows.encode(row))
