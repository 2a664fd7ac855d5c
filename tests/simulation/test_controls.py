from dataclasses import replace

import pytest

from seawall.sim import controls
from seawall.sim.controls import CONTROLS, main, twins_above_f
from seawall.sim.machinery import honest_machinery
from seawall.sim.network import SECOND_US
from seawall.sim.plan import Plan
from seawall.sim.round_robin import round_robin_machinery
from tests.scenario.staging import play, stage


@pytest.mark.parametrize("name", CONTROLS)
def test_every_control_shows_what_it_must(name: str) -> None:
    found = CONTROLS[name]()
    assert found.passed, found.detail


@pytest.mark.parametrize("seed", [2, 3])
def test_leaders_by_turns_starve_whatever_the_seed(seed: int) -> None:
    found = controls.round_robin_starves(seed)
    assert found.passed, found.detail


@pytest.mark.parametrize("wave_length", [4, 5])
@pytest.mark.parametrize("seed", [2, 3])
def test_the_coin_commits_whatever_the_seed(seed: int, wave_length: int) -> None:
    found = controls.coin_commits(wave_length, seed)
    assert found.passed, found.detail


def test_leaders_by_turns_commit_without_the_adversary() -> None:
    plan = controls.aimed(1)
    plan = Plan(seed=1, parameters=plan.parameters.asynchronous(4), delay=plan.delay, commits=100)
    world = play(plan, "sync", round_robin_machinery())
    assert world.now_us < 10 * SECOND_US


def test_as_many_twins_as_f_do_not_fork() -> None:
    plan = twins_above_f(7)
    within = replace(plan, twins=(0, 1), heal_us=60 * SECOND_US)
    stage(within, "sync").advance(20 * SECOND_US)
    assert not controls.fork_is_reported(
        Plan(seed=1, twins=(0,), delay=plan.delay, commits=30)
    ).passed


def test_a_control_that_fails_makes_the_command_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calm = Plan(seed=1, commits=5)
    monkeypatch.setattr(controls, "CONTROLS", {"calm": lambda: controls.fork_is_reported(calm)})
    assert main([]) == 1
    assert "FAIL  no fork was reported" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["unheard_of"])


def test_the_machinery_of_turns_differs_in_the_leaders_only() -> None:
    turns, honest = round_robin_machinery(), honest_machinery("sync")
    assert turns.verify is honest.verify
    assert turns.engine is not honest.engine
