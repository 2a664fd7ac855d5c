"""A journal in a file: one record a line, synced before `write` returns."""

import asyncio
import os
from pathlib import Path
from typing import Final

from seawall.chaos.runner.records import Record, decode, encode
from seawall.errors import OperationalError

FILE_BYTES_MAX: Final = 64 << 20


class FileJournal:
    """Implements `protocols.Journal`."""

    def __init__(self, path: Path) -> None:
        """Keep the records in this file, after those that are there already."""
        self._path = path
        self._turn = asyncio.Lock()

    async def write(self, record: Record) -> None:
        """Add a record and sync it.

        Raises:
            OperationalError: CHAOS_JOURNAL_WRITE.

        """
        async with self._turn:
            try:
                await asyncio.to_thread(self._append, encode(record) + b"\n")
            except OSError as fault:
                hint = f"cannot write {self._path}: {fault.strerror}"
                raise OperationalError("CHAOS_JOURNAL_WRITE", hint) from fault

    async def read(self) -> tuple[Record, ...]:
        """Return all records.

        Raises:
            OperationalError: CHAOS_JOURNAL_READ.
            LocalError: CHAOS_JOURNAL.

        """
        try:
            with self._path.open("rb") as file:
                data = await asyncio.to_thread(file.read, FILE_BYTES_MAX)
        except OSError as fault:
            hint = f"cannot read {self._path}: {fault.strerror}"
            raise OperationalError("CHAOS_JOURNAL_READ", hint) from fault
        return decode(data)

    def _append(self, line: bytes) -> None:
        with self._path.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
