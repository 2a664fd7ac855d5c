import re

import pytest

from seawall.chaos.experiment.checks import faulty_sites, targets_of
from seawall.chaos.experiment.reading import load, with_seed
from seawall.errors import LocalError
from tests.tidy import checkout

TEXT = """\
apiVersion: seawall.dev/v1
kind: Experiment
metadata: {name: one-two, labels: {suite: test}}
spec:
  seed: 7
  topology: {sites: 7, zones: edge-three-regions}
  phases: {baseline: 1s, hold: 2s, recover: 1m}
  faults:
    - {at: 250ms, for: 1s, partition: {shape: minority_third}}
    - delay: {between: zones, add: 80ms, jitter: 20ms}
"""


def refused(text: str) -> LocalError:
    with pytest.raises(LocalError) as caught:
        load(text.encode())
    return caught.value


def test_a_file_is_read_with_units_and_defaults() -> None:
    loaded = load(TEXT.encode())
    spec = loaded.experiment.spec
    assert (spec.phases.baseline, spec.phases.recover) == (1_000_000, 60_000_000)
    assert spec.workload.rate == 50.0
    assert spec.workload.payload == 16_384
    first, second = spec.faults
    assert (first.kind, first.at, first.ends_us(2_000_000)) == ("partition", 250_000, 1_250_000)
    assert (second.kind, second.ends_us(2_000_000)) == ("delay", 2_000_000)
    assert loaded.experiment.site_zones[:4] == ("central", "west", "north", "central")
    assert loaded.source["spec"]["seed"] == 7


CASES = [
    ("seed: 7", "sead: 7", "EXPERIMENT_UNKNOWN", "spec", 5, 3),
    ("seed: 7", "seed: '7'", "EXPERIMENT_VALUE", "spec.seed", 5, 9),
    ("seed: 7", "seed: 1.5", "EXPERIMENT_VALUE", "spec.seed", 5, 9),
    ("seed: 7", "seed: yes", "EXPERIMENT_VALUE", "spec.seed", 5, 9),
    ("hold: 2s, ", "", "EXPERIMENT_MISSING", "spec.phases.hold", 7, 11),
    ("hold: 2s", "hold: 2", "EXPERIMENT_VALUE", "spec.phases.hold", 7, 32),
    ("hold: 2s", "hold: 2 s", "EXPERIMENT_VALUE", "spec.phases.hold", 7, 32),
    ("{name: one-two", "{name: One", "EXPERIMENT_VALUE", "metadata.name", 3, 18),
    ("edge-three", "edge-six", "EXPERIMENT_VALUE", "spec.topology.zones", 6, 31),
    ("v1", "v2", "EXPERIMENT_VALUE", "apiVersion", 1, 13),
    ("seed: 7", "seed: 7\n  seed: 8", "EXPERIMENT_YAML", None, 6, 3),
    ("{name: one-two", "{name: *x", "EXPERIMENT_YAML", None, 3, 18),
    ("seed: 7", "seed: !!binary aGk=", "EXPERIMENT_VALUE", "spec.seed", 5, 9),
    ("seed: 7", "seed: !mine 7", "EXPERIMENT_YAML", None, 5, 9),
    ("seed: 7", "? [a]\n  : 7", "EXPERIMENT_YAML", None, 5, 5),
    ("seed: 7", "seed: 7\n ] bad", "EXPERIMENT_YAML", None, 6, 2),
    ("shape: minority_third", "shape: star", "EXPERIMENT_VALUE", None, 9, 47),
    ("at: 250ms", "at: 2s", "EXPERIMENT_TIME", "spec.faults.0", 9, 7),
    ("for: 1s", "for: 9s", "EXPERIMENT_TIME", "spec.faults.0", 9, 7),
    ("- delay:", "- dalay:", "EXPERIMENT_UNKNOWN", "spec.faults.1", 10, 7),
    ("- delay:", "- at: 1s\n      # delay:", "EXPERIMENT_FAULT", "spec.faults.1", 10, 7),
    ("between: zones, ", "", "EXPERIMENT_FAULT", "spec.faults.1.delay", 10, 14),
    ("between: zones", "between: [west, ap]", "EXPERIMENT_TARGET", None, 10, 24),
    ("zones: edge-three-regions", "zones: lan", "EXPERIMENT_TARGET", None, 10, 24),
    (
        "edge-three-regions",
        "{names: [a, b], inside: 1ms}",
        "EXPERIMENT_ZONES",
        "spec.topology.zones.rtt",
        6,
        31,
    ),
    (
        "edge-three-regions",
        "{names: [a], inside: 1ms, rtt: {b-a: 3ms}}",
        "EXPERIMENT_ZONES",
        "spec.topology.zones.rtt.b-a",
        6,
        68,
    ),
    ("  phases", "  engine: {wave_length: 5}\n  phases", "EXPERIMENT_ENGINE", None, 7, 25),
]


@pytest.mark.parametrize(("old", "new", "code", "field", "line", "column"), CASES)
def test_a_fault_of_the_file_has_a_code_and_a_place(
    old: str, new: str, code: str, field: str | None, line: int, column: int
) -> None:
    assert old in TEXT
    error = refused(TEXT.replace(old, new, 1))
    assert (error.code, error.line, error.column) == (code, line, column)
    assert f"at line {line}, column {column}" in str(error)
    if field is not None:
        assert error.field == field
    assert error.hint


FAULTS = [
    ("{crash: {targets: [7]}}", "EXPERIMENT_TARGET"),
    ("{crash: {targets: [1, 1]}}", "EXPERIMENT_VALUE"),
    ("{crash: {targets: {zone: ap}}}", "EXPERIMENT_TARGET"),
    ("{crash: {targets: some}}", "EXPERIMENT_VALUE"),
    ("{crash: {targets: all, every: 100ms, restart: false}}", "EXPERIMENT_FAULT"),
    ("{crash: {targets: all, every: 1s}}", "EXPERIMENT_TIME"),
    ("{crash: {targets: primaries, every: 1s}}", "EXPERIMENT_FAULT"),
    ("{crash: {targets: [1]}, partition: {shape: one}}", "EXPERIMENT_FAULT"),
    ("{clock: {targets: primaries, offset: 1s}}", "EXPERIMENT_TARGET"),
    ("{partition: {shape: groups}}", "EXPERIMENT_FAULT"),
    ("{partition: {shape: one, groups: [[1]]}}", "EXPERIMENT_FAULT"),
    ("{partition: {shape: groups, groups: [[1], [1]]}}", "EXPERIMENT_TARGET"),
    ("{partition: {shape: groups, groups: [[9]]}}", "EXPERIMENT_TARGET"),
    ("{partition: {shape: bridge, direction: inbound}}", "EXPERIMENT_FAULT"),
    ("{delay: {between: sites, from: [1], add: 1ms}}", "EXPERIMENT_FAULT"),
    ("{delay: {between: [west], add: 1ms}}", "EXPERIMENT_VALUE"),
    ("{loss: {from: [1], share: 2}}", "EXPERIMENT_VALUE"),
    ("{clock: {targets: [1], drift: 5}}", "EXPERIMENT_VALUE"),
    ("{clock: {targets: [1], offset: 5}}", "EXPERIMENT_VALUE"),
    ("{byzantine: {behaviour: nap, targets: [1]}}", "EXPERIMENT_VALUE"),
    ("{byzantine: {behaviour: forge, targets: [0, 1, 2]}}", "EXPERIMENT_BUDGET"),
    ("{disk: {targets: [0, 1, 2], lying: true}}", "EXPERIMENT_BUDGET"),
    ("{crash: {targets: majority, disk: lost}}", "EXPERIMENT_BUDGET"),
]


@pytest.mark.parametrize(("fault", "code"), FAULTS)
def test_a_fault_that_cannot_be_is_refused(fault: str, code: str) -> None:
    error = refused(TEXT + f"    - {fault}\n")
    assert (error.code, error.line) == (code, 9 if code == "EXPERIMENT_BUDGET" else 11)


def test_a_positive_control_may_have_more_faulty_sites() -> None:
    fault = "    - {byzantine: {behaviour: forge, targets: [0, 1, 2]}}\n"
    loaded = load((TEXT + fault + "  positive_control: true\n").encode())
    assert faulty_sites(loaded.experiment) == (0, 1, 2)


def test_another_seed_is_checked_again() -> None:
    # One liar drawn from the seed, and two by number: within f only where they overlap.
    faults = [
        "    - {byzantine: {behaviour: forge, targets: one}}",
        "    - {byzantine: {behaviour: forge, targets: [2, 3]}}",
    ]
    text = TEXT + "\n".join(faults)
    fair, unfair = [], []
    for seed in range(40):
        try:
            fair.append(load(text.replace("seed: 7", f"seed: {seed}").encode()))
        except LocalError:
            unfair.append(seed)
    first, *others = fair
    seed = others[0].experiment.spec.seed
    assert with_seed(first, seed).experiment == others[0].experiment
    with pytest.raises(LocalError) as caught:
        with_seed(first, unfair[0])
    assert caught.value.code == "EXPERIMENT_BUDGET"


TEXTS = [
    (b"", "EXPERIMENT_YAML"),
    (b"\xff", "EXPERIMENT_YAML"),
    (b"a: 1\n---\nb: 2", "EXPERIMENT_YAML"),
    (b"\x00", "EXPERIMENT_YAML"),
    (b"[" * 100, "EXPERIMENT_YAML"),
    (b"a: " + b"[" * 40 + b"]" * 40, "EXPERIMENT_YAML"),
    (b" " * (1 << 20) + b"x", "EXPERIMENT_YAML"),
    (b"just words", "EXPERIMENT_VALUE"),
    (b"- 1", "EXPERIMENT_VALUE"),
]


@pytest.mark.parametrize(("data", "code"), TEXTS)
def test_what_is_no_experiment_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(LocalError) as caught:
        load(data)
    assert caught.value.code == code


def test_targets_are_drawn_from_the_seed() -> None:
    text = TEXT + "    - {crash: {targets: minority}}\n"
    first = targets_of(load(text.encode()).experiment, 2)["targets"]
    assert len(first) == 3
    assert targets_of(load(text.encode()).experiment, 2)["targets"] == first
    others = [
        targets_of(load(text.replace("seed: 7", f"seed: {n}").encode()).experiment, 2)["targets"]
        for n in range(5)
    ]
    assert any(other != first for other in others)


def test_the_example_of_the_page_is_an_experiment() -> None:
    page = (checkout.ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    found = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert found is not None
    assert len(load(found[1].encode()).experiment.spec.faults) == 2
