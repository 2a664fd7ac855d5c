import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.aggregation.rules import RULES, Contribution, RuleParameters, aggregate, parameters_of
from seawall.domain.genesis import RuleSpec
from seawall.errors import LocalError, PeerError
from tests.unit.aggregation.rules.cuts import (
    LIMIT,
    SIZE,
    VECTOR,
    attacked_cut,
    contributions,
    cosine,
    direction,
    plain_cuts,
    progress,
)
from tests.unit.aggregation.rules.reference import Plain

NAMES = [name for name, _ in RULES]
DEFENCES = ["root-gate", "clip-nnm-median"]
HEAD = np.zeros(SIZE, dtype=np.int32)


def one(delta: list[int], **changes: int) -> Contribution:
    values = {"staleness": 0, "num_examples": 1, **changes}
    return Contribution(update_id=b"a", delta=np.array(delta, dtype=np.int32), **values)


@pytest.mark.parametrize("name", NAMES)
@given(cut=plain_cuts(), root=VECTOR, order=st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter(
    name: str, cut: list[Plain], root: list[int], order: st.DataObject
) -> None:
    parameters = RuleParameters(name=name, f=2, examples_cap=100)
    reference = np.array(root, dtype=np.int32)
    first = aggregate(parameters, HEAD, contributions(cut), reference)
    places = list(range(len(cut)))
    order.shuffle(places)  # type: ignore[attr-defined] # Hypothesis's Random
    second = aggregate(parameters, HEAD, contributions([cut[i] for i in places]), reference)
    assert first.head.tolist() == second.head.tolist()
    assert tuple(first.weights[i] for i in places) == second.weights
    assert tuple(first.filtered[i] for i in places) == second.filtered


def turned_around(name: str) -> float:
    """Return how far a rule goes along the truth, under an attack that reverses the mean."""
    cut, truth = attacked_cut(), direction()
    head = np.zeros(truth.size, dtype=np.int32)
    outcome = aggregate(RuleParameters(name=name, f=4), head, cut, truth)
    assert outcome.rule_used == name
    return cosine(outcome.head, truth)


def test_the_mean_is_turned_around_by_a_bad_minority() -> None:
    assert turned_around("fedavg") < -0.5


@pytest.mark.parametrize("name", DEFENCES)
def test_a_defence_resists(name: str) -> None:
    assert turned_around(name) > 0.9


@pytest.mark.parametrize("name", DEFENCES)
def test_a_defence_that_silently_averages_is_caught(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant: the table names a defence and holds the mean."""
    mutant = {**RULES, (name, 1): RULES["fedavg", 1]}
    monkeypatch.setattr("seawall.aggregation.rules.registry.RULES", mutant)
    assert turned_around(name) < -0.5


def test_the_median_defence_needs_its_f() -> None:
    cut, truth = attacked_cut(), direction()
    head = np.zeros(truth.size, dtype=np.int32)
    weak = aggregate(RuleParameters(name="clip-nnm-median", f=0), head, cut).head
    strong = aggregate(RuleParameters(name="clip-nnm-median", f=4), head, cut).head
    # Mixing with everybody keeps the direction here, but hardly any of the way.
    assert progress(weak, truth) < 0.3
    assert progress(strong, truth) > 0.7


@pytest.mark.parametrize("root", [None, np.zeros(200, dtype=np.int32)])
def test_root_gate_without_a_usable_root_falls_back_and_says_so(
    root: np.ndarray[tuple[int], np.dtype[np.int32]] | None,
) -> None:
    cut, head = attacked_cut(), np.zeros(200, dtype=np.int32)
    outcome = aggregate(RuleParameters(name="root-gate", f=4), head, cut, root)
    expected = aggregate(RuleParameters(name="clip-nnm-median", f=4), head, cut)
    assert (outcome.rule_used, outcome.rule_version) == ("clip-nnm-median", 1)
    assert outcome.head.tolist() == expected.head.tolist()
    assert outcome.f_used == 4


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_cut_keeps_the_head(name: str) -> None:
    head = np.array([1, 2, 3, 4], dtype=np.int32)
    outcome = aggregate(RuleParameters(name=name), head, [], np.ones(SIZE, dtype=np.int32))
    assert outcome.head.tolist() == head.tolist()
    assert (outcome.weights, outcome.filtered, outcome.rule_used) == ((), (), name)


def test_a_head_at_its_limit_saturates_and_is_counted() -> None:
    head = np.array([LIMIT, -LIMIT, 5, 0], dtype=np.int32)
    outcome = aggregate(RuleParameters(name="fedavg"), head, [one([1, -1, 1, 0])])
    assert outcome.head.tolist() == [LIMIT, -LIMIT, 6, 0]
    assert outcome.saturated == 2


def test_a_rule_outside_the_table_is_refused() -> None:
    with pytest.raises(LocalError) as caught:
        aggregate(RuleParameters(name="fedavg", version=2), HEAD, [])
    assert caught.value.code == "RULE_UNKNOWN"


@pytest.mark.parametrize(
    ("cut", "field"),
    [
        ([one([1, 2, 3, 4]), one([4, 3, 2, 1])], "contributions[1].update_id"),
        ([one([1, 2, 3, 4], staleness=-1)], "contributions[0].staleness"),
    ],
)
def test_inconsistent_input_is_refused(cut: list[Contribution], field: str) -> None:
    with pytest.raises(LocalError) as caught:
        aggregate(RuleParameters(name="fedavg"), HEAD, cut)
    assert (caught.value.code, caught.value.field) == ("RULE_INPUT", field)


def test_bad_vectors_are_refused_with_their_place() -> None:
    with pytest.raises(PeerError) as caught:
        aggregate(RuleParameters(name="fedavg"), HEAD, [one([1, 2, LIMIT + 1, 4])])
    assert caught.value.code == "VAL_RANGE"
    assert (caught.value.field, caught.value.offset) == ("contributions[0].delta", 8)
    with pytest.raises(PeerError) as caught:
        aggregate(RuleParameters(name="root-gate"), HEAD, [], np.ones(3, dtype=np.int32))
    assert (caught.value.code, caught.value.field) == ("VAL_SHAPE", "root")


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_not_modified(name: str) -> None:
    cut, truth = attacked_cut(), direction()
    head = np.full(truth.size, 9, dtype=np.int32)
    for array in (head, truth, *(each.delta for each in cut)):
        array.flags.writeable = False
    aggregate(RuleParameters(name=name, f=4), head, cut, truth)
    assert head.tolist() == [9] * truth.size


def test_a_task_of_genesis_names_its_rule() -> None:
    spec = RuleSpec(name="root-gate", version=1, parameters=(("eta_numerator", 3), ("f", 4)))
    expected = RuleParameters(name="root-gate", f=4, eta_numerator=3, grid_bits=18)
    assert parameters_of(spec, 18) == expected


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        (RuleSpec(name="krum", version=1, parameters=()), "RULE_UNKNOWN"),
        (RuleSpec(name="fedavg", version=9, parameters=()), "RULE_UNKNOWN"),
        (RuleSpec(name="fedavg", version=1, parameters=(("grid_bits", 3),)), "RULE_PARAMETER"),
        (RuleSpec(name="fedavg", version=1, parameters=(("f", -1),)), "RULE_PARAMETER"),
    ],
)
def test_a_task_with_another_rule_is_refused(spec: RuleSpec, code: str) -> None:
    with pytest.raises(LocalError) as caught:
        parameters_of(spec, 20)
    assert caught.value.code == code
