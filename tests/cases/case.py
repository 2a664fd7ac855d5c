"""One bad update, and the parts that rows are made of."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.cases.authors import Author, Signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One bad update and its answer; offsets that are not known beforehand are not compared."""

    name: str
    make: Callable[[Author], Signed]
    code: str
    field: str | None = None
    offset: int | None = None


def flip(data: bytes, at: int) -> bytes:
    """Return the same bytes but for one bit."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
