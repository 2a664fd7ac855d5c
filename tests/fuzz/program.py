"""Bytes as a row of choices; when they end, every choice is the first one."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Program:
    """Reads bytes one by one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    @property
    def left(self) -> int:
        """Return how many bytes are not read yet."""
        return max(0, len(self._data) - self._place)

    def byte(self) -> int:
        """Return the next byte, 0 after the last one."""
        value = self._data[self._place] if self.left else 0
        self._place += 1
        return value

    def take(self, count: int) -> bytes:
        """Return so many bytes, zeros after the last one."""
        return bytes([self.byte() for _ in range(count)])

    def flag(self) -> bool:
        """Return a choice between two."""
        return bool(self.byte() & 1)

    def number(self) -> int:
        """Return two bytes as one number."""
        return self.byte() << 8 | self.byte()

    def choose(self, values: Sequence[T]) -> T:
        """Return one of several values."""
        return values[self.byte() % len(values)]
