"""Every old rule of the fast path breaks an invariant on a stored run, and the protocol none."""

from itertools import islice

import pytest

from seawall.sim.fastpath.scenarios import SCENARIOS, draw_of, hunt
from seawall.sim.fastpath.script import Restart, Script, replay
from tests.model.stored import CASES, stored


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_old_rule_breaks_what_the_protocol_keeps(name: str) -> None:
    scenario, script = SCENARIOS[name], stored(name)
    violation = scenario.old(script)
    assert violation is not None
    assert violation.invariant == scenario.breaks
    assert scenario.new(script) is None


def test_every_stored_run_belongs_to_a_scenario() -> None:
    assert sorted(path.stem for path in CASES.glob("*.json")) == sorted(SCENARIOS)


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_action_of_a_stored_run_is_idle(name: str) -> None:
    scenario, script = SCENARIOS[name], stored(name)
    for place in range(len(script.actions)):
        fewer = script.actions[:place] + script.actions[place + 1 :]
        assert scenario.old(Script(script.scope, script.faulty, fewer)) is None


@pytest.mark.parametrize(
    "name", ["lock_lost_at_restart", "lock_dropped_at_reject", "locks_taken_after_the_checks"]
)
def test_broken_locks_are_seen_at_the_vote_already(name: str) -> None:
    violation = replay(stored(name), SCENARIOS[name].rules, ("LOCK",))
    assert violation is not None


def test_the_lost_lock_needs_its_restart() -> None:
    script = stored("lock_lost_at_restart")
    assert any(isinstance(action, Restart) for action in script.actions)


def test_random_runs_find_an_old_rule_again() -> None:
    found = hunt(SCENARIOS["burnt_at_the_deadline"], islice(iter(range(5, 40)), 35))
    assert found is not None
    assert SCENARIOS["burnt_at_the_deadline"].old(found[1]) is not None


def test_a_seed_draws_the_same_run_every_time() -> None:
    first, second = draw_of(11), draw_of(11)
    first.run()
    second.run()
    assert first.script() == second.script()
    assert replay(first.script(), first.rules) is None
