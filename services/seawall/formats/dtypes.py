"""Element types of safetensors: their bits, their NumPy twins, and which values they refuse.

Source: safetensors format description; OCP 8-bit Floating Point Specification (E5M2, E4M3); OCP
Microscaling Formats (E8M0, FP6, FP4); the FNUZ variants have one NaN, minus zero, and no infinity.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]

BYTE_BITS: Final = 8
_BLOCK_BYTES: Final = 2**20

BITS: Final[Mapping[str, int]] = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
"""Bits of one element of each dtype of the format."""

_NUMPY: Final[Mapping[str, str]] = {
    "BOOL": "|b1",
    "U8": "|u1",
    "I8": "|i1",
    "I16": "<i2",
    "U16": "<u2",
    "F16": "<f2",
    "I32": "<i4",
    "U32": "<u4",
    "F32": "<f4",
    "C64": "<c8",
    "F64": "<f8",
    "I64": "<i8",
    "U64": "<u8",
}
_NAMES: Final[Mapping[str, str]] = {text: name for name, text in _NUMPY.items()}
_RAW: Final[Mapping[int, str]] = {8: "|u1", 16: "<u2"}


class _Pattern(NamedTuple):
    """Which elements to refuse, judged on their bits: those with bits & mask == value."""

    raw: str
    mask: int
    value: int
    inverted: bool = False


_REFUSED: Final[Mapping[str, _Pattern]] = {
    "BOOL": _Pattern("|u1", 0xFE, 0, inverted=True),
    "F8_E5M2": _Pattern("|u1", 0x7C, 0x7C),
    "F8_E4M3": _Pattern("|u1", 0x7F, 0x7F),
    "F8_E8M0": _Pattern("|u1", 0xFF, 0xFF),
    "F8_E4M3FNUZ": _Pattern("|u1", 0xFF, 0x80),
    "F8_E5M2FNUZ": _Pattern("|u1", 0xFF, 0x80),
    "F16": _Pattern("<u2", 0x7C00, 0x7C00),
    "BF16": _Pattern("<u2", 0x7F80, 0x7F80),
    "F32": _Pattern("<u4", 0x7F800000, 0x7F800000),
    "C64": _Pattern("<u4", 0x7F800000, 0x7F800000),
    "F64": _Pattern("<u8", 0x7FF0 << 48, 0x7FF0 << 48),
}
"""Bits of NaN and infinity by dtype; F4 and F6 have neither."""


def name_of(dtype: np.dtype[Any]) -> str | None:
    """Return the name of a little-endian NumPy dtype, or None when the format lacks it."""
    return _NAMES.get(dtype.str)


def view(data: memoryview, name: str, shape: tuple[int, ...]) -> Array:
    """Return elements in place; types that NumPy lacks come as their bits.

    BF16 comes as uint16 and F8 as uint8 in `shape`; F4 and F6 as packed bytes in one dimension.
    """
    bits = BITS[name]
    if bits < BYTE_BITS:
        return np.ndarray((len(data),), "|u1", data)
    return np.ndarray(shape, _NUMPY.get(name) or _RAW[bits], data)


def first_refused(data: memoryview, name: str) -> int | None:
    """Return the byte offset of the first NaN, infinity or odd truth value, or None.

    Bits are compared, not numbers, so signalling NaNs are found without trapping.
    """
    pattern = _REFUSED.get(name)
    if pattern is None:
        return None
    raw = np.dtype(pattern.raw)
    for start in range(0, len(data), _BLOCK_BYTES):
        block = np.frombuffer(data[start : start + _BLOCK_BYTES], raw)
        refused = (block & raw.type(pattern.mask)) == raw.type(pattern.value)
        if pattern.inverted:
            refused = ~refused
        if refused.any():
            return start + int(refused.argmax()) * raw.itemsize
    return None
