"""A cut and the bytes behind it decide the next version, byte for byte."""

from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.aggregation.computation import Computed, compute
from seawall.aggregation.rules import Contribution, aggregate, parameters_of
from seawall.domain.cut import CutPolicy
from seawall.domain.genesis import RuleSpec, Task, TensorSpec
from seawall.formats import entry as entries
from seawall.formats.fxp24 import VALUE_MAX, Integers
from seawall.formats.task_payload import Layout, header_size_for

SIZE = 6
TENSORS = (TensorSpec(name="w", shape=(SIZE,)),)
LAYOUT = Layout(TENSORS, header_size_for(TENSORS))
RULES = {
    "fedavg": entries.Rule("fedavg", {"examples_cap": 8}, 1),
    "root-gate": entries.Rule("root-gate", {"f": 1}, 1),
}


def task(rule: str) -> Task:
    found = RULES[rule]
    return Task(
        name="digits",
        rule=RuleSpec(name=rule, version=1, parameters=tuple(found.parameters.items())),
        grid_bits=10,
        tensors=TENSORS,
        header_size_bytes=header_size_for(TENSORS),
        payload_size_bytes=LAYOUT.payload_size_bytes,
        base_payload_digest=bytes(32),
        cut=CutPolicy(interval_ms=1, k=1, k_min=1, staleness_max=1),
    )


def vector(seed: int) -> Integers:
    return np.random.default_rng(seed).integers(-5000, 5000, SIZE).astype(np.int32)


def identity(name: str) -> str:
    return sha256(name.encode()).hexdigest()


def selected(name: str, staleness: int = 0, examples: int = 3) -> entries.SelectedUpdate:
    return entries.SelectedUpdate(
        contributor=identity(f"owner {name}"),
        num_examples=examples,
        payload=identity(f"payload {name}"),
        payload_size=LAYOUT.payload_size_bytes,
        staleness=staleness,
        update_id=identity(name),
    )


def cut(rule: str, *updates: entries.SelectedUpdate, root: str = "") -> entries.CutEntry:
    return entries.CutEntry(
        base=0,
        base_payload="",
        clock_ms=1,
        commit=1,
        dropped=(),
        root=root,
        rule=RULES[rule],
        task="digits",
        updates=updates,
        version=1,
    )


def run(entry: entries.CutEntry, payloads: dict[str, bytes], root: bytes | None = None) -> Computed:
    base = LAYOUT.encode(vector(1))
    return compute(task(entry.rule.name), LAYOUT, entry, base, payloads, root)


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_gets_what_the_cut_names(rule: str) -> None:
    updates = [selected("a", 0, 1), selected("b", 3, 100), selected("c", 1, 7)]
    deltas = {one.update_id: vector(at + 10) for at, one in enumerate(updates)}
    reference = vector(99)
    done = run(
        cut(rule, *updates, root=identity("root")),
        {name: LAYOUT.encode(delta) for name, delta in deltas.items()},
        LAYOUT.encode(reference),
    )
    expected = aggregate(
        parameters_of(task(rule).rule, 10),
        vector(1),
        [
            Contribution(
                update_id=bytes.fromhex(one.update_id),
                delta=deltas[one.update_id],
                staleness=one.staleness,
                num_examples=one.num_examples,
            )
            for one in updates
        ],
        reference,
    )
    assert done.payload == LAYOUT.encode(expected.head)
    assert done.digest == sha256(done.payload).digest()
    assert done.rule_used == rule
    assert (done.weights, done.filtered) == (expected.weights, expected.filtered)


@given(st.permutations(range(5)))
@settings(max_examples=20, deadline=None)
def test_the_order_of_the_cut_changes_no_byte(order: list[int]) -> None:
    updates = [selected(f"u{at}", at) for at in range(5)]
    payloads = {one.update_id: LAYOUT.encode(vector(at)) for at, one in enumerate(updates)}
    straight = run(cut("fedavg", *updates), payloads)
    mixed = run(cut("fedavg", *[updates[at] for at in order]), payloads)
    assert mixed.payload == straight.payload
    assert [straight.weights[at] for at in order] == list(mixed.weights)


def test_an_update_that_cannot_be_read_counts_for_nothing() -> None:
    good, bad = selected("good"), selected("bad")
    payloads = {good.update_id: LAYOUT.encode(vector(2)), bad.update_id: b"nonsense"}
    done = run(cut("fedavg", bad, good), payloads)
    alone = run(cut("fedavg", good), payloads)
    assert done.payload == alone.payload
    assert done.weights[0] == 0
    assert done.filtered[0] is not None
    assert done.filtered[0].startswith("ST_")
    assert done.filtered[1] is None


def test_without_a_readable_update_the_model_stays() -> None:
    done = run(cut("fedavg", selected("bad")), {identity("bad"): b""})
    assert done.payload == LAYOUT.encode(vector(1))


@pytest.mark.parametrize("root", [None, b"nonsense", LAYOUT.encode(np.zeros(SIZE, np.int32))])
def test_without_a_usable_reference_the_gate_falls_back(root: bytes | None) -> None:
    updates = [selected(name) for name in "abc"]
    payloads = {one.update_id: LAYOUT.encode(vector(at)) for at, one in enumerate(updates)}
    done = run(cut("root-gate", *updates), payloads, root)
    assert done.rule_used == "clip-nnm-median"


def test_sums_that_could_overflow_leave_the_model_as_it_is() -> None:
    rule = entries.Rule("fedavg", {"eta_numerator": 1024, "examples_cap": 1024}, 1)
    updates = [selected(f"u{at}", 0, 1024) for at in range(20)]
    entry = entries.CutEntry(
        **{
            name: getattr(cut("fedavg", *updates), name)
            for name in entries.CutEntry.__struct_fields__
        }
        | {"rule": rule}
    )
    full = LAYOUT.encode(np.full(SIZE, VALUE_MAX, dtype=np.int32))
    done = run(entry, {one.update_id: full for one in updates})
    assert done.payload == LAYOUT.encode(vector(1))
    assert done.filtered == ("VAL_SUM_OVERFLOW",) * 20
    assert done.weights == (0,) * 20
