"""A cursor over untrusted bytes that cannot read past their end."""

from collections.abc import Iterator
from struct import Struct
from typing import Any

from seawall.errors import PeerError


class Reader:
    """Takes structures and byte strings off the front of `data`, counting every byte.

    Raises PeerError with the `code` given to it and the offset when the bytes are too short.
    """

    __slots__ = ("_code", "data", "offset")

    def __init__(self, data: bytes, code: str) -> None:
        self.data = data
        self.offset = 0
        self._code = code

    def _advance(self, size: int) -> int:
        """Step over `size` bytes and return where they begin."""
        start = self.offset
        end = start + size
        if end > len(self.data):
            raise PeerError(self._code, "the bytes end too early", offset=len(self.data))
        self.offset = end
        return start

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        start = self._advance(size)
        return self.data[start : start + size]

    def unpack(self, layout: Struct) -> tuple[Any, ...]:
        """Return the next structure."""
        return layout.unpack_from(self.data, self._advance(layout.size))

    def unpack_many(self, layout: Struct, count: int) -> Iterator[tuple[Any, ...]]:
        """Return the next `count` structures; nothing is allocated before they are there."""
        return layout.iter_unpack(self.take(layout.size * count))

    def end(self, code: str) -> None:
        """Refuse anything that is left."""
        if self.offset != len(self.data):
            raise PeerError(code, "nothing may follow", offset=self.offset)
