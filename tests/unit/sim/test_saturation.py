import json
from dataclasses import replace

import pytest

from seawall.sim.capacity import Capacity
from seawall.sim.saturation import HEADER, Study, document, find_saturation, row, study, title
from seawall.sim.stress import Setting, Trouble

SETTING = Setting(size=4, protocol="sync", window_s=4)
CAPACITY = Capacity(grain=64, execute_us=120)


@pytest.fixture(scope="module")
def found() -> Study:
    return study(SETTING, CAPACITY, (Trouble.CRASH, Trouble.NONE))


def test_saturation_is_what_the_ledger_can_execute(found: Study) -> None:
    # 120 µs an update, and about 3 % of the core for commits.
    assert 7_400 < found.saturation < 8_400
    offered = [probe.offered for probe in found.probes]
    assert offered == sorted(offered)
    assert found.saturation in offered


def test_an_uplink_can_be_the_limit_as_well() -> None:
    narrow = replace(CAPACITY, uplink_bytes_per_second=400_000)
    load, _ = find_saturation(SETTING, narrow)
    assert 0 < load < 400_000 / 150 * 4 / 3


def test_what_nothing_can_follow_ends_the_search() -> None:
    hopeless = replace(CAPACITY, commit_us=5_000_000)
    load, probes = find_saturation(replace(SETTING, window_s=1), hopeless)
    assert load == 0
    assert len(probes) == 16


def test_runs_are_compared_with_the_one_without_faults(found: Study) -> None:
    calm, crashed = found.runs
    assert (calm.trouble, crashed.trouble) == (Trouble.NONE, Trouble.CRASH)
    assert calm.offered == crashed.offered == 0.9 * found.saturation
    assert found.throughput_share(calm) == found.latency_ratio(calm) == 1
    assert found.holds(crashed)
    assert found.all_hold
    slow = replace(crashed, latency_p50_ms=2.1 * calm.latency_p50_ms)
    few = replace(crashed, throughput=0.7 * calm.throughput)
    assert not found.holds(slow)
    assert not found.holds(few)
    assert not replace(found, runs=(calm, few)).all_hold


def test_the_table_and_the_document_show_what_is_known(found: Study) -> None:
    cells = row(found, found.runs[1])
    assert len(cells) == len(HEADER)
    assert cells[HEADER.index("faults")] == "f crashed"
    assert cells[HEADER.index("holds")] == "yes"
    lost = replace(found.runs[1], latency_p50_ms=float("inf"))
    shown = replace(found, runs=(found.runs[0], lost))
    assert row(shown, lost)[HEADER.index("holds")] == "NO"
    text = json.dumps(document([shown], CAPACITY), allow_nan=False)
    assert json.loads(text)["studies"][0]["runs"][1]["latency_p50_ms"] is None
    assert title(SETTING) == "n = 4, sync, links fixed"
    assert title(replace(SETTING, jitter=True)).endswith("with jitter")
