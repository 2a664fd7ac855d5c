"""Canonical JSON (RFC 8785) without floats, and strict readers for it.

What is hashed as JSON (genesis, submissions, ledger entries) is hashed in this form. Floats are
refused outright, so the one hard part of RFC 8785, number formatting, never arises.

Speed: a value without floats whose member names are ASCII has one canonical form that a plain
sorted encoder writes too, so the common path is that encoder. Reading decodes fast and checks that
re-encoding gives the same bytes; this alone rules out names given twice, white space and odd
escapes. Whatever the fast way cannot settle takes the exact scanner, which names the offset of the
fault.
"""

import enum
import json
from collections.abc import Iterable, Iterator
from typing import Final, Literal

import msgspec
import rfc8785

from seawall.errors import LocalError, PeerError
from seawall.formats.strict_json import INTEGER_MAX, JsonInput, JsonValue, scan

__all__ = [
    "DEPTH_MAX",
    "INTEGER_MAX",
    "JsonInput",
    "JsonValue",
    "canonical",
    "parse_canonical",
    "parse_strict",
]

DEPTH_MAX: Final = 32
"""Containers inside containers that we write, and by default read."""

_encode: Final = msgspec.json.Encoder(order="sorted").encode
_decode: Final = msgspec.json.Decoder().decode
_SCALARS: Final = (int, str, bool, type(None))
_CONTAINERS: Final = (list, tuple, dict)


class _NameTwiceError(Exception):
    """An object gives one name twice; the exact scanner then says where."""


class _Fast(enum.Enum):
    """What the fast path says when it cannot tell; None would be a JSON value."""

    UNDECIDED = enum.auto()


def canonical(value: JsonInput) -> bytes:
    """Return the RFC 8785 encoding of a value without floats.

    Accepts None, bool, int within +-(2**53 - 1), str, list, tuple and dict with str names, at most
    32 containers deep.

    Raises:
        LocalError: JSON_FLOAT, JSON_INTEGER_RANGE, JSON_TYPE, JSON_DEPTH or JSON_SURROGATE with
            the path of the fault.

    """
    plain = _is_plain(value, DEPTH_MAX)
    if not plain:
        _check(value, "$", DEPTH_MAX)
    try:
        return _encode(value) if plain else rfc8785.dumps(value)
    except (UnicodeEncodeError, rfc8785.CanonicalizationError):
        raise LocalError("JSON_SURROGATE", "strings hold no lone surrogates") from None


def parse_strict(
    data: bytes, *, size_max: int, depth_max: int = DEPTH_MAX, floats: bool = False
) -> JsonValue:
    """Return the value of a JSON text that any two readers must understand alike.

    Args:
        data: one JSON text in UTF-8; white space and member order are free.
        size_max: the most bytes to read.
        depth_max: containers inside containers, the outermost counting one.
        floats: whether finite floats are allowed.

    Raises:
        PeerError: JSON_SIZE, or what `seawall.formats.strict_json.scan` refuses, with the offset.

    """
    value = _parse_fast(data, size_max, depth_max)
    if value is not _Fast.UNDECIDED and (_encode(value) == data or _names_are_unique(data)):
        return value
    return scan(data, depth_max=depth_max, floats=floats)


def parse_canonical(data: bytes, *, size_max: int, depth_max: int = DEPTH_MAX) -> JsonValue:
    """Return the value of a JSON text that is its own canonical encoding.

    Raises:
        PeerError: as `parse_strict`; JSON_NOT_CANONICAL with the first byte that differs.

    """
    value = _parse_fast(data, size_max, depth_max)
    if value is not _Fast.UNDECIDED and _encode(value) == data:
        return value
    value = scan(data, depth_max=min(depth_max, DEPTH_MAX))
    expected = canonical(value)
    if expected != data:
        pairs = zip(data, expected, strict=False)
        same = next((at for at, (got, want) in enumerate(pairs) if got != want), len(expected))
        raise PeerError("JSON_NOT_CANONICAL", "send RFC 8785 canonical JSON", offset=same)
    return value


def _parse_fast(data: bytes, size_max: int, depth_max: int) -> JsonValue | Literal[_Fast.UNDECIDED]:
    """Return the value of well-formed JSON without floats whose names are ASCII.

    The decoder is strict about everything but names given twice: the last one wins.
    """
    if len(data) > size_max:
        raise PeerError("JSON_SIZE", f"send at most {size_max} bytes", offset=size_max)
    try:
        value: JsonValue = _decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _Fast.UNDECIDED
    return value if _is_plain(value, depth_max) else _Fast.UNDECIDED


def _names_are_unique(data: bytes) -> bool:
    """Return whether no object of a well-formed JSON text gives one name twice.

    What the last one of two equal names hides may be nested too deeply for this decoder.
    """
    try:
        json.loads(data.decode(), object_pairs_hook=_members_once)
    except (_NameTwiceError, RecursionError):
        return False
    return True


def _members_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return the members of an object, each given once."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _NameTwiceError
    return members


def _is_plain(value: object, depth_left: int) -> bool:
    """Return whether the sorted encoder writes this value as RFC 8785 wants it.

    RFC 8785 sorts names by UTF-16 code units; ASCII names are where every order agrees.
    """
    if type(value) is str or value is None or type(value) is bool:
        return True
    if type(value) is int:
        return -INTEGER_MAX <= value <= INTEGER_MAX
    if depth_left == 0:
        return False
    parts: Iterable[object]
    if type(value) is dict:
        if not all(type(name) is str and name.isascii() for name in value):
            return False
        parts = value.values()
    elif type(value) is list or type(value) is tuple:
        parts = value
    else:
        return False
    return all(_is_plain(part, depth_left - 1) for part in parts)


def _check(value: object, path: str, depth_left: int) -> None:
    """Refuse what canonical JSON cannot say, naming the place."""
    if type(value) is float:
        raise LocalError("JSON_FLOAT", "scale to an integer", field=path)
    if type(value) is int and not -INTEGER_MAX <= value <= INTEGER_MAX:
        raise LocalError("JSON_INTEGER_RANGE", "keep within +-(2**53 - 1)", field=path)
    if type(value) in _SCALARS:
        return
    if type(value) not in _CONTAINERS:
        raise LocalError("JSON_TYPE", "use None, bool, int, str, list or dict", field=path)
    if depth_left == 0:
        raise LocalError("JSON_DEPTH", f"nest at most {DEPTH_MAX} containers", field=path)
    for step, part in _parts(value, path):
        _check(part, f"{path}{step}", depth_left - 1)


def _parts(value: object, path: str) -> Iterator[tuple[str, object]]:
    """Yield the parts of a container with the step of a path that leads to each."""
    if isinstance(value, dict):
        for name, member in value.items():
            if type(name) is not str:
                raise LocalError("JSON_TYPE", "use str for member names", field=path)
            yield f".{name}", member
    else:
        assert isinstance(value, (list, tuple))  # no other container gets here
        for at, element in enumerate(value):
            yield f"[{at}]", element
