"""Integer arithmetic that gives the same bits on every machine, in any order, with any BLAS."""

from collections.abc import Iterator
from math import isqrt

import numpy as np
import numpy.typing as npt

from seawall.aggregation.rules.contract import WEIGHT_ONE, Sums
from seawall.formats.fxp24 import VALUE_MAX, Integers

LIMB_BITS = 12
"""A value is split into two limbs of this size for exact products in float64."""

COLUMNS_MAX = 2**18
"""Coordinates worked on at once: one aggregation chunk."""

DENOMINATOR_LIMIT = 2**62
"""Twice a remainder still fits int64 below this denominator."""


def divide(numerators: Sums, denominator: int) -> Sums:
    """Return numerators / denominator, rounded to the nearest integer, halves to even.

    Floor division alone would pull a model down by half a grid unit per version.
    """
    assert 0 < denominator < DENOMINATOR_LIMIT
    quotients = numerators // denominator
    twice = 2 * (numerators - quotients * denominator)
    odd = (quotients & 1).astype(np.bool_)
    up: npt.NDArray[np.bool_] = (twice > denominator) | ((twice == denominator) & odd)
    return quotients + up.astype(np.int64)


def divide_integer(numerator: int, denominator: int) -> int:
    """Return numerator / denominator for Python integers, rounded like `divide`."""
    quotient, remainder = divmod(numerator, denominator)
    return quotient + (2 * remainder + (quotient & 1) > denominator)


def scale(values: Integers, weight: int) -> Sums:
    """Return values * weight / 2^16, int64, each kept within the number format's range.

    The weight is in units of 2^-16; weight * max|value| must be below 2^63.
    """
    scaled = divide(values.astype(np.int64) * weight, WEIGHT_ONE)
    return np.clip(scaled, -VALUE_MAX, VALUE_MAX)


def staleness_weight(staleness: int) -> int:
    """Return (1 + staleness)^-1/2 in units of 2^-16, rounded down.

    Source: Nguyen et al., Federated Learning with Buffered Asynchronous Aggregation,
    AISTATS 2022.
    """
    return isqrt(2**32 // (1 + staleness))


def ratio_of_norms(numerator_squared: int, denominator_squared: int) -> int:
    """Return the ratio of two norms, given their squares, in units of 2^-16, rounded down."""
    return isqrt((numerator_squared << 32) // denominator_squared)


def column_ranges(columns: int) -> Iterator[slice]:
    """Yield consecutive ranges of at most `COLUMNS_MAX` coordinates that cover all of them."""
    for start in range(0, columns, COLUMNS_MAX):
        yield slice(start, min(start + COLUMNS_MAX, columns))


def inner_products(left: Integers, right: Integers) -> list[list[int]]:
    """Return the exact products of each row of `left` (m, d) with each row of `right` (n, d).

    With q = 2^12 high + low, limb products are below 2^24 in magnitude; over one chunk of 2^18
    coordinates every partial sum is an integer below 2^42, so a float64 matrix product has no
    rounding at all, whatever its order, its threads or its use of fused multiply-add.
    """
    total = np.zeros((2, 2, len(left), len(right)), dtype=np.int64)
    for columns in column_ranges(left.shape[1]):
        left_limbs, right_limbs = _limbs(left[:, columns]), _limbs(right[:, columns])
        for i, first in enumerate(left_limbs):
            for j, second in enumerate(right_limbs):
                total[i, j] += (first @ second.T).astype(np.int64)
    # Limb sums fit int64; their weighted sum need not, so Python integers take over here.
    high_high, high_low, low_high, low_low = (
        part.tolist() for part in total.reshape(4, *total.shape[2:])
    )
    return [
        [
            (high_high[i][j] << 2 * LIMB_BITS)
            + ((high_low[i][j] + low_high[i][j]) << LIMB_BITS)
            + low_low[i][j]
            for j in range(len(right))
        ]
        for i in range(len(left))
    ]


def squared_norms(rows: Integers) -> list[int]:
    """Return the exact squared Euclidean norm of each row of an (n, d) matrix."""
    norms = [0] * len(rows)
    # 2^46 per square: 2^16 of them stay below 2^63.
    for start in range(0, rows.shape[1], 2**16):
        part = rows[:, start : start + 2**16].astype(np.int64)
        for i, norm in enumerate((part * part).sum(axis=1).tolist()):
            norms[i] += norm
    return norms


def squared_distances(products: list[list[int]]) -> list[list[int]]:
    """Return squared distances between all rows, given their matrix of inner products."""
    norms = [products[i][i] for i in range(len(products))]
    return [
        [norms[i] + norms[j] - 2 * products[i][j] for j in range(len(products))]
        for i in range(len(products))
    ]


def coordinate_median(rows: Sums) -> Sums:
    """Return the median of each column of an (n, d) matrix.

    For even n it is the mean of the two middle values, halves rounded to even.
    """
    ordered = np.sort(rows, axis=0)
    count = len(rows)
    return divide(ordered[(count - 1) // 2] + ordered[count // 2], 2)


def _limbs(values: Integers) -> tuple[np.ndarray, np.ndarray]:
    high = values >> LIMB_BITS
    low = values & (2**LIMB_BITS - 1)
    return high.astype(np.float64), low.astype(np.float64)
