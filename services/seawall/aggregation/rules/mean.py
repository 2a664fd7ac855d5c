"""The weighted mean of a buffer: FedAvg's average with FedBuff's staleness discount."""

import numpy as np

from seawall.aggregation.rules.contract import WEIGHT_ONE, Batch, RuleParameters, Step
from seawall.aggregation.rules.exact import divide
from seawall.formats.fxp24 import check_sum


def weighted_mean(parameters: RuleParameters, batch: Batch) -> Step:
    """Return eta * sum(m_i s_i d_i) / sum(m_i), with m_i the claimed examples within 1..cap.

    With a cap of 1 the divisor is the number K of updates, not the sum of their staleness
    weights: a stale buffer moves the model less. Weights are m_i s_i. It withstands no attack.

    Raises:
        PeerError: `VAL_SUM_OVERFLOW`.

    Source: McMahan et al., AISTATS 2017; Nguyen et al., AISTATS 2022, algorithm 1.

    """
    examples = [min(max(count, 1), parameters.examples_cap) for count in batch.examples]
    weights = tuple(m * s for m, s in zip(examples, batch.staleness, strict=True))
    check_sum(sum(weights) * parameters.eta_numerator)
    total = np.zeros(batch.deltas.shape[1], dtype=np.int64)
    for weight, delta in zip(weights, batch.deltas, strict=True):
        total += delta.astype(np.int64) * weight
    change = divide(
        total * parameters.eta_numerator,
        parameters.eta_denominator * WEIGHT_ONE * sum(examples),
    )
    return Step(change=change, weights=weights, filtered=(None,) * len(weights), f_used=0)
