import json
from random import Random
from typing import Any, get_args

import pytest

from seawall.chaos.experiment.faults import KINDS, BehaviourName
from seawall.chaos.experiment.targets import GROUPS, Selector, count_of, select
from seawall.chaos.experiment.units import (
    drift_ppm,
    duration_us,
    offset_us,
    rate_per_second,
    size_bytes,
)
from seawall.chaos.experiment.zones import ZONES
from seawall.consensus.byzantine.table import BEHAVIOURS
from tools import experiment_schema


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (duration_us("250ms"), 250_000),
        (duration_us("1.5s"), 1_500_000),
        (duration_us("2h"), 7_200_000_000),
        (offset_us("-2s"), -2_000_000),
        (size_bytes("16KiB"), 16_384),
        (size_bytes("0.5MiB"), 524_288),
        (rate_per_second("90/m"), 1.5),
        (drift_ppm("-50ppm"), -50),
    ],
)
def test_quantities_have_units(value: float, expected: float) -> None:
    assert value == expected


@pytest.mark.parametrize("text", ["10", "s", "-1s", "1 s", "1e3s", "10s\n", "1d", 10, None])
def test_a_duration_without_a_unit_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="unit"):
        duration_us(text)


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="more than nothing"):
        rate_per_second("0/s")


def test_groups_are_counted_as_jepsen_counts_them() -> None:
    counts = {group: count_of(group, 7) for group in GROUPS if group != "primaries"}
    expected = {"one": 1, "minority": 3, "minority_third": 2, "majority": 4, "all": 7}
    assert counts == expected


def test_a_selector_picks_by_number_zone_group_or_lead() -> None:
    zones = ("a", "b", "a", "b")
    assert select(Selector(sites=(1, 3)), zones, Random(1)) == (1, 3)
    assert select(Selector(zone="a"), zones, Random(1)) == (0, 2)
    assert select(Selector(group="primaries"), zones, Random(1), (3, 2)) == (2, 3)
    assert len(select(Selector(group="majority"), zones, Random(1))) == 3


@pytest.mark.parametrize("name", ZONES)
def test_every_pair_of_zones_of_a_named_matrix_has_a_round_trip(name: str) -> None:
    matrix = ZONES[name]
    names = matrix.names
    pairs = [f"{a}-{b}" for at, a in enumerate(names) for b in names[at + 1 :]]
    assert sorted(matrix.rtt_us) == sorted(pairs)
    assert all(rtt_us > matrix.inside_us for rtt_us in matrix.rtt_us.values())


def test_behaviours_are_those_of_the_table() -> None:
    assert set(get_args(BehaviourName)) - {"twins"} <= set(BEHAVIOURS)


def test_the_published_schema_is_that_of_the_code() -> None:
    assert experiment_schema.PAGE.read_text(encoding="utf-8") == experiment_schema.render()


def test_the_published_schema_names_every_kind_of_fault_and_refuses_the_rest() -> None:
    schema: dict[str, Any] = json.loads(experiment_schema.render())
    fault = schema["$defs"]["Fault"]
    assert [one["required"][0] for one in fault["oneOf"]] == list(KINDS)
    parts = [part for part in schema["$defs"].values() if part.get("type") == "object"]
    assert all(part["additionalProperties"] is False for part in [schema, *parts])
