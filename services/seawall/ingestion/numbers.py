"""Batch numbers that never repeat, whatever happens to the process.

Numbers are reserved in ranges by a small file: it names the first number that no process of this
site has reserved yet, and is durable before any number of the range is used. A crash wastes the
rest of a range and nothing else.

Workers of one site have a file each, and each counts in a part of the numbers of its own: nothing
has to be agreed on, and nothing that may be lost decides a number.
"""

from pathlib import Path
from typing import Final

from seawall.errors import OperationalError
from seawall.runtime.locks import write_durably

RANGE: Final = 4096
FILE_NAME: Final = "batch-numbers"
_DIGITS_MAX: Final = 19
WORKER_SHIFT: Final = 45
"""Above these bits stands the worker; a block carries numbers below 2^53."""


class BatchNumbers:
    """The numbers of one worker's batches, ascending from 1 for the first worker."""

    def __init__(self, directory: Path, worker: int = 0) -> None:
        """Read what earlier processes of this worker have reserved.

        Raises:
            OperationalError: BATCH_NUMBERS when the file is damaged or cannot be read.

        """
        self._path = directory / FILE_NAME
        try:
            text = self._path.read_text(encoding="ascii") if self._path.exists() else "1\n"
        except (OSError, UnicodeDecodeError) as fault:
            raise self._damaged() from fault
        digits = text.removesuffix("\n")
        if not (digits.isdecimal() and len(digits) <= _DIGITS_MAX and int(digits)):
            raise self._damaged()
        if int(digits) + RANGE >= 1 << WORKER_SHIFT:
            raise self._damaged()
        self._first = worker << WORKER_SHIFT
        self._next = int(digits)
        self._end = self._next

    def take(self) -> int:
        """Return a number that was never returned before.

        Raises:
            OperationalError: BATCH_NUMBERS when no range can be reserved.

        """
        if self._next == self._end:
            try:
                write_durably(self._path, b"%d\n" % (self._end + RANGE))
            except OSError as fault:
                hint = f"cannot write {self._path}: {fault.strerror}"
                raise OperationalError("BATCH_NUMBERS", hint) from fault
            self._end += RANGE
        self._next += 1
        return self._first + self._next - 1

    def _damaged(self) -> OperationalError:
        hint = f"{self._path} is damaged: restore it, a number used twice is refused by others"
        return OperationalError("BATCH_NUMBERS", hint)
