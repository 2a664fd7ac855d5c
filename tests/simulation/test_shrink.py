from collections.abc import Callable
from dataclasses import replace

import pytest

from seawall.consensus.byzantine.table import Script
from seawall.sim.disk import CrashPoint
from seawall.sim.hunting import HUNT_US_MAX
from seawall.sim.network import Loss
from seawall.sim.plan import Crash, LossChange, Partition, Plan, Sight
from seawall.sim.profiles import plan_of
from seawall.sim.replay import main
from seawall.sim.shrink import judge_of, replay_of, shrink, size_of
from tests.simulation.test_replay import arguments_of

BUSY = Plan(
    seed=1,
    stakes=(1, 2, 1, 1, 1, 2, 1),
    twins=(0,),
    hostile={2: (Script(behaviour="forge"), Script(behaviour="delay"))},
    faults=(
        Crash(at_us=5, seat=5, point=CrashPoint.BEFORE_SYNC),
        Crash(at_us=6, seat=7),
        Partition(at_us=7, groups=((0, 6, 7),)),
        LossChange(at_us=8, loss=Loss(reset=0.1)),
        Sight(at_us=9, blind=((0, 3), (5, 7), (6, 7))),
        LossChange(at_us=10, loss=Loss()),
        Sight(at_us=11),
        Partition(at_us=12),
    ),
    heal_us=900,
    clock_offsets_ms=(1, 2, 3, 4, 5, 6, 7, 8),
)


def fails_when(bad: Callable[[Plan], bool], invariant: str = "I7") -> Callable[[Plan], str | None]:
    """Return a judge that finds a violation in some plans."""
    return lambda plan: invariant if bad(plan) else None


@pytest.mark.parametrize(
    ("mutant", "seed", "size_max"), [("quorum_off_by_one", 2, 6), ("delivered_again", 0, 4)]
)
def test_a_mutants_plan_shrinks_to_a_small_one_that_fails_alike(
    mutant: str, seed: int, size_max: int, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = {"quorum_off_by_one": "split"}.get(mutant, "mix")
    plan = replace(plan_of(profile, seed), limit_us=HUNT_US_MAX)
    judge = judge_of("sync", mutant)
    invariant = judge(plan)
    assert invariant is not None
    found = shrink(plan, invariant, judge, tries_max=60)
    assert found.tries <= 60
    assert size_of(found.plan) <= size_max
    assert size_of(found.plan) < size_of(plan)
    assert main(arguments_of(replay_of(found.plan, "sync", mutant))) == 1
    assert f"VIOLATION {invariant}" in capsys.readouterr().out


def test_true_parts_give_the_judge_nothing_to_find() -> None:
    assert judge_of("sync")(Plan(seed=1, commits=3)) is None


def test_what_does_not_matter_is_left_out() -> None:
    found = shrink(BUSY, "I7", fails_when(lambda _: True))
    assert size_of(found.plan) == 4
    assert found.plan.commits == 1
    assert found.plan.stakes == (1, 1, 1, 1)


def test_what_matters_stays() -> None:
    found = shrink(BUSY, "I7", fails_when(lambda plan: bool(plan.twins and plan.hostile)))
    assert found.plan.twins == (0,)
    assert list(found.plan.hostile) == [2]
    assert found.plan.faults == ()
    assert len(found.plan.hostile[2]) == 1


def test_seats_move_up_when_one_goes() -> None:
    def keeps_faults(plan: Plan) -> bool:
        return len(plan.faults) == len(BUSY.faults)

    found = shrink(replace(BUSY, hostile={}), "I7", fails_when(keeps_faults)).plan
    assert len(found.stakes) == 6, "a crash of seat 5 stays, so that seat does; seat 6 is gone"
    assert found.faults[1] == Crash(at_us=6, seat=6)
    assert found.faults[2] == Partition(at_us=7, groups=((0, 6),))
    assert found.faults[4] == Sight(at_us=9, blind=((0, 3), (5, 6)))


@pytest.mark.parametrize("invariant", ["I16", "I17"])
def test_a_plan_without_progress_must_still_come_to_rest(invariant: str) -> None:
    def has_fault(plan: Plan) -> bool:
        return bool(plan.faults)

    found = shrink(BUSY, invariant, fails_when(has_fault, invariant)).plan
    assert found.heal_us == BUSY.heal_us
    assert isinstance(found.faults[-1], Crash | Partition | LossChange | Sight)
    assert found.faults[-1] in (BUSY.faults[0], BUSY.faults[1], *BUSY.faults[5:])


def test_the_tries_are_bounded() -> None:
    assert shrink(BUSY, "I7", fails_when(lambda _: False), tries_max=5).tries == 5
