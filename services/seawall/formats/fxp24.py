"""fxp24: the integer number format in which updates and model heads are exchanged.

A real number x is the integer q = rint(x * 2^S), clipped to 24 signed bits and kept as int32,
little-endian on the wire. S is `grid_bits` and belongs to the task. Since |q| < 2^24 fits the
significand of float32, q * 2^-S is exact in float32: clients and ledger hold the same model.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from seawall.errors import LocalError, PeerError

Integers: TypeAlias = npt.NDArray[np.int32]
Reals: TypeAlias = npt.NDArray[np.floating]

VALUE_MAX = 2**23 - 1
"""Largest magnitude of a value, in grid units; both signs."""

GRID_BITS_MAX = 40
"""Finest grid: 2^-40. Every grid value is then far from float32's subnormal range."""

SUM_LIMIT = 2**63
"""Weighted sums are accumulated in int64 and stay below this bound in magnitude."""


def quantise(values: Reals, grid_bits: int) -> tuple[Integers, int]:
    """Return `values` on the grid 2^-grid_bits (same shape), and how many of them were clipped.

    Halves are rounded to even. Scaling by a power of two is exact in float64, so the result does
    not depend on the machine.

    Raises:
        LocalError: `FXP_GRID_BITS`, `FXP_DTYPE` (float16, float32 and float64 are allowed),
            `FXP_NON_FINITE`.

    """
    _check_grid(grid_bits)
    if values.dtype not in (np.float16, np.float32, np.float64):
        raise LocalError("FXP_DTYPE", "quantise float16, float32 or float64 values")
    wide = values.astype(np.float64)
    if not np.isfinite(wide).all():
        raise LocalError("FXP_NON_FINITE", "training diverged: values must be finite")
    # Far outside the range scaling could overflow, so such values are brought near it first.
    bound = np.ldexp(2.0 * VALUE_MAX, -grid_bits)
    scaled = np.rint(np.ldexp(np.clip(wide, -bound, bound), grid_bits))
    saturated = int(np.count_nonzero(np.abs(scaled) > VALUE_MAX))
    return np.clip(scaled, -VALUE_MAX, VALUE_MAX).astype(np.int32), saturated


def dequantise(integers: Integers, grid_bits: int) -> npt.NDArray[np.float32]:
    """Return the real values of `integers` (same shape), exactly.

    Raises:
        LocalError: `FXP_GRID_BITS`.

    """
    _check_grid(grid_bits)
    return np.ldexp(integers.astype(np.float32), np.int32(-grid_bits))


def check_values(values: npt.NDArray[np.generic], size: int, *, field: str = "delta") -> None:
    """Accept a received vector of `size` int32 values, each within `VALUE_MAX`.

    Raises:
        PeerError: `VAL_DTYPE`, `VAL_SHAPE` or `VAL_RANGE`, the last with the byte offset of the
            first bad value in its little-endian form.

    """
    if values.dtype != np.int32:
        raise PeerError("VAL_DTYPE", "send 32-bit signed integers", field=field)
    if values.shape != (size,):
        raise PeerError("VAL_SHAPE", f"send one vector of {size} values", field=field)
    # Not abs(): the magnitude of -2^31 has no int32.
    bad = (values > np.int32(VALUE_MAX)) | (values < np.int32(-VALUE_MAX))
    if bad.any():
        offset = int(np.argmax(bad)) * values.dtype.itemsize
        hint = f"values lie between -{VALUE_MAX} and {VALUE_MAX}"
        raise PeerError("VAL_RANGE", hint, field=field, offset=offset)


def check_not_zero(values: npt.NDArray[np.generic], *, field: str = "delta") -> None:
    """Refuse an update in which every value is zero: it says nothing and costs a place in a cut.

    Raises:
        PeerError: `VAL_ZERO`.

    """
    if not values.any():
        raise PeerError("VAL_ZERO", "send an update that changes the model", field=field)


def check_sum(weight_total: int) -> None:
    """Accept a weighted sum of fxp24 values whose weights add up to `weight_total`.

    Raises:
        PeerError: `VAL_SUM_OVERFLOW` when the sum might not fit 64 signed bits.

    """
    if weight_total * VALUE_MAX >= SUM_LIMIT:
        raise PeerError("VAL_SUM_OVERFLOW", "lower the number of updates, their cap or eta")


def _check_grid(grid_bits: int) -> None:
    if not 0 <= grid_bits <= GRID_BITS_MAX:
        raise LocalError("FXP_GRID_BITS", f"choose 0 to {GRID_BITS_MAX}", field="grid_bits")
