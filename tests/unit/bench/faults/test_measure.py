import json
from dataclasses import asdict

import pytest

from bench.faults.__main__ import chosen, text
from bench.faults.load import OpenLoad
from bench.faults.measure import FaultReport, Times, first_window, not_done, report
from bench.faults.specs import SCRIPTS, SPECS
from bench.faults.table import FAULTS, SHAPES
from seawall.api.v1 import fault_plane_pb2
from seawall.consensus.byzantine.table import BEHAVIOURS
from seawall.runtime.crash import POINTS
from seawall.testbed.judging import Findings

# Ten a second for ten seconds, nothing for five, then ten a second again.
MOMENTS = [at / 10 for at in (*range(100), *range(150, 250))]


def load() -> OpenLoad:
    return OpenLoad(
        acknowledged={f"{at:064x}": moment for at, moment in enumerate(MOMENTS)},
        took=[0.1] * len(MOMENTS),
        sent=len(MOMENTS),
    )


def done(findings: Findings = Findings(), complaint: str = "", **changes: float) -> FaultReport:  # noqa: B008 - a frozen value
    times = Times(began=0.0, struck=10.0, healed=12.0, ended=20.0, level=14.0)
    for name, value in changes.items():
        setattr(times, name, value)
    return report("kill", load(), times, findings, complaint)


def test_figures_count_from_the_end_of_the_fault() -> None:
    one = done()
    assert one.rate_before == pytest.approx(10.0)
    assert one.share_during == 0.0
    assert one.commit_seconds == pytest.approx(3.0)
    assert one.level_seconds == pytest.approx(2.0)
    # The first window of two seconds with 80 % of the updates begins 0.4 s before they do.
    assert one.back_seconds == pytest.approx(2.6, abs=0.11)
    assert one.holds


def test_what_is_wrong_does_not_hold() -> None:
    assert not done(Findings(forks=("site-1",))).holds
    assert not done(complaint="not every site caught up").holds
    assert not done(ended=14.0).holds
    missing = load()
    missing.sent += 1
    times = Times(began=0.0, struck=10.0, healed=12.0, ended=20.0, level=14.0)
    assert not report("kill", missing, times, Findings(), "").holds
    missing.refused.append("REPLAY_BASE")
    assert not report("kill", missing, times, Findings(), "").holds


def test_a_rate_that_never_comes_back_has_no_window() -> None:
    assert first_window(MOMENTS, 11.0, 12.0, 25.0) is None
    assert first_window(MOMENTS, 8.0, 0.0, 10.0) == 0.0


def test_a_fault_that_was_not_done_does_not_hold() -> None:
    one = not_done("kill", ExceptionGroup("any", [RuntimeError("links are still up")]))
    assert one.complaint == "was not done: links are still up"
    assert not one.holds
    assert not_done("kill", TimeoutError()).complaint == "was not done: TimeoutError"


def test_reports_are_printed_and_are_json() -> None:
    printed = text([done(), done(complaint="nothing came back")])
    assert "DOES NOT HOLD nothing came back" in printed
    assert json.loads(json.dumps(asdict(done())))["findings"]["lost"] == []


def test_every_crash_point_shape_and_behaviour_is_a_fault() -> None:
    assert [name for name in FAULTS if name.startswith("crash-")] == [f"crash-{p}" for p in POINTS]
    assert tuple(SCRIPTS) == tuple(BEHAVIOURS)
    assert [name for name in FAULTS if FAULTS[name].lies] == [f"byzantine-{s}" for s in SCRIPTS]
    assert [name for name in FAULTS if FAULTS[name].apart] == [f"partition-{s}" for s in SHAPES]
    done = {spec.WhichOneof("kind") or "": None for spec in SPECS.values()}
    contract = fault_plane_pb2.FaultSpec.DESCRIPTOR.oneofs_by_name["kind"].fields
    otherwise = ["byzantine", "crash", "partition"]
    assert sorted([*done, *otherwise]) == sorted(one.name for one in contract)


def test_ring_and_bridge_leave_each_site_its_quorum_or_a_way() -> None:
    def heard(shape: str, site: int) -> list[int]:
        return [other for other in range(4) if (other, site) not in SHAPES[shape]]

    assert [len(heard("ring", site)) for site in range(4)] == [3, 3, 3, 3]
    assert [len(heard("halves", site)) for site in range(4)] == [2, 2, 2, 2]
    assert [len(heard("bridge", site)) for site in range(4)] == [2, 4, 3, 3]
    assert heard("one-deaf", 3) == [3]
    assert heard("one-mute", 0) == [0, 1, 2]


def test_unknown_faults_are_refused() -> None:
    class Options:
        faults = "flood"
        quick = True

    with pytest.raises(SystemExit, match="unknown: flood"):
        chosen(Options())  # type: ignore[arg-type] # as argparse gives it
