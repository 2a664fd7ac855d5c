from collections.abc import Mapping
from typing import Any

import pytest

from seawall.api.v1 import fault_plane_pb2
from seawall.chaos.experiment.schema import Experiment
from seawall.chaos.runner.injection import Injection
from seawall.chaos.runner.planning import (
    PLANE_KINDS,
    hit_directions,
    hit_sites,
    injections_of,
    liars,
    obstacles,
    one_way_us,
    terrain_of,
)
from seawall.testbed.chaos.plane import PlaneActuator
from tests.unit.testbed.experiment.small import small

OUT = "PARTITION_DIRECTION_OUTBOUND"


def planned(fault: str, extra: str = "") -> tuple[Injection, ...]:
    return injections_of(small(fault, extra).experiment, 0, "run", (0, 2))


def by_site(fault: str) -> Mapping[int, dict[str, Any]]:
    return {one.site: one.detail for one in planned(fault)}


def test_a_cut_is_made_at_both_ends_of_each_link() -> None:
    assert by_site("{partition: {shape: groups, groups: [[1]]}}") == {
        0: {"peers": [1], "direction": OUT},
        1: {"peers": [0, 2, 3], "direction": OUT},
        2: {"peers": [1], "direction": OUT},
        3: {"peers": [1], "direction": OUT},
    }


def test_a_cut_one_way_is_made_where_messages_leave() -> None:
    outbound = planned("{partition: {shape: primaries, direction: outbound}}")
    assert [(one.site, one.detail["peers"]) for one in outbound] == [(0, [1, 3]), (2, [1, 3])]
    inbound = planned("{partition: {shape: primaries, direction: inbound}}")
    assert [(one.site, one.detail["peers"]) for one in inbound] == [(1, [0, 2]), (3, [0, 2])]


def test_leaders_are_those_of_the_moment() -> None:
    experiment = small("{delay: {from: primaries, add: 20ms}}").experiment
    assert [one.site for one in injections_of(experiment, 0, "run", (3,))] == [3]
    assert hit_directions(experiment, 0, (3,)) == ((3, 0), (3, 1), (3, 2))
    assert hit_sites(small("{crash: {targets: primaries}}").experiment, 0, (1, 2)) == (1, 2)


def test_a_rolling_crash_has_its_turns_and_a_loss_for_good_stays() -> None:
    rolling = planned("{for: 900ms, crash: {targets: [0, 1, 3], every: 300ms}}")
    assert [(one.begin_us, one.end_us) for one in rolling] == [
        (0, 300_000),
        (300_000, 600_000),
        (600_000, 900_000),
    ]
    assert [one.kind for one in planned("{crash: {targets: [1], disk: lost}}")] == ["wipe"]
    assert [one.stays for one in planned("{crash: {targets: [1], restart: false}}")] == [True]


def test_ids_differ_by_run_fault_and_site() -> None:
    experiment = small("{delay: {from: [0, 1], add: 5ms}}\n{disk: {targets: [0], full: true}}")
    found = [
        one.id
        for run in ("a", "b")
        for number in (0, 1)
        for one in injections_of(experiment.experiment, number, run, ())
    ]
    assert len(dict.fromkeys(found)) == len(found) == 6


FAULTS = [
    "{partition: {shape: one}}",
    "{delay: {from: [0], add: 20ms, jitter: 5ms, reorder: 0.1, reorder_by: 9ms}}",
    "{loss: {to: [1], share: 0.2}}",
    "{gray: {from: [1], add: 5ms, loss: 0.1}}",
    "{disk: {targets: [2], sync_add: 20ms}}",
    "{disk: {targets: [2], lying: true}}",
    "{clock: {targets: [2], offset: -3s, drift: 50ppm}}",
    "{byzantine: {behaviour: withhold, targets: [1], peers: [2]}}",
]


@pytest.mark.parametrize("fault", FAULTS)
def test_every_detail_is_one_of_the_contract(fault: str) -> None:
    plane = PlaneActuator(lambda site: pytest.fail(f"dialled {site}"), seed=1, experiment="x")
    for one in planned(fault):
        spec = plane.spec_of(one, 30)
        assert spec.WhichOneof("kind") == one.kind
        assert (spec.id, spec.lease_seconds, spec.experiment) == (one.id, 30, "x")
        again = fault_plane_pb2.FaultSpec.FromString(spec.SerializeToString())
        assert again == spec


def unsupported(experiment: Experiment, kinds: tuple[str, ...] = PLANE_KINDS) -> list[str]:
    return [".".join(map(str, one.path)) for one in obstacles(experiment, kinds, "local")]


def test_what_no_actuator_does_is_named_with_its_place() -> None:
    twins = small("{byzantine: {behaviour: twins, targets: [1], peers: [0, 2]}}").experiment
    assert "spec.faults.0.byzantine.behaviour" in unsupported(twins)
    slow = small("{delay: {from: [0], add: 5ms}}\n{crash: {targets: [1]}}").experiment
    assert "spec.faults.0.delay" in unsupported(slow, ("partition",))
    assert "spec.faults.0.delay" not in unsupported(slow)
    zones = small("{crash: {targets: [1]}}").experiment
    assert unsupported(zones, ("partition",)) == ["spec.topology.zones"]
    assert unsupported(zones) == []


def test_zones_are_as_far_apart_as_half_a_round_trip() -> None:
    experiment = small("{crash: {targets: [1]}}").experiment
    far = one_way_us(experiment)
    matrix, zones = experiment.zone_matrix, experiment.site_zones
    for (a, b), far_us in far.items():
        names = sorted((zones[a], zones[b]), key=matrix.names.index)
        expected = matrix.inside_us if names[0] == names[1] else matrix.rtt_us["-".join(names)]
        assert far_us == expected // 2
    for one in terrain_of(experiment, "run"):
        for peer in one.detail["links"]["peers"]:
            assert far[one.site, peer] == one.detail["add_us"]


def test_liars_are_those_whose_word_counts_for_nothing() -> None:
    faults = "{disk: {targets: [2], lying: true}}\n{crash: {targets: [1]}}"
    assert liars(small(faults).experiment) == (2,)
    assert liars(small("{crash: {targets: [1], disk: lost}}").experiment) == ()
