"""A strict JSON scanner that names the byte of every fault.

It reads the JSON of RFC 8259 narrowed to I-JSON (RFC 7493): UTF-8 without a byte order mark, no
member name twice however it is escaped, no lone surrogates, integers within +-(2**53 - 1), a
bounded depth. It is the exact and slow reader behind `seawall.formats.jcs`, which tries a fast
decoder first.
"""

import math
import re
from typing import TYPE_CHECKING, Final, TypeAlias

from seawall.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonInput: TypeAlias = (
    "bool | int | float | str | Sequence[JsonInput] | Mapping[str, JsonInput] | None"
)

INTEGER_MAX: Final = 2**53 - 1
"""The greatest integer that every JSON reader keeps exactly (RFC 7493, section 2.2)."""

_INTEGER_DIGITS_MAX: Final = 16
_BOM: Final = b"\xef\xbb\xbf"
_SPACE: Final = re.compile(rb"[ \t\n\r]*")
_RUN: Final = re.compile(rb'[^"\\\x00-\x1f]*')
_NUMBER: Final = re.compile(rb"(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORD: Final = re.compile(rb"-?[A-Za-z]+")
_HEX4: Final = re.compile(rb"[0-9a-fA-F]{4}")
_WORDS: Final[dict[bytes, bool | None]] = {b"true": True, b"false": False, b"null": None}
_NUMBER_WORDS: Final = (b"NaN", b"Infinity", b"-NaN", b"-Infinity")
_HIGH_SURROGATES: Final = range(0xD800, 0xDC00)
_LOW_SURROGATES: Final = range(0xDC00, 0xE000)
_ESCAPES: Final = {
    b'"': '"',
    b"\\": "\\",
    b"/": "/",
    b"b": "\b",
    b"f": "\f",
    b"n": "\n",
    b"r": "\r",
    b"t": "\t",
}


def scan(data: bytes, *, depth_max: int, floats: bool = False) -> JsonValue:
    """Return the value of one JSON text, or say which byte is wrong.

    Args:
        data: the whole text; nothing but white space may surround the value.
        depth_max: containers inside containers, the outermost counting one.
        floats: whether numbers with a fraction or an exponent are allowed.

    Raises:
        PeerError: a JSON_* code with the offset of the fault.

    """
    if data.startswith(_BOM):
        raise PeerError("JSON_BOM", "send UTF-8 without a byte order mark", offset=0)
    try:
        data.decode()
    except UnicodeDecodeError as error:
        hint = "send well-formed UTF-8: shortest forms, no surrogates"
        raise PeerError("JSON_UTF8", hint, offset=error.start) from None
    scanner = _Scanner(data, floats=floats)
    value = scanner.value(depth_max)
    scanner.end()
    return value


class _Scanner:
    """Recursive descent over one text; `_at` is the next byte to read."""

    __slots__ = ("_at", "_data", "_floats")

    def __init__(self, data: bytes, *, floats: bool) -> None:
        self._data = data
        self._at = 0
        self._floats = floats

    def end(self) -> None:
        """Refuse anything but white space after the value."""
        self._peek()
        if self._at != len(self._data):
            raise PeerError("JSON_TRAILING", "send one JSON value and no more", offset=self._at)

    def value(self, depth_left: int) -> JsonValue:
        """Read one value of any kind."""
        first = self._peek()
        if first == b'"':
            return self._string()
        if first in (b"{", b"["):
            if depth_left == 0:
                raise PeerError("JSON_DEPTH", "nest containers less deeply", offset=self._at)
            self._at += 1
            return self._object(depth_left - 1) if first == b"{" else self._array(depth_left - 1)
        number = _NUMBER.match(self._data, self._at)
        if number is not None:
            return self._number(number)
        return self._word()

    def _peek(self) -> bytes:
        """Skip white space; return the next byte, or nothing at the end."""
        space = _SPACE.match(self._data, self._at)
        assert space is not None  # the pattern matches the empty string
        self._at = space.end()
        return self._data[self._at : self._at + 1]

    def _syntax(self, expected: str) -> PeerError:
        """Return the error for a byte that no JSON text has here."""
        if self._at >= len(self._data):
            return PeerError("JSON_TRUNCATED", f"expected {expected}", offset=len(self._data))
        return PeerError("JSON_SYNTAX", f"expected {expected}", offset=self._at)

    def _object(self, depth_left: int) -> dict[str, JsonValue]:
        """Read members up to the closing brace; the opening one is behind us."""
        members: dict[str, JsonValue] = {}
        if self._peek() == b"}":
            self._at += 1
            return members
        while True:
            if self._peek() != b'"':
                raise self._syntax("a member name in double quotes")
            name_at = self._at
            name = self._string()
            if name in members:
                hint = "give each member name once"
                raise PeerError("JSON_DUPLICATE_KEY", hint, offset=name_at)
            if self._peek() != b":":
                raise self._syntax("a colon")
            self._at += 1
            members[name] = self.value(depth_left)
            if self._separator(b"}"):
                return members

    def _array(self, depth_left: int) -> list[JsonValue]:
        """Read elements up to the closing bracket; the opening one is behind us."""
        elements: list[JsonValue] = []
        if self._peek() == b"]":
            self._at += 1
            return elements
        while True:
            elements.append(self.value(depth_left))
            if self._separator(b"]"):
                return elements

    def _separator(self, closing: bytes) -> bool:
        """Read a comma or the closing byte; return whether it was the latter."""
        byte = self._peek()
        if byte not in (b",", closing):
            raise self._syntax("a comma or the end of the container")
        self._at += 1
        return byte == closing

    def _string(self) -> str:
        """Read a string; the next byte is its opening quote."""
        self._at += 1
        pieces: list[str] = []
        while True:
            run = _RUN.match(self._data, self._at)
            assert run is not None  # the pattern matches the empty string
            pieces.append(run[0].decode())
            self._at = run.end()
            byte = self._data[self._at : self._at + 1]
            if byte == b'"':
                self._at += 1
                return "".join(pieces)
            if byte != b"\\":
                raise self._syntax("a closing quote, or an escape for a control character")
            pieces.append(self._escape())

    def _escape(self) -> str:
        """Read one escape, or the two of a surrogate pair; the next byte is a backslash."""
        start = self._at
        letter = self._data[start + 1 : start + 2]
        if letter != b"u":
            self._at += 1
            if letter not in _ESCAPES:
                raise self._syntax("an escape that JSON knows")
            self._at += 1
            return _ESCAPES[letter]
        unit = self._code_unit()
        if unit not in _HIGH_SURROGATES and unit not in _LOW_SURROGATES:
            return chr(unit)
        if unit in _HIGH_SURROGATES and self._data[self._at : self._at + 2] == b"\\u":
            low = self._code_unit()
            if low in _LOW_SURROGATES:
                return chr(0x10000 + (unit - 0xD800) * 0x400 + (low - 0xDC00))
        raise PeerError("JSON_SURROGATE", "send surrogates in pairs only", offset=start)

    def _code_unit(self) -> int:
        """Read a backslash, a `u` and four hex digits."""
        self._at += 2
        digits = _HEX4.match(self._data, self._at)
        if digits is None:
            raise self._syntax("four hex digits")
        self._at += 4
        return int(digits[0], 16)

    def _number(self, token: re.Match[bytes]) -> int | float:
        """Return the value of a number token and step over it."""
        start = self._at
        self._at = token.end()
        if token[2] is not None or token[3] is not None:
            return self._float(token[0], start)
        digits = token[0].lstrip(b"-")
        if len(digits) > _INTEGER_DIGITS_MAX or int(digits) > INTEGER_MAX:
            hint = "send integers within +-(2**53 - 1)"
            raise PeerError("JSON_INTEGER_RANGE", hint, offset=start)
        return int(token[0])

    def _float(self, text: bytes, start: int) -> float:
        """Return a finite float where floats are allowed."""
        if not self._floats:
            raise PeerError("JSON_FLOAT", "send integers only", offset=start)
        number = float(text)
        if not math.isfinite(number):
            raise PeerError("JSON_NUMBER", "send numbers that a double can hold", offset=start)
        return number

    def _word(self) -> bool | None:
        """Read true, false or null."""
        word = _WORD.match(self._data, self._at)
        if word is not None and word[0] in _NUMBER_WORDS:
            raise PeerError("JSON_NUMBER", "send finite numbers only", offset=self._at)
        if word is None or word[0] not in _WORDS:
            raise self._syntax("a value")
        self._at = word.end()
        return _WORDS[word[0]]
