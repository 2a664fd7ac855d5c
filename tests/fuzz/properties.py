"""What must hold of any decoder, whatever bytes it is given."""

import re
from collections.abc import Callable
from typing import Final, TypeAlias, TypeVar

from seawall.errors import OperationalError, PeerError, SeawallError

T = TypeVar("T")

Target: TypeAlias = Callable[[bytes], None]
"""Reads any bytes; raises when a property does not hold, and returns otherwise."""

REFUSALS: Final = (PeerError, OperationalError)
"""All that a decoder may raise."""

ERROR_CHARACTERS_MAX: Final = 500

_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]*")


def attempt(read: Callable[[bytes], T], data: bytes) -> T | None:
    """Return what a decoder makes of the bytes, None when it refuses them as it should."""
    try:
        return read(data)
    except REFUSALS as fault:
        check_refusal(fault, len(data))
        return None


def accepts(check: Callable[[bytes], None], data: bytes) -> bool:
    """Return whether a check lets the bytes pass; it may refuse them as a decoder does."""

    def passed(raw: bytes) -> bool:
        check(raw)
        return True

    return attempt(passed, data) is not None


def check_refusal(fault: SeawallError, size: int) -> None:
    """Check that an error has a code, stays short and printable, and points into the input."""
    text = str(fault)
    assert _CODE.fullmatch(fault.code), "a code is upper case"
    assert len(text) <= ERROR_CHARACTERS_MAX, "an error stays short"
    assert text.isprintable(), "an error fits into one line of a log"
    assert fault.offset is None or 0 <= fault.offset <= size, "an offset lies in the input"


def canonical(read: Callable[[bytes], T], write: Callable[[T], bytes]) -> Target:
    """Return a target: what decodes is written again as exactly the same bytes."""

    def target(data: bytes) -> None:
        value = attempt(read, data)
        if value is not None:
            assert write(value) == data, "one value, one encoding"

    return target


def stable(read: Callable[[bytes], T], write: Callable[[T], bytes]) -> Target:
    """Return a target: what decodes is written in a form that decodes to the same value."""

    def target(data: bytes) -> None:
        value = attempt(read, data)
        if value is not None:
            written = write(value)
            assert read(written) == value, "what is written reads the same"
            assert write(read(written)) == written, "and is written the same"

    return target
