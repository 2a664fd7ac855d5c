from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from seawall.aggregation.rules import Outcome, RuleParameters, aggregate
from seawall.errors import PeerError
from tests.unit.aggregation.rules import reference
from tests.unit.aggregation.rules.cuts import SIZE, VECTOR, contributions, plain_cuts
from tests.unit.aggregation.rules.reference import Plain

HEAD = np.zeros(SIZE, dtype=np.int32)
ROOT = [3000, -4000, 0, 0]


def gated(cut: list[Plain], root: list[int], eta: tuple[int, int] = (1, 1)) -> Outcome:
    parameters = RuleParameters(name="root-gate", eta_numerator=eta[0], eta_denominator=eta[1])
    return aggregate(parameters, HEAD, contributions(cut), np.array(root, dtype=np.int32))


def update(delta: list[int], staleness: int = 0, name: bytes = b"a") -> Plain:
    return Plain(update_id=name, delta=delta, staleness=staleness, num_examples=1)


@given(cut=plain_cuts(), root=VECTOR, eta=st.sampled_from([(1, 1), (1, 3), (2, 5)]))
def test_gate_equals_the_fractions(cut: list[Plain], root: list[int], eta: tuple[int, int]) -> None:
    assume(any(root))
    expected = reference.gate_change(cut, root, Fraction(*eta))
    clipped = [reference.keep(value) for value in expected]
    assert gated(cut, root, eta).head.tolist() == clipped


def test_every_trusted_update_gets_the_length_of_the_reference() -> None:
    long = gated([update([600_000, -800_000, 0, 0])], ROOT)
    short = gated([update([3, -4, 0, 0])], ROOT)
    assert short.head.tolist() == ROOT
    # 1/200 in units of 2^-16, rounded down: within two parts in a thousand.
    assert long.head.tolist() == [2994, -3992, 0, 0]
    assert long.weights == short.weights == (2**16,)


def test_opposed_orthogonal_and_empty_updates_have_no_influence() -> None:
    cut = [
        update([30, -40, 0, 0], name=b"a"),
        update([-30, 40, 0, 0], name=b"b"),
        update([0, 0, 5, 5], name=b"c"),
        update([0, 0, 0, 0], name=b"d"),
    ]
    outcome = gated(cut, ROOT)
    assert outcome.filtered == (None, "ROOT_OPPOSED", "ROOT_OPPOSED", "ZERO")
    assert outcome.weights == (2**16, 0, 0, 0)
    assert outcome.head.tolist() == ROOT


def test_with_nobody_to_trust_the_model_stays() -> None:
    outcome = gated([update([-1, 1, 0, 0])], ROOT)
    assert outcome.head.tolist() == HEAD.tolist()
    assert outcome.rule_used == "root-gate"


def test_a_stale_update_moves_the_model_less() -> None:
    assert gated([update(ROOT, staleness=3)], ROOT).head.tolist() == [1500, -2000, 0, 0]


def test_sums_that_could_overflow_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seawall.formats.fxp24.SUM_LIMIT", 2**16)
    with pytest.raises(PeerError) as caught:
        gated([update(ROOT)], ROOT)
    assert caught.value.code == "VAL_SUM_OVERFLOW"
