from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.aggregation.rules import Contribution, RuleParameters, aggregate
from seawall.errors import PeerError
from tests.unit.aggregation.rules import reference
from tests.unit.aggregation.rules.cuts import SIZE, contributions, plain_cuts
from tests.unit.aggregation.rules.reference import Plain

HEAD = np.zeros(SIZE, dtype=np.int32)


@given(
    cut=plain_cuts(),
    cap=st.sampled_from([1, 7, 1000]),
    eta=st.sampled_from([(1, 1), (1, 3), (2, 5)]),
)
def test_mean_equals_the_fractions(cut: list[Plain], cap: int, eta: tuple[int, int]) -> None:
    parameters = RuleParameters(
        name="fedavg", examples_cap=cap, eta_numerator=eta[0], eta_denominator=eta[1]
    )
    outcome = aggregate(parameters, HEAD, contributions(cut))
    assert outcome.head.tolist() == reference.mean_change(cut, cap, Fraction(*eta))
    assert set(outcome.filtered) == {None}


def test_the_divisor_is_the_number_of_updates_not_the_sum_of_discounts() -> None:
    stale = [Plain(update_id=b"a", delta=[400] * SIZE, staleness=3, num_examples=1)]
    outcome = aggregate(RuleParameters(name="fedavg"), HEAD, contributions(stale))
    assert outcome.head.tolist() == [200] * SIZE
    assert outcome.weights == (2**15,)


def test_sums_that_could_overflow_are_refused() -> None:
    delta = np.ones(1, dtype=np.int32)
    cut = [
        Contribution(update_id=bytes([i]), delta=delta, staleness=0, num_examples=1024)
        for i in range(17)
    ]
    parameters = RuleParameters(name="fedavg", examples_cap=1024, eta_numerator=1000)
    with pytest.raises(PeerError) as caught:
        aggregate(parameters, np.zeros(1, dtype=np.int32), cut)
    assert caught.value.code == "VAL_SUM_OVERFLOW"
    assert aggregate(parameters, np.zeros(1, dtype=np.int32), cut[:16]).head.tolist() == [1000]
