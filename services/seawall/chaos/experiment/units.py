"""Quantities as people write them: a number and its unit in one string."""

import re
from decimal import Decimal
from typing import Annotated, Final

from pydantic import BeforeValidator, WithJsonSchema

_NUMBER: Final = r"[0-9]{1,9}(?:\.[0-9]{1,6})?"
DURATION: Final = rf"^({_NUMBER})(us|ms|s|m|h)$"
OFFSET: Final = rf"^(-?{_NUMBER})(us|ms|s|m|h)$"
SIZE: Final = rf"^({_NUMBER})(B|KiB|MiB|GiB)$"
RATE: Final = rf"^({_NUMBER})/(s|m|h)$"
DRIFT: Final = r"^(-?[0-9]{1,6})ppm$"

_MICROSECONDS: Final = {"us": 1, "ms": 10**3, "s": 10**6, "m": 60 * 10**6, "h": 3_600 * 10**6}
_BYTES: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600}


def _parts(value: object, pattern: str, hint: str) -> tuple[Decimal, str]:
    found = re.fullmatch(pattern, value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(hint)
    return Decimal(found[1]), found[2]


def duration_us(value: object) -> int:
    """Return microseconds; `10s`, `250ms`. Raises ValueError."""
    hint = "write a duration with its unit, as 10s, 250ms or 2m"
    number, unit = _parts(value, DURATION, hint)
    return int(number * _MICROSECONDS[unit])


def offset_us(value: object) -> int:
    """Return microseconds, which may be negative; `-2s`. Raises ValueError."""
    hint = "write an offset with its unit, as 500ms or -2s"
    number, unit = _parts(value, OFFSET, hint)
    return int(number * _MICROSECONDS[unit])


def size_bytes(value: object) -> int:
    """Return bytes; `16KiB`. Raises ValueError."""
    number, unit = _parts(value, SIZE, "write a size with its unit, as 512B, 16KiB or 1MiB")
    return int(number * _BYTES[unit])


def rate_per_second(value: object) -> float:
    """Return how many a second; `50/s`. Raises ValueError."""
    number, unit = _parts(value, RATE, "write a rate with its unit, as 50/s or 300/m")
    if not number:
        raise ValueError("a rate is more than nothing, as 50/s")
    return float(number / _SECONDS[unit])


def drift_ppm(value: object) -> int:
    """Return parts per million; `200ppm`. Raises ValueError."""
    found = re.fullmatch(DRIFT, value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("write a drift in parts per million, as 200ppm or -50ppm")
    return int(found[1])


def _schema(pattern: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": list(examples)})


Duration = Annotated[int, BeforeValidator(duration_us), _schema(DURATION, "10s", "250ms")]
Offset = Annotated[int, BeforeValidator(offset_us), _schema(OFFSET, "500ms", "-2s")]
Size = Annotated[int, BeforeValidator(size_bytes), _schema(SIZE, "16KiB", "1MiB")]
Rate = Annotated[float, BeforeValidator(rate_per_second), _schema(RATE, "50/s", "300/m")]
Drift = Annotated[int, BeforeValidator(drift_ppm), _schema(DRIFT, "200ppm")]
