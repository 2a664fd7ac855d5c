import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from seawall.consensus.byzantine.table import Script
from seawall.domain.parameters import ConsensusParameters
from seawall.sim import rerun as module
from seawall.sim.byzantine import forger
from seawall.sim.checking import Checker, InvariantError
from seawall.sim.disk import CrashPoint, DiskHealth
from seawall.sim.machinery import FACTORIES, honest_machinery
from seawall.sim.network import SECOND_US, FixedDelay, Loss, Quality, ZoneDelay
from seawall.sim.plan import (
    Aim,
    ByRound,
    ClockChange,
    Conflict,
    Crash,
    DiskChange,
    Flaw,
    LinksChange,
    Load,
    LossChange,
    Partition,
    Passing,
    Plan,
    ScriptChange,
    Sight,
    Start,
)
from seawall.sim.profiles import PROFILES, plan_of
from seawall.sim.replay import main, repeat
from seawall.sim.rerun import Rerun, decode, encode
from seawall.sim.world import World
from tests.scenario.staging import stage

STUCK = Plan(seed=1, commits=10_000, limit_us=SECOND_US)


def violation_of(plan: Plan) -> InvariantError:
    """Return how a plan that cannot reach its goal ends."""
    with pytest.raises(InvariantError) as caught:
        stage(plan, "sync").run()
    return caught.value


def arguments_of(command: str) -> list[str]:
    """Return the options of a replay command."""
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "seawall.sim.replay"]
    return words[3:]


def test_the_command_of_a_plan_made_by_hand_shows_the_violation_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = violation_of(STUCK)
    assert error.replay in str(error)
    assert main(arguments_of(error.replay)) == 1
    assert error.summary in capsys.readouterr().out


def test_a_plan_may_stand_in_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "plan.json"
    file.write_text(encode(Rerun(plan=STUCK)))
    assert main(["--plan", str(file)]) == 1
    assert "I16" in capsys.readouterr().out


def test_a_drawn_plan_is_named_by_profile_and_seed_unless_it_was_changed() -> None:
    plan = plan_of("split", 3)
    named = module.command(Rerun(plan=plan), honest_machinery("sync"))
    assert arguments_of(named) == [
        *("--engine", "sync", "--profile", "split", "--seed", "3", "--commits", "30")
    ]
    changed = module.command(Rerun(plan=replace(plan, sync_us=1)), honest_machinery("sync"))
    assert decode(arguments_of(changed)[-1]).plan == replace(plan, sync_us=1)


def test_a_run_with_parts_of_a_tests_own_has_no_command() -> None:
    honest = honest_machinery("sync")
    parts = replace(honest, hostile=forger(honest.engine))
    assert module.command(Rerun(plan=STUCK), parts) == ""


@pytest.mark.parametrize("engine", FACTORIES)
@pytest.mark.parametrize("profile", PROFILES)
def test_every_plan_survives_being_written_down(profile: str, engine: str) -> None:
    for seed in range(50):
        plan = plan_of(profile, seed, engine=engine)
        assert decode(encode(Rerun(plan=plan))) == Rerun(plan=plan)


def test_every_part_of_a_run_survives_being_written_down() -> None:
    plan = Plan(
        seed=4,
        stakes=(2, 1, 1),
        parameters=ConsensusParameters(gc_depth=9),
        delay=ZoneDelay(median_us={"eu>us": 7}),
        loss=Loss(reset=0.5),
        twins=(1,),
        hostile={2: (Script(behaviour="delay", rounds=3),)},
        faults=(
            Crash(at_us=1, seat=0, point=CrashPoint.AFTER_SEND, sends=2, own_block=True),
            Partition(at_us=2, groups=((0, 1), (2,))),
            Sight(at_us=3, blind=((0, 1),)),
            LossChange(at_us=4, loss=Loss(retransmit=0.25)),
            LinksChange(
                at_us=5,
                cut=((0, 1),),
                stalled=((1, 0),),
                flaws=(Flaw(source=0, target=2, quality=Quality(add_us=1, loss=0.5)),),
            ),
            DiskChange(at_us=6, seat=1, health=DiskHealth(lying=True)),
            ClockChange(at_us=7, seat=1, offset_ms=-3, drift_ppm=9),
            ScriptChange(at_us=8, seat=1, scripts=(Script(behaviour="censor", peers=(0,)),)),
        ),
        passing=Passing.ALWAYS,
        zones=("a", "b", "a"),
        scripted=(1,),
        load=Load(updates_per_second=9.5, until_us=7, conflict=Conflict.REPLAY),
    )
    moves = (Crash(at_us=9, seat=1, wipe=True, torn=False), Start(at_us=9, seat=1, copy_of=0))
    rerun = Rerun(plan=plan, moves=moves, until_us=10, finished=True)
    assert decode(encode(rerun)) == rerun


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"plan": {"seed": "x"}}', '{"plan": {"seed": 1, "delay": {}}}']
)
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a plan"):
        decode(text)
    with pytest.raises(SystemExit):
        main(["--plan", text])


@pytest.mark.parametrize(
    "adversary",
    [
        None,
        Aim(bound_us=3, until_us=4),
        ByRound(rounds=(((0, 1), (2, 3)), ((0,), (1, 2, 3))), until_us=9),
    ],
)
def test_an_adversary_survives_being_written_down(adversary: Aim | ByRound | None) -> None:
    rerun = Rerun(plan=Plan(seed=1, adversary=adversary))
    assert decode(encode(rerun)) == rerun


def drive(world: World) -> None:
    """Do something by hand."""
    world.advance(SECOND_US)
    world.crash(1, restart_after_us=None)
    world.apply(Partition(at_us=0, groups=((0,),)))
    world.advance(2 * SECOND_US)
    world.start(1)
    world.apply(Partition(at_us=0))
    world.advance(3 * SECOND_US)


class Strict(Checker):
    """Is never content with a run as a whole."""

    def on_end(self, world: World) -> None:
        """Find it broken."""
        raise world.violation("I0", "made up")


def test_a_run_that_was_judged_as_a_whole_is_judged_so_again() -> None:
    world = World(Plan(seed=5), honest_machinery("sync"), checkers=(Strict(),))
    world.advance(SECOND_US)
    with pytest.raises(InvariantError) as caught:
        world.finish()
    rerun = decode(arguments_of(caught.value.replay)[-1])
    assert (rerun.finished, rerun.until_us) == (True, SECOND_US)
    with pytest.raises(InvariantError):
        repeat(World(rerun.plan, honest_machinery("sync"), checkers=(Strict(),)), rerun)


def test_moves_by_hand_are_part_of_what_is_run_again() -> None:
    plan = Plan(seed=5, delay=FixedDelay())
    first = stage(plan, "sync")
    drive(first)
    error = first.violation("I0", "made up")
    again = stage(plan, "sync")
    rerun = decode(arguments_of(error.replay)[-1])
    repeat(again, rerun)
    assert [type(move).__name__ for move in rerun.moves] == [
        *("Crash", "Partition", "Start", "Partition")
    ]
    assert again.now_us == first.now_us == rerun.until_us
    assert again.outcome() == first.outcome()
    digests = [[c.digest for c in seat.ledger.commits] for seat in again.seats]
    assert digests == [[c.digest for c in seat.ledger.commits] for seat in first.seats]
