"""What the ledger needs of a store: ordered tables, one atomic and durable batch at a time.

A store knows nothing of commits or trees; `seawall.ledger.rows` says what the tables hold. Every
store passes `tests/contract/test_store.py`.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Protocol

import msgspec


class Table(IntEnum):
    """The tables of a ledger; keys are ordered as byte strings."""

    META = 0
    ENTRIES = 1
    NODES = 2
    COMMITS = 3
    SIZES = 4
    UPDATES = 5
    SEQS = 6
    PAYLOADS = 7
    REFUSED = 8
    CONTRIBUTORS = 9
    TASKS = 10
    VERSIONS = 11
    PENDING = 12
    PLACES = 13
    REJECTIONS = 14
    CONVICTIONS = 15


class Batch:
    """Changes to apply together: all of them or none. The last change to a key counts.

    `changes[table]` maps keys to new values, or to None where the key goes. `below` is a batch
    that will be applied before this one; it is only read.
    """

    __slots__ = ("below", "changes")

    def __init__(self, below: "Batch | None" = None) -> None:
        """Start empty, on top of another batch."""
        self.below = below
        self.changes: list[dict[bytes, bytes | None]] = [{} for _ in Table]

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        """Set a key of 1 to 500 bytes."""
        self.changes[table][key] = value

    def delete(self, table: Table, key: bytes) -> None:
        """Remove a key; it need not exist."""
        self.changes[table][key] = None

    def get(self, table: Table, key: bytes) -> tuple[bool, bytes | None]:
        """Return whether this batch or the one below changes the key, and to what."""
        changes = self.changes[table]
        if key in changes:
            return True, changes[key]
        return (False, None) if self.below is None else self.below.get(table, key)


class Usage(msgspec.Struct, frozen=True):
    """How much room a store takes, and may take, in bytes."""

    used_bytes: int
    limit_bytes: int


class Reader(Protocol):
    """Reads of the last durable state."""

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return the value of a key, None when there is none."""
        ...

    def floor(self, table: Table, key: bytes) -> tuple[bytes, bytes] | None:
        """Return the greatest key not above `key` with its value, None when all are above."""
        ...

    def scan(self, table: Table, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return up to `limit` pairs from `start` on, in ascending order of keys."""
        ...

    def descend(self, table: Table, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield pairs from the greatest key not above `start` down.

        Take what you need at once: no other call of the store may come in between.
        """
        ...


class Staged(Protocol):
    """A batch that is written but not durable, and that no reader sees yet."""

    def commit(self) -> None:
        """Make the batch durable and visible; returns after that. May run in another thread.

        Raises OperationalError `STORE_FULL` or `STORE_WRITE`; then nothing of the batch is
        visible, and the store takes no further batch.
        """
        ...


class Store(Reader, Protocol):
    """A ledger's tables.

    Calls come from one thread at a time. Only `Staged.commit` may run beside reads, in a second
    thread, while no other batch is staged.
    """

    def stage(self, batch: Batch) -> Staged:
        """Write a batch without making it durable.

        Raises OperationalError `STORE_FULL` or `STORE_WRITE`, as `Staged.commit` does.
        """
        ...

    def usage(self) -> Usage:
        """Return how much room is taken."""
        ...

    def close(self) -> None:
        """Release the files; staged and uncommitted changes are dropped."""
        ...
