"""JSON objects of a genesis, read member by member: each is taken once, none may be left over.

Every fault is a `PeerError` GENESIS_* that names the path of the member; nothing of the input is
repeated.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from seawall.crypto.signing import check_public_key
from seawall.errors import PeerError
from seawall.formats.jcs import JsonValue

TEXT_CHARACTERS_MAX: Final = 16_384

NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
"""How sites, zones, chains, tasks, rules and protocols are named."""

_HEX: Final = re.compile(r"(?:[0-9a-f]{2})*")

T = TypeVar("T")


class Members:
    """The members of one JSON object; each is taken once, and none may be left over."""

    def __init__(self, value: JsonValue, place: str) -> None:
        """Read `value`, which stands at the path `place`; GENESIS_TYPE when it is no object."""
        if not isinstance(value, dict):
            raise PeerError("GENESIS_TYPE", "expected an object", field=place)
        self._left = dict(value)
        self._place = place

    def path(self, name: str) -> str:
        """Return the dotted path of a member."""
        return f"{self._place}.{name}"

    def take(self, name: str) -> JsonValue:
        """Return a member as it is; GENESIS_MISSING when it is not there."""
        if name not in self._left:
            raise PeerError("GENESIS_MISSING", "this member is required", field=self.path(name))
        return self._left.pop(name)

    def end(self) -> None:
        """Refuse members that nobody has taken: GENESIS_UNKNOWN."""
        if self._left:
            # Their names come from outside and are not repeated.
            hint = "remove the members that this version does not know"
            raise PeerError("GENESIS_UNKNOWN", hint, field=self._place)

    def names(self) -> tuple[str, ...]:
        """Return the names that are left, sorted."""
        return tuple(sorted(self._left))

    def members(self, name: str) -> "Members":
        """Return a member that is an object."""
        return Members(self.take(name), self.path(name))

    def constant(self, name: str, wanted: str) -> None:
        """Take a member that can only be `wanted`: GENESIS_VERSION."""
        if self.take(name) != wanted:
            raise PeerError("GENESIS_VERSION", f"expected {wanted}", field=self.path(name))

    def integer(self, name: str, least: int, most: int) -> int:
        """Return an integer within its limits."""
        return read_integer(self.take(name), self.path(name), least, most)

    def flag(self, name: str) -> bool:
        """Return true or false."""
        value = self.take(name)
        if not isinstance(value, bool):
            raise PeerError("GENESIS_TYPE", "expected true or false", field=self.path(name))
        return value

    def text(self, name: str, pattern: re.Pattern[str]) -> str:
        """Return a string of this form."""
        return read_text(self.take(name), self.path(name), pattern)

    def hexadecimal(self, name: str, size_bytes: int) -> bytes:
        """Return bytes written in lower-case hex."""
        return read_hexadecimal(self.take(name), self.path(name), size_bytes)

    def key(self, name: str) -> bytes:
        """Return an Ed25519 public key that may be enrolled, 32 bytes; KEY_* otherwise."""
        key = self.hexadecimal(name, 32)
        check_public_key(key, field=self.path(name))
        return key

    def each(
        self, name: str, read: Callable[[JsonValue, str], T], least: int, most: int
    ) -> tuple[T, ...]:
        """Return an array, each element read by `read(value, path)`; GENESIS_COUNT."""
        place = self.path(name)
        value = self.take(name)
        if not isinstance(value, list):
            raise PeerError("GENESIS_TYPE", "expected an array", field=place)
        if not least <= len(value) <= most:
            raise PeerError("GENESIS_COUNT", f"give {least} to {most} elements", field=place)
        return tuple(read(element, f"{place}[{at}]") for at, element in enumerate(value))


def read_integer(value: JsonValue, place: str, least: int, most: int) -> int:
    """Return an integer within its limits: GENESIS_TYPE, GENESIS_RANGE."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise PeerError("GENESIS_TYPE", "expected an integer", field=place)
    if not least <= value <= most:
        raise PeerError("GENESIS_RANGE", f"choose {least} to {most}", field=place)
    return value


def read_text(value: JsonValue, place: str, pattern: re.Pattern[str]) -> str:
    """Return a string of this form: GENESIS_TYPE, GENESIS_TEXT."""
    if not isinstance(value, str):
        raise PeerError("GENESIS_TYPE", "expected a string", field=place)
    if len(value) > TEXT_CHARACTERS_MAX or pattern.fullmatch(value) is None:
        raise PeerError("GENESIS_TEXT", f"expected the form {pattern.pattern}", field=place)
    return value


def read_hexadecimal(value: JsonValue, place: str, size_bytes: int) -> bytes:
    """Return so many bytes written in lower-case hex: GENESIS_TYPE, GENESIS_TEXT."""
    digits = read_text(value, place, _HEX)
    if len(digits) != 2 * size_bytes:
        raise PeerError("GENESIS_TEXT", f"give {size_bytes} bytes in hex", field=place)
    return bytes.fromhex(digits)


def read_integers(members: Members, limits: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    """Return the integers that `limits` names, each within its limits."""
    return {
        name: members.integer(camel(name), least, most) for name, (least, most) in limits.items()
    }


def camel(name: str) -> str:
    """Return a name of the domain as it stands in JSON."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def check_unique(values: Sequence[object], place: str) -> None:
    """Refuse values of which one stands twice: GENESIS_DUPLICATE."""
    if len(dict.fromkeys(values)) != len(values):
        raise PeerError("GENESIS_DUPLICATE", "each of these stands once", field=place)
