import json
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

import pytest

from seawall.sim.invariants import all_checkers
from seawall.sim.machinery import honest_machinery
from seawall.sim.profiles import PROFILES, plan_of
from seawall.sim.trace import TraceRecorder
from seawall.sim.world import World
from tests.simulation.recompute import Recomputation, to_ref

if TYPE_CHECKING:
    from seawall.sim.checking import Checker


def recorded(profile: str, seed: int, engine: str) -> tuple[dict[str, Any], list[int]]:
    """Return the trace of an honest seat, and how many blocks it had after each of its steps."""
    plan = plan_of(profile, seed, engine=engine)
    seat = next(s for s in range(len(plan.stakes)) if s not in plan.faulty)
    recorder = TraceRecorder(seat)
    checkers: tuple[Checker, ...] = (*all_checkers(), recorder)
    world = World(plan, honest_machinery(engine), checkers=checkers)
    world.run()
    return json.loads(recorder.json(world)), recorder.steps


def final_of(trace: dict[str, Any]) -> dict[tuple[tuple[int, int, str], int], tuple[int, int]]:
    """Return event and round of every FINAL statement."""
    return {
        (to_ref(one["block"]), one["index"]): (one["event"], one["round"])
        for one in trace["expected"]["final"]
    }


@pytest.mark.parametrize("engine", ["async", "sync"])
@pytest.mark.parametrize("profile", sorted(PROFILES))
@pytest.mark.parametrize("seed", range(3))
def test_a_second_implementation_concludes_the_same_from_every_trace(
    profile: str, seed: int, engine: str
) -> None:
    trace, steps = recorded(profile, seed, engine)
    found = Recomputation(trace)
    assert len(found.commits) >= 25
    assert found.commits == trace["expected"]["commits"]
    assert found.fast_path.verdicts == trace["expected"]["verdicts"]
    stated = final_of(trace)
    assert found.fast_path.final.keys() == stated.keys()
    blocks = [0]
    for event in trace["events"]:
        blocks.append(blocks[-1] + ("block" in event))
    for place, (event, highest) in found.fast_path.final.items():
        later, round_ = stated[place]
        # The journal's blocks, and those of one step, are accepted together.
        assert event <= later
        assert highest <= round_
        in_step = bisect_left(steps, blocks[event]), bisect_left(steps, blocks[later])
        assert in_step[0] == in_step[1]


@pytest.mark.parametrize("engine", ["async", "sync"])
def test_the_traces_have_all_kinds_of_verdicts_and_most_updates_are_final(engine: str) -> None:
    kinds: list[str] = []
    final = 0
    for seed in range(4):
        expected = recorded("honest", seed, engine)[0]["expected"]
        kinds += [one["verdict"] for one in expected["verdicts"]]
        final += len(expected["final"])
    assert set(kinds) == {"ACCEPT", "DUPLICATE", "REJECT"}
    assert final >= kinds.count("ACCEPT")


def tampered(trace: dict[str, Any], what: str) -> None:
    """Change one thing in a trace that must change what follows from it."""
    blocks = [event["block"] for event in trace["events"] if "block" in event]
    if what == "leaders":
        trace["leaders"] = {number: one[::-1] for number, one in trace["leaders"].items()}
    elif what == "rejects":
        for block in blocks:
            block["rejects"] = []
    elif what == "window":
        trace["parameters"]["W"] = 0
    elif what == "cutoff":
        for block in blocks:
            block["vote_cutoff"] = block["ref"][0] - 1


@pytest.mark.parametrize("what", ["leaders", "rejects", "window", "cutoff"])
def test_the_second_implementation_can_disagree(what: str) -> None:
    trace, _ = recorded("honest", 2, "sync")
    tampered(trace, what)
    found = Recomputation(trace)
    expected = trace["expected"]
    agrees = (
        found.commits == expected["commits"]
        and found.fast_path.verdicts == expected["verdicts"]
        and found.fast_path.final.keys() == final_of(trace).keys()
    )
    assert not agrees
