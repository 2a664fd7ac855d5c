from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.aggregation.rules import RuleParameters, aggregate
from seawall.errors import PeerError
from tests.unit.aggregation.rules import reference
from tests.unit.aggregation.rules.cuts import SIZE, contributions, plain_cuts
from tests.unit.aggregation.rules.reference import Plain

HEAD = np.zeros(SIZE, dtype=np.int32)


def update(name: int, delta: list[int]) -> Plain:
    return Plain(update_id=bytes([name]), delta=delta, staleness=0, num_examples=1)


@given(cut=plain_cuts(), f=st.integers(0, 4), eta=st.sampled_from([(1, 1), (1, 3), (2, 5)]))
def test_rule_equals_the_fractions(cut: list[Plain], f: int, eta: tuple[int, int]) -> None:
    parameters = RuleParameters(
        name="clip-nnm-median", f=f, eta_numerator=eta[0], eta_denominator=eta[1]
    )
    outcome = aggregate(parameters, HEAD, contributions(cut))
    expected = reference.clip_nnm_median_change(cut, f, Fraction(*eta))
    assert outcome.head.tolist() == [reference.keep(value) for value in expected]


def test_updates_longer_than_the_median_are_shortened() -> None:
    cut = [update(i, [100 * (i + 1), 0, 0, 0]) for i in range(4)]
    outcome = aggregate(RuleParameters(name="clip-nnm-median"), HEAD, contributions(cut))
    assert outcome.weights == (2**16, 2**16, 2**17 // 3, 2**15)
    assert outcome.filtered == (None,) * 4


def test_ties_between_neighbours_go_to_the_lower_update_id() -> None:
    rows = [[0, 0, 0, 0], [1000, 0, 0, 0], [-1000, 0, 0, 0]]
    cut = [update(i, row) for i, row in enumerate(rows)]
    other = [update(i, row) for i, row in zip((0, 2, 1), rows, strict=True)]
    parameters = RuleParameters(name="clip-nnm-median", f=1)
    # The middle row is as near to one side as to the other: whoever has the lower id is taken.
    assert aggregate(parameters, HEAD, contributions(cut)).head.tolist() == (
        reference.clip_nnm_median_change(cut, 1, Fraction(1))
    )
    assert aggregate(parameters, HEAD, contributions(other)).head.tolist() == (
        reference.clip_nnm_median_change(other, 1, Fraction(1))
    )


@pytest.mark.parametrize(("count", "f_used"), [(1, 0), (2, 0), (3, 1), (8, 3), (9, 4), (12, 4)])
def test_a_cut_too_small_for_f_lowers_it_and_says_so(count: int, f_used: int) -> None:
    cut = contributions([update(i, [i, 1, 2, 3]) for i in range(count)])
    outcome = aggregate(RuleParameters(name="clip-nnm-median", f=4), HEAD, cut)
    assert outcome.f_used == f_used


def test_sums_that_could_overflow_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seawall.formats.fxp24.SUM_LIMIT", 2**16)
    with pytest.raises(PeerError) as caught:
        aggregate(
            RuleParameters(name="clip-nnm-median"), HEAD, contributions([update(1, [1, 2, 3, 4])])
        )
    assert caught.value.code == "VAL_SUM_OVERFLOW"
