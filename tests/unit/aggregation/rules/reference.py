"""The rules once more, slowly: fractions and Python integers, one coordinate at a time.

Written from docs/learning.md, without NumPy and without anything of `seawall.aggregation`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt
from statistics import median

import numpy as np
import numpy.typing as npt

LIMIT = 2**23 - 1
ONE = 2**16


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """One update in plain integers."""

    update_id: bytes
    delta: list[int]
    staleness: int
    num_examples: int


def keep(value: int) -> int:
    return max(-LIMIT, min(LIMIT, value))


def times(vector: list[int], weight: int) -> list[int]:
    # round() of a Fraction goes to the nearest integer, halves to even.
    return [keep(round(Fraction(value * weight, ONE))) for value in vector]


def dot(left: list[int], right: list[int]) -> int:
    return sum(a * b for a, b in zip(left, right, strict=True))


def discount(staleness: int) -> int:
    return isqrt(2**32 // (1 + staleness))


def mean_change(updates: Sequence[Plain], cap: int, eta: Fraction) -> list[int]:
    examples = [min(max(one.num_examples, 1), cap) for one in updates]
    weights = [m * discount(one.staleness) for m, one in zip(examples, updates, strict=True)]
    columns = zip(*(one.delta for one in updates), strict=True)
    divisor = ONE * sum(examples)
    return [round(eta * Fraction(dot(weights, list(column)), divisor)) for column in columns]


def gate_change(updates: Sequence[Plain], root: list[int], eta: Fraction) -> list[int]:
    total, trust_total = [0] * len(root), 0
    for one in updates:
        norm, product = dot(one.delta, one.delta), dot(one.delta, root)
        if norm == 0 or product <= 0:
            continue
        trust = isqrt(product * product * 2**32 // (norm * dot(root, root)))
        ratio = isqrt(dot(root, root) * 2**32 // norm)
        weight = round(Fraction(trust * discount(one.staleness), ONE))
        total = [t + weight * v for t, v in zip(total, times(one.delta, ratio), strict=True)]
        trust_total += trust
    return [round(eta * Fraction(t, trust_total)) if trust_total else 0 for t in total]


def clip_nnm_median_change(updates: Sequence[Plain], f: int, eta: Fraction) -> list[int]:
    ordered = sorted(updates, key=lambda one: one.update_id)
    rows = [times(one.delta, discount(one.staleness)) for one in ordered]
    count = len(rows)
    size = count - min(f, (count - 1) // 2)
    norms = [dot(row, row) for row in rows]
    bound = sorted(norms)[(count - 1) // 2]
    rows = [
        times(row, isqrt(bound * 2**32 // norm)) if norm > bound else row
        for row, norm in zip(rows, norms, strict=True)
    ]
    mixed = []
    for row in rows:
        gaps = [[a - b for a, b in zip(row, other, strict=True)] for other in rows]
        ranked = sorted((dot(gap, gap), j) for j, gap in enumerate(gaps))
        columns = zip(*(rows[j] for _, j in ranked[:size]), strict=True)
        mixed.append([round(Fraction(sum(column), size)) for column in columns])
    columns = zip(*mixed, strict=True)
    middles = [round(median([Fraction(value) for value in column])) for column in columns]
    return [round(eta * middle) for middle in middles]


def expand(seed: str, rows: int, columns: int, bits: int = 24) -> npt.NDArray[np.int32]:
    """Return (rows, columns) values of `bits` signed bits from SHAKE-256, equal for ever."""
    data = hashlib.shake_256(seed.encode()).digest(4 * rows * columns)
    values = np.frombuffer(data, dtype="<i4").astype(np.int64) >> (32 - bits)
    clipped: npt.NDArray[np.int32] = np.clip(values, -LIMIT, LIMIT).astype(np.int32)
    return clipped.reshape((rows, columns))
