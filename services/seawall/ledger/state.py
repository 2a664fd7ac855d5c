"""The state that committed blocks lead to: who may write, what was accepted, what is pending.

Bounded tables live in memory and have a digest; what only grows (accepted sequence numbers,
payloads, outcomes) stays in the store and is looked up there.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from seawall.crypto.signing import key_id
from seawall.domain.cut import NEVER, Candidate
from seawall.domain.genesis import Genesis, Task
from seawall.errors import OperationalError, PeerError
from seawall.formats import entry as entries
from seawall.ledger import rows
from seawall.ledger.rejections import Rejections
from seawall.ledger.state_root import TableDigest, combine
from seawall.ledger.store import Batch, Reader, Table

SCAN_ROWS: Final = 4096
"""Rows to read at a time while loading."""


class ContributorState:
    """One enrolled contributor and its window of sequence numbers."""

    __slots__ = ("accepted", "highest", "included", "index", "key_id", "roles")

    def __init__(self, index: int, identity: bytes, roles: tuple[str, ...], tasks: int) -> None:
        """Start with nothing accepted."""
        self.index = index
        self.key_id = identity
        self.roles = roles
        self.highest = 0
        self.accepted = 0
        self.included = [NEVER] * tasks

    def has_accepted(self, seq: int, window: int) -> bool | None:
        """Return whether a seq is accepted; None when it lies below the window."""
        behind = self.highest - seq
        if behind < 0:
            return False
        return None if behind > window else bool(self.accepted >> behind & 1)

    def accept(self, seq: int, window: int) -> None:
        """Mark a seq as accepted; below the window nothing is kept of it here."""
        ahead = seq - self.highest
        if ahead > window:
            # Never shift by a number that somebody else has chosen.
            self.accepted, self.highest = 1, seq
        elif ahead > 0:
            self.accepted = (self.accepted << ahead | 1) & ((2 << window) - 1)
            self.highest = seq
        elif ahead >= -window:
            self.accepted |= 1 << -ahead

    def row(self) -> bytes:
        """Return the row that the store keeps and the state root covers."""
        size_bytes = (self.accepted.bit_length() + 7) >> 3
        accepted = self.accepted.to_bytes(size_bytes, "big")
        return rows.encode(rows.ContributorRow(self.highest, accepted, tuple(self.included)))

    def load(self, row: rows.ContributorRow) -> None:
        """Take over a stored row."""
        self.highest = row.highest
        self.accepted = int.from_bytes(row.accepted, "big")
        self.included = list(row.included)


class Waiting:
    """An accepted update that no cut has decided on."""

    __slots__ = ("candidate", "entry", "payload_digest", "payload_size_bytes")

    def __init__(
        self, entry: int, candidate: Candidate, payload_digest: bytes, payload_size_bytes: int
    ) -> None:
        """Keep what a cut needs of it."""
        self.entry = entry
        self.candidate = candidate
        self.payload_digest = payload_digest
        self.payload_size_bytes = payload_size_bytes


class TaskState:
    """One task: its head, the votes, and the updates that wait for a cut."""

    __slots__ = ("changes", "index", "owners", "row", "spec", "undecided", "waiting")

    def __init__(self, index: int, spec: Task) -> None:
        """Start at the base model, with nothing pending."""
        self.index = index
        self.spec = spec
        self.row = rows.TaskRow(
            head=0,
            head_payload=spec.base_payload_digest,
            cut_version=0,
            cut_clock_ms=0,
            root_update=None,
            tallies=[],
        )
        self.waiting: dict[bytes, Waiting] = {}
        self.owners: dict[bytes, int] = {}
        self.changes = 0
        self.undecided: tuple[int, bool, bool] | None = None

    def add(self, waiting: Waiting) -> None:
        """Add a pending update."""
        candidate = waiting.candidate
        self.waiting[candidate.update_id] = waiting
        self.owners[candidate.contributor] = self.owners.get(candidate.contributor, 0) + 1
        self.changes += 1

    def remove(self, update_id: bytes) -> Waiting:
        """Remove a pending update and return it."""
        waiting = self.waiting.pop(update_id)
        owner = waiting.candidate.contributor
        self.owners[owner] -= 1
        if not self.owners[owner]:
            del self.owners[owner]
        self.changes += 1
        return waiting


class State:
    """All bounded tables, and the digests over them."""

    __slots__ = (
        "_contributor_digest",
        "_pending_digest",
        "_task_digest",
        "contributors",
        "rejections",
        "task_index",
        "tasks",
        "window",
    )

    def __init__(self, genesis: Genesis) -> None:
        """Build the state of genesis."""
        self.window = genesis.admission.seq_window
        self.tasks = [TaskState(index, spec) for index, spec in enumerate(genesis.tasks)]
        self.task_index = {task.spec.name: task for task in self.tasks}
        self.contributors: dict[bytes, ContributorState] = {}
        for index, person in enumerate(genesis.contributors):
            identity = key_id(person.public_key)
            self.contributors[identity] = ContributorState(
                index, identity, person.roles, len(self.tasks)
            )
        self.rejections = Rejections()
        self._contributor_digest = TableDigest()
        self._task_digest = TableDigest()
        self._pending_digest = TableDigest()

    def add_waiting(self, task: TaskState, waiting: Waiting, batch: Batch) -> None:
        """Add a pending update everywhere."""
        task.add(waiting)
        self._pending_digest.set(waiting.entry, waiting.candidate.update_id)
        batch.put(Table.PENDING, rows.key_of(waiting.entry), task.index.to_bytes(2, "big"))

    def remove_waiting(self, task: TaskState, update_id: bytes, batch: Batch) -> Waiting:
        """Remove a pending update everywhere and return it."""
        waiting = task.remove(update_id)
        self._pending_digest.remove(waiting.entry)
        batch.delete(Table.PENDING, rows.key_of(waiting.entry))
        return waiting

    def write(
        self,
        contributors: Iterable[ContributorState],
        tasks: Iterable[TaskState],
        batch: Batch,
    ) -> None:
        """Bring rows and digests of changed contributors and tasks up to date."""
        for contributor in contributors:
            row = contributor.row()
            self._contributor_digest.set(contributor.index, row)
            batch.put(Table.CONTRIBUTORS, rows.key_of(contributor.index), row)
        for task in tasks:
            row = rows.encode(task.row)
            self._task_digest.set(task.index, row)
            batch.put(Table.TASKS, rows.key_of(task.index), row)

    def root(self, tree_size: int, tree_root: bytes, finality_digest: bytes) -> bytes:
        """Return the state root beside a tree and a finaliser's state, 32 bytes."""
        tables = (
            self._contributor_digest.digest(),
            self._task_digest.digest(),
            self._pending_digest.digest(),
            self.rejections.digest(),
        )
        return combine(tables, tree_size, tree_root, finality_digest)

    def load(self, reader: Reader) -> None:
        """Take over the rows of a store.

        Raises OperationalError `STORE_CORRUPT` when they do not fit genesis or the log.
        """
        by_index = list(self.contributors.values())
        try:
            for key, value in _all(reader, Table.CONTRIBUTORS):
                contributor = by_index[rows.number_of(key)]
                contributor.load(rows.decode_contributor(value))
                self._contributor_digest.set(contributor.index, value)
            for key, value in _all(reader, Table.TASKS):
                task = self.tasks[rows.number_of(key)]
                task.row = rows.decode_task(value)
                self._task_digest.set(task.index, value)
            for key, value in _all(reader, Table.PENDING):
                task = self.tasks[int.from_bytes(value, "big")]
                waiting = _waiting_of(rows.number_of(key), reader)
                task.add(waiting)
                self._pending_digest.set(waiting.entry, waiting.candidate.update_id)
            for key, value in _all(reader, Table.REJECTIONS):
                self.rejections.load(rows.number_of(key), value)
        except (IndexError, ValueError, TypeError, msgspec.MsgspecError) as error:
            hint = "the state of the ledger is damaged: restore the directory, or sync anew"
            raise OperationalError("STORE_CORRUPT", hint, field="state") from error


def read_entry(index: int, reader: Reader) -> entries.Entry:
    """Return an entry of our own log.

    Raises OperationalError `STORE_CORRUPT` when it is not there.
    """
    data = reader.get(Table.ENTRIES, rows.key_of(index))
    hint = "an entry of the ledger is missing or damaged: restore the directory, or sync anew"
    if data is None:
        raise OperationalError("STORE_CORRUPT", hint, field="entries")
    try:
        return entries.parse(data)
    except PeerError as error:
        raise OperationalError("STORE_CORRUPT", hint, field="entries") from error


def _waiting_of(index: int, reader: Reader) -> Waiting:
    """Return a pending update from its entry."""
    update = read_entry(index, reader)
    if not isinstance(update, entries.UpdateEntry):
        raise TypeError
    candidate = Candidate(
        update_id=bytes.fromhex(update.update_id),
        contributor=bytes.fromhex(update.contributor),
        base_version=update.base_version,
        seq=update.seq,
        num_examples=update.num_examples,
        commit_index=update.commit,
    )
    return Waiting(index, candidate, bytes.fromhex(update.payload), update.payload_size)


def _all(reader: Reader, table: Table) -> Iterable[tuple[bytes, bytes]]:
    """Yield every row of a table."""
    start = b""
    while page := reader.scan(table, start, SCAN_ROWS):
        yield from page
        start = page[-1][0] + b"\x00"
