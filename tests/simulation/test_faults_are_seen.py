"""Every kind of fault runs, is seen by its probe, and breaks no invariant."""

import pytest

from seawall.testbed.experiment.outcome import Result
from seawall.testbed.experiment.runner import run_simulated
from seawall.testbed.experiment.verdict import Verdict
from tests.unit.testbed.experiment.small import TEXT, small

SEVEN = TEXT.replace("sites: 4", "sites: 7")

FAULTS = {
    "one is cut off": "{partition: {shape: one}}",
    "nothing leaves one": "{partition: {shape: one, direction: outbound}}",
    "nothing reaches one": "{partition: {shape: one, direction: inbound}}",
    "groups": "{for: 1s, partition: {shape: groups, groups: [[0, 1]]}}",
    "leaders are cut off": "{for: 1s, partition: {shape: primaries}}",
    "delay between two zones": "{delay: {between: [north, west], add: 50ms, jitter: 5ms}}",
    "segments overtake": "{delay: {between: sites, add: 0s, reorder: 0.5, reorder_by: 40ms}}",
    "loss one way": "{loss: {to: [2], share: 0.3}}",
    "gray": "{gray: {from: [1], to: [0, 2], add: 60ms, loss: 0.1}}",
    "crash for good": "{crash: {targets: one, restart: false, disk: intact}}",
    "slow disk": "{disk: {targets: one, sync_add: 30ms}}",
    "full disk": "{at: 100ms, for: 500ms, disk: {targets: [1], full: true}}",
    "clock is late": "{clock: {targets: [2], offset: -3s}}",
    "clock is fast": "{clock: {targets: [2], drift: 50000ppm}}",
    "two at once": "{delay: {from: [0], add: 20ms}}\n{at: 500ms, partition: {shape: one}}",
    "withhold": "{byzantine: {behaviour: withhold, targets: [1], peers: [2]}}",
    "delay of blocks": "{byzantine: {behaviour: delay, targets: [1], rounds: 3}}",
    "forge": "{byzantine: {behaviour: forge, targets: [1]}}",
    "reject all": "{byzantine: {behaviour: reject_all, targets: [1]}}",
    "stale parents": "{byzantine: {behaviour: stale_parents, targets: [1], rounds: 9}}",
    "two chains": "{byzantine: {behaviour: two_chains, targets: [1], peers: [0]}}",
    "bad links of leaders": "{for: 1s, delay: {from: primaries, add: 60ms}}",
    "flood": "{flood: {rate: 300/s, targets: [1]}}",
    "twins": "{byzantine: {behaviour: twins, targets: [1], peers: [0, 2]}}",
}


def findings_about(result: Result, subject: str) -> list[str]:
    """Return what was observed of a subject that did not come out as expected."""
    return [f.observed for f in result.findings if f.subject.startswith(subject) and not f.holds]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_seen_and_tolerated(name: str) -> None:
    result = run_simulated(small(FAULTS[name]))
    assert findings_about(result, "safety") == []
    assert findings_about(result, "fault") == []
    assert result.verdict is not Verdict.UNSAFE


def test_a_ring_of_majorities_is_seen() -> None:
    result = run_simulated(small("{partition: {shape: majorities_ring}}", text=SEVEN))
    assert findings_about(result, "safety") == []
    assert findings_about(result, "fault") == []


def test_leaders_of_a_coin_and_garbage_for_shares() -> None:
    lies = "{byzantine: {behaviour: garbage_shares, targets: [1]}}"
    result = run_simulated(small(lies, "  engine: {mode: async, wave_length: 5}\n"))
    assert findings_about(result, "safety") == []
    assert findings_about(result, "fault") == []
    assert result.verdict is Verdict.PASS


@pytest.mark.parametrize(
    "second",
    [
        "crash: {targets: [1]}",
        "clock: {targets: [1], offset: 2s}",
        "disk: {targets: [1], sync_add: 20ms}",
        "disk: {targets: [1], lying: true}",
        "byzantine: {behaviour: delay, targets: [1], rounds: 3}",
        "delay: {from: [1], add: 20ms}",
    ],
)
def test_a_fault_of_a_site_that_is_down_is_not_seen(second: str) -> None:
    down = "{crash: {targets: [1], restart: false}}"
    result = run_simulated(small(f"{down}\n{{at: 300ms, {second}}}"))
    assert findings_about(result, "fault 0") == []
    assert findings_about(result, "fault 1") != []
    assert result.verdict is Verdict.INCONCLUSIVE


def test_a_cut_of_links_that_are_cut_already_is_still_a_cut() -> None:
    cut = "partition: {shape: groups, groups: [[1]]}"
    result = run_simulated(small(f"{{{cut}}}\n{{at: 300ms, for: 500ms, {cut}}}"))
    assert findings_about(result, "fault") == []
