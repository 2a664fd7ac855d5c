from random import Random

import pytest

from seawall.chaos.experiment.faults import Delay, Partition
from seawall.sim.network import Quality
from seawall.testbed.experiment.links import Illness, flaws, merged, partition, twins


def cut(shape: str, size: int, **more: object) -> Illness:
    fault = Partition.model_validate({"shape": shape, **more})
    return partition(fault, size, Random(1), (0, 1))


def seen(illness: Illness, size: int) -> list[int]:
    """Return how many others each site reaches, itself included."""
    return [
        1 + sum((min(a, b), max(a, b)) not in illness.cut for b in range(size) if b != a)
        for a in range(size)
    ]


@pytest.mark.parametrize(
    ("shape", "inside"),
    [("one", 1), ("minority", 3), ("minority_third", 2), ("majority", 4), ("primaries", 2)],
)
def test_a_cut_side_has_as_many_sites_as_its_shape_says(shape: str, inside: int) -> None:
    illness = cut(shape, 7)
    assert len(illness.inside) == inside
    assert sorted(seen(illness, 7)) == sorted([inside] * inside + [7 - inside] * (7 - inside))


@pytest.mark.parametrize("size", [3, 4, 5, 7, 10])
def test_in_a_ring_everybody_sees_a_majority_and_not_everybody(size: int) -> None:
    counts = seen(cut("majorities_ring", size), size)
    assert all(count > size // 2 for count in counts)
    assert len(set(counts)) == 1
    if size > 4:
        assert counts[0] < size


def test_a_bridge_sees_all_and_joins_two_halves() -> None:
    assert sorted(seen(cut("bridge", 7), 7)) == [4, 4, 4, 4, 4, 4, 7]


def test_groups_stay_together_and_so_do_those_not_named() -> None:
    illness = cut("groups", 5, groups=[[0, 1]])
    assert illness.cut == ((0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4))


@pytest.mark.parametrize("direction", ["outbound", "inbound"])
def test_a_cut_of_one_direction_stalls_it_and_cuts_nothing(direction: str) -> None:
    illness = cut("one", 4, direction=direction)
    (inside,) = illness.inside
    ends = {pair[direction == "inbound"] for pair in illness.stalled}
    assert (illness.cut, len(illness.stalled), ends) == ((), 3, {inside})


ZONES = ("a", "b", "a", "c")


@pytest.mark.parametrize(
    ("which", "targets", "expected"),
    [
        ({"between": ["a", "b"]}, {}, [(0, 1), (1, 0), (1, 2), (2, 1)]),
        ({"from": [0]}, {"source": (0,)}, [(0, 1), (0, 2), (0, 3)]),
        ({"to": [3]}, {"target": (3,)}, [(0, 3), (1, 3), (2, 3)]),
        (
            {"from": [0], "to": [3], "direction": "both"},
            {"source": (0,), "target": (3,)},
            [(0, 3), (3, 0)],
        ),
    ],
)
def test_links_are_chosen_by_zone_or_by_end(
    which: dict[str, object], targets: dict[str, tuple[int, ...]], expected: list[tuple[int, int]]
) -> None:
    fault = Delay.model_validate({"add": "5ms", **which})
    illness = flaws(fault, ZONES, targets)
    assert sorted(illness.flaws) == expected
    assert set(illness.flaws.values()) == {Quality(add_us=5_000)}


def test_between_zones_spares_links_within_a_zone_and_between_sites_none() -> None:
    zones = flaws(Delay.model_validate({"add": "1ms", "between": "zones"}), ZONES, {})
    sites = flaws(Delay.model_validate({"add": "1ms", "between": "sites"}), ZONES, {})
    assert set(sites.flaws) - set(zones.flaws) == {(0, 2), (2, 0)}


def test_faults_at_once_add_up() -> None:
    slow = Illness(flaws={(0, 1): Quality(add_us=5)})
    both = merged([slow, slow, Illness(cut=((1, 2),)), Illness(stalled=((2, 1),))])
    assert both.flaws == {(0, 1): Quality(add_us=10)}
    assert both.directions == ((0, 1), (1, 2), (2, 1), (2, 1))


def test_a_twin_sees_its_peers_and_other_twins_only() -> None:
    illness = twins({2: 4, 3: 5}, (1,), (0, 1, 2, 3, 2, 3))
    assert illness.cut == ((0, 4), (0, 5), (1, 2), (1, 3), (2, 5), (3, 4))
