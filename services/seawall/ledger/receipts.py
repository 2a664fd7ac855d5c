"""Receipts as this site can issue them: from the log, under its newest certified checkpoint."""

from typing import Final

import msgspec

from seawall.errors import PeerError
from seawall.formats import entry as entries
from seawall.formats.receipt import encode_receipt
from seawall.ledger import rows
from seawall.ledger.log import Log
from seawall.ledger.refusals import VERDICT_UNDECIDED, refusal
from seawall.ledger.state import read_entry
from seawall.ledger.store import Table
from seawall.ledger.tree import Tree

DROPPED_ENTRIES_MAX: Final = 64
"""Entries after a cut among which a dropped update is looked for."""


class Pending(msgspec.Struct, frozen=True):
    """A receipt that does not exist yet, and the landmark to wait for.

    `landmark` names what must be certified first: see `Landmarks`.
    """

    landmark: bytes


def accepted_landmark(update_id: bytes) -> bytes:
    """Return the name of an update's acceptance (or refusal)."""
    return b"u" + update_id


def decided_landmark(update_id: bytes) -> bytes:
    """Return the name of the decision of a cut on an update."""
    return b"d" + update_id


def usable_landmark(task: int, version: int) -> bytes:
    """Return the name of a version's becoming usable."""
    return b"v" + rows.version_key(task, version)


class Receipts:
    """Issues receipts."""

    def __init__(self, log: Log) -> None:
        """Read from this log."""
        self._log = log
        self._tree = Tree(log.store)

    def issue(
        self, update_id: bytes, *, aggregated: bool, note: bytes, envelope: bytes | None
    ) -> bytes | Pending:
        """Return the receipt of an update, or what it still waits for.

        Args:
            update_id: the update.
            aggregated: whether to prove the cut and the version as well. An update that a cut
                dropped has no version; its receipt ends with the cut. No cut takes a tainted
                update; its receipt ends with its own entry, which says so.
            note: the newest certified checkpoint, empty before the first.
            envelope: the submission's envelope in canonical form, where this site has it.

        Raises:
            PeerError: the code with which a verdict refused the update. One that was not decided
                in time may come again: its receipt is still awaited.

        """
        value = self._log.store.get(Table.UPDATES, update_id)
        outcome = None if value is None else rows.decode_outcome(value)
        if isinstance(outcome, rows.Refused):
            is_certain = outcome.commit <= self._log.certified_index
            if is_certain and outcome.code != VERDICT_UNDECIDED:
                raise refusal(outcome.code)
            outcome = None
        if outcome is None or not note or outcome.entry >= self._log.certified_size:
            return Pending(accepted_landmark(update_id))
        places = [outcome.entry]
        if aggregated:
            decision = self._decision(update_id, outcome)
            if isinstance(decision, Pending):
                return decision
            places += decision
        size = self._log.certified_size
        proven = [(self._leaf(at), self._tree.proof(at, size, note)) for at in places]
        return encode_receipt(self._log.origin, update_id, proven, envelope)

    def _decision(self, update_id: bytes, outcome: rows.Accepted) -> list[int] | Pending:
        """Return the entries that say which version an update went into, or into none."""
        cut_entry = outcome.cut_entry
        if cut_entry is None and self._is_tainted(outcome.entry):
            return []
        if cut_entry is None or cut_entry >= self._log.certified_size:
            return Pending(decided_landmark(update_id))
        cut = read_entry(cut_entry, self._log.store)
        assert isinstance(cut, entries.CutEntry), "a cut decided on the update"
        identity = update_id.hex()
        if identity != cut.root and all(one.update_id != identity for one in cut.updates):
            return [self._dropped_entry(identity, cut, cut_entry)]
        task = self._log.state.task_index[cut.task]
        key = rows.version_key(task.index, cut.version)
        value = self._log.store.get(Table.VERSIONS, key)
        version = None if value is None else rows.decode_version(value)
        if version is None or version.usable_entry >= self._log.certified_size:
            return Pending(usable_landmark(task.index, cut.version))
        entry = version.final_entry
        if entry is None or entry >= self._log.certified_size:
            entry = version.usable_entry
        return [cut_entry, entry]

    def _is_tainted(self, index: int) -> bool:
        """Return whether no cut will ever decide on the update of this entry."""
        update = read_entry(index, self._log.store)
        assert isinstance(update, entries.UpdateEntry), "an accepted update has its entry"
        return bool(update.taint)

    def _dropped_entry(self, identity: str, cut: entries.CutEntry, cut_entry: int) -> int:
        """Return the entry that says that a cut dropped an update."""
        if any(one.update_id == identity for one in cut.dropped):
            return cut_entry
        for at in range(cut_entry + 1, cut_entry + 1 + DROPPED_ENTRIES_MAX):
            entry = read_entry(at, self._log.store)
            if isinstance(entry, entries.DroppedEntry) and any(
                one.update_id == identity for one in entry.dropped
            ):
                return at
        raise PeerError("RECEIPT_UNKNOWN", "ask for the receipt without its cut")

    def _leaf(self, index: int) -> bytes:
        """Return an entry's bytes."""
        data = self._log.store.get(Table.ENTRIES, rows.key_of(index))
        assert data is not None, "certified entries are stored"
        return data
