"""The root gate: updates count as far as they point where a trusted reference points."""

import numpy as np

from seawall.aggregation.rules.contract import WEIGHT_ONE, Batch, RuleParameters, Step
from seawall.aggregation.rules.exact import (
    divide,
    divide_integer,
    inner_products,
    ratio_of_norms,
    scale,
    squared_norms,
)
from seawall.formats.fxp24 import check_sum

OPPOSED = "ROOT_OPPOSED"
"""The update does not point into the half-space of the reference."""

ZERO = "ZERO"
"""The update has no direction."""


def root_gate(parameters: RuleParameters, batch: Batch) -> Step:
    """Return eta * sum(t_i s_i r_i d_i) / sum(t_i).

    Trust t_i = max(0, cos(d_i, g)) for the reference delta g; r_i = norm(g) / norm(d_i) gives
    every update the reference's length, so size buys no influence. Because that undoes any
    earlier scaling, the staleness discount s_i enters the weight. Weights are t_i s_i. When no
    update is trusted, the model stays as it is.

    Raises:
        PeerError: `VAL_SUM_OVERFLOW`.

    Source: Cao et al., FLTrust, NDSS 2021.

    """
    assert batch.root is not None
    trusts, ratios, reasons = _judge(batch)
    weights = tuple(
        divide_integer(trust * s, WEIGHT_ONE)
        for trust, s in zip(trusts, batch.staleness, strict=True)
    )
    check_sum(sum(weights) * parameters.eta_numerator)
    total = np.zeros(batch.deltas.shape[1], dtype=np.int64)
    for weight, ratio, delta in zip(weights, ratios, batch.deltas, strict=True):
        if weight:
            total += scale(delta, ratio) * weight
    trust_total = sum(trusts)
    if trust_total:
        divisor = parameters.eta_denominator * trust_total
        total = divide(total * parameters.eta_numerator, divisor)
    return Step(change=total, weights=weights, filtered=reasons, f_used=0)


def _judge(batch: Batch) -> tuple[list[int], list[int], tuple[str | None, ...]]:
    """Return trust and ratio of norms (units of 2^-16) and the reason for no trust, for each."""
    assert batch.root is not None
    reference = batch.root[np.newaxis]
    reference_squared = squared_norms(reference)[0]
    trusts: list[int] = []
    ratios: list[int] = []
    reasons: list[str | None] = []
    products = inner_products(batch.deltas, reference)
    for norm_squared, (product,) in zip(squared_norms(batch.deltas), products, strict=True):
        trust, ratio, reason = 0, 0, ZERO
        if norm_squared:
            positive = max(product, 0)
            trust = ratio_of_norms(positive * positive, norm_squared * reference_squared)
            ratio = ratio_of_norms(reference_squared, norm_squared)
            reason = OPPOSED
        trusts.append(trust)
        ratios.append(ratio)
        reasons.append(None if trust else reason)
    return trusts, ratios, tuple(reasons)
