"""Norm clipping, nearest-neighbour mixing, coordinate median: a defence without a root set."""

import numpy as np

from seawall.aggregation.rules.contract import WEIGHT_ONE, Batch, RuleParameters, Step
from seawall.aggregation.rules.exact import (
    column_ranges,
    coordinate_median,
    divide,
    divide_integer,
    inner_products,
    ratio_of_norms,
    scale,
    squared_distances,
    squared_norms,
)
from seawall.formats.fxp24 import Integers, check_sum


def clip_nnm_median(parameters: RuleParameters, batch: Batch) -> Step:
    """Return eta * the coordinate median of mixed, clipped, staleness-discounted updates.

    In this order: scale each update by its staleness; shorten those longer than the median norm
    to it (for even n the lower median: a bad half must not set the length); replace each by the
    mean of its n - f nearest, itself included; take the median of every coordinate. Weights are
    staleness times clipping factor. Needs n > 2f; a smaller cut lowers f and says so.

    Raises:
        PeerError: `VAL_SUM_OVERFLOW`.

    Source: Allouah et al., Fixing by Mixing, AISTATS 2023 (NNM); Yin et al., ICML 2018 (median).

    """
    count = len(batch.deltas)
    f = min(parameters.f, (count - 1) // 2)
    check_sum(count * parameters.eta_numerator)
    clipped, factors = _clip(_discount(batch))
    neighbours = _neighbours(clipped, count - f)
    change = np.empty(clipped.shape[1], dtype=np.int64)
    for columns in column_ranges(clipped.shape[1]):
        part = clipped[:, columns].astype(np.int64)
        mixed = np.stack([divide(part[chosen].sum(axis=0), count - f) for chosen in neighbours])
        median = coordinate_median(mixed) * parameters.eta_numerator
        change[columns] = divide(median, parameters.eta_denominator)
    weights = tuple(
        divide_integer(s * factor, WEIGHT_ONE)
        for s, factor in zip(batch.staleness, factors, strict=True)
    )
    return Step(change=change, weights=weights, filtered=(None,) * count, f_used=f)


def _discount(batch: Batch) -> Integers:
    """Return the deltas scaled by their staleness weights, int32 of shape (n, d)."""
    pairs = zip(batch.deltas, batch.staleness, strict=True)
    return np.stack([scale(delta, weight).astype(np.int32) for delta, weight in pairs])


def _clip(deltas: Integers) -> tuple[Integers, list[int]]:
    """Return the deltas with norms at most the median norm, and the factors used (2^-16)."""
    norms = squared_norms(deltas)
    bound = sorted(norms)[(len(norms) - 1) // 2]
    factors = [ratio_of_norms(bound, norm) if norm > bound else WEIGHT_ONE for norm in norms]
    rows = [scale(d, factor).astype(np.int32) for d, factor in zip(deltas, factors, strict=True)]
    return np.stack(rows), factors


def _neighbours(deltas: Integers, size: int) -> list[list[int]]:
    """Return, for each row, the `size` rows nearest to it; ties go to the lower row.

    Rows are in order of their update id, so ties are broken by it.
    """
    distances = squared_distances(inner_products(deltas, deltas))
    ranked = [sorted(zip(row, range(len(deltas)), strict=True)) for row in distances]
    return [[index for _, index in row[:size]] for row in ranked]
