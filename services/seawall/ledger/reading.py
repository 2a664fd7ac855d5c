"""Reads of the certified part of a log: entries, the newest checkpoint note, outcomes."""

from collections.abc import AsyncIterator
from typing import Final

import msgspec

from seawall.crypto.signing import SigningKey
from seawall.errors import OperationalError, PeerError
from seawall.ledger import rows
from seawall.ledger.landmarks import Signal
from seawall.ledger.log import GENESIS_INDEX, Log
from seawall.ledger.store import Table
from seawall.ledger.tree import Tree, checkpoint_note

PAGE_BYTES_MAX: Final = 1 << 20
PAGE_ENTRIES_MAX: Final = 1024
_SCAN_ENTRIES: Final = 128


class RefusedUpdate(msgspec.Struct, frozen=True):
    """An update that a commit delivered and did not accept, and why."""

    update_id: bytes
    code: str
    commit: int


class Page(msgspec.Struct, frozen=True):
    """Consecutive entries, and the last commit whose entries are complete with them."""

    start: int
    entries: list[bytes]
    commit_index: int
    refused: list[RefusedUpdate]


class LogReader:
    """What a site shows of its log."""

    def __init__(self, log: Log, log_key: SigningKey) -> None:
        """Read from this log; `log_key` signs the log's own line of checkpoints."""
        self.tree = Tree(log.store)
        self._log = log
        self._log_key = log_key
        self._note = (GENESIS_INDEX, b"")

    def note(self) -> bytes:
        """Return the newest certified checkpoint as a signed note, empty before the first."""
        certificate = self._log.certificate
        if certificate is not None and certificate.index != self._note[0]:
            note = checkpoint_note(certificate, self._log.committee, self._log_key)
            self._note = (certificate.index, note)
        return self._note[1]

    def entry(self, index: int) -> bytes:
        """Return an entry.

        Raises PeerError `LOG_INDEX` when no certified checkpoint covers it.
        """
        size = self._log.certified_size
        value = self._log.store.get(Table.ENTRIES, rows.key_of(index)) if index < size else None
        if value is None:
            raise PeerError("LOG_INDEX", f"the log has {size} certified entries", field="index")
        return value

    def outcome(self, update_id: bytes) -> rows.Accepted | rows.Refused | None:
        """Return what became of an update, None when it was never delivered."""
        value = self._log.store.get(Table.UPDATES, update_id)
        return None if value is None else rows.decode_outcome(value)

    async def follow(
        self, start: int, limit: int, certified: Signal, *, follow: bool
    ) -> AsyncIterator[Page]:
        """Yield entries from `start` on in pages of up to 1 MiB.

        Args:
            start: first entry; may lie ahead of the log.
            limit: most entries, 0 for no limit.
            certified: fires when more entries are certified.
            follow: whether to wait for more at the end.

        """
        position = start
        end = start + limit if limit else None
        done = self._commit_at(start)
        while end is None or position < end:
            size = self._log.certified_size
            stop = size if end is None else min(size, end)
            if position < stop:
                entries = self._read(position, stop)
                complete = self._commit_at(position + len(entries))
                yield Page(position, entries, complete, self._refused(done, complete))
                position += len(entries)
                done = complete
            elif follow:
                await certified.wait()
            else:
                return

    def _read(self, start: int, stop: int) -> list[bytes]:
        """Return at least one entry from `start` on, and as many more as a page takes."""
        entries: list[bytes] = []
        size_bytes = 0
        while start < stop and len(entries) < PAGE_ENTRIES_MAX:
            count = min(stop - start, _SCAN_ENTRIES)
            found = self._log.store.scan(Table.ENTRIES, rows.key_of(start), count)
            if len(found) < count:
                hint = "an entry of the ledger is missing: restore the directory, or sync anew"
                raise OperationalError("STORE_CORRUPT", hint, field="entries")
            for _, entry in found:
                size_bytes += len(entry)
                if entries and size_bytes > PAGE_BYTES_MAX:
                    return entries
                entries.append(entry)
            start += count
        return entries

    def _commit_at(self, size: int) -> int:
        """Return the last commit whose entries are all among the first `size`."""
        found = self._log.store.floor(Table.SIZES, rows.key_of(size))
        return GENESIS_INDEX if found is None else rows.number_of(found[1])

    def _refused(self, after: int, last: int) -> list[RefusedUpdate]:
        """Return the refusals of commits above `after` up to `last`."""
        start, stop = rows.refused_key(after + 1, 0), rows.refused_key(last + 1, 0)
        refused: list[RefusedUpdate] = []
        while start < stop:
            found = self._log.store.scan(Table.REFUSED, start, _SCAN_ENTRIES)
            for key, value in found:
                if key >= stop:
                    return refused
                commit = rows.number_of(key[:8])
                refused.append(RefusedUpdate(value[:32], value[32:].decode(), commit))
            if len(found) < _SCAN_ENTRIES:
                return refused
            start = found[-1][0] + b"\x00"
        return refused
