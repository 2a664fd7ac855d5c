"""The searches in the form for continuous integration: they find nothing, and could."""

import pytest

from seawall.sim.fastpath import search
from seawall.sim.fastpath.collection import family
from seawall.sim.fastpath.drawing import SHAPES
from seawall.sim.fastpath.exhaustive import SHORT, Enumeration
from seawall.sim.fastpath.rules import Rules
from seawall.sim.fastpath.scenarios import SCENARIOS, Scenario
from seawall.sim.fastpath.script import replay
from seawall.sim.fastpath.search import Tally, catch
from tests.model.stored import stored

NAME = "collected_predecessor"
RANDOM_RUNS = 400


@pytest.mark.parametrize("name", SHORT)
def test_no_small_dag_breaks_the_protocol(name: str) -> None:
    outcome = Enumeration(SHORT[name], Rules()).run()
    assert outcome.complete
    assert outcome.violation is None
    assert (outcome.states, outcome.blocks, outcome.final) == STATES[name]


STATES = {
    "x by a site, y by the Byzantine author": (17032, 74990, 9856),
    "x and y in Byzantine twins": (3287, 11309, 1732),
}


@pytest.mark.parametrize(
    "rules",
    [Rules(burn_rivals=True), Rules(closing_wins=True), Rules(lock_late=True)],
    ids=["burn_rivals", "closing_wins", "lock_late"],
)
def test_small_dags_show_old_rules(rules: Rules) -> None:
    outcome = Enumeration(SHORT["x and y in Byzantine twins"], rules).run()
    assert outcome.violation is not None
    assert outcome.found is not None


def test_no_run_with_garbage_collection_breaks_the_protocol() -> None:
    members = list(family(whole=False))
    assert len(members) == 768
    broken = [member for member in members if replay(member.script(), Rules()) is not None]
    assert broken == []


@pytest.mark.parametrize("name", [name for name, one in SCENARIOS.items() if one.runs is not None])
def test_runs_made_for_a_rule_catch_its_old_form(name: str) -> None:
    line, caught = catch(name, SCENARIOS[name])
    assert caught, line


def test_a_rule_in_force_is_not_caught() -> None:
    harmless = Scenario(summary="the protocol", breaks="I8", runs=lambda: iter((stored(NAME),)))
    assert catch(NAME, harmless) == (f"{NAME:<30} MISSED", False)


def test_random_runs_break_nothing() -> None:
    tally = Tally()
    for seed in range(RANDOM_RUNS):
        tally.add(seed)
    assert tally.violations == []
    assert tally.runs == RANDOM_RUNS
    # The runs say something: updates become FINAL, and every rule of the finaliser speaks.
    assert tally.final > 5 * RANDOM_RUNS / len(SHAPES)
    assert sorted(tally.verdicts) == [
        ("ACCEPT", 1),
        ("DUPLICATE", 1),
        ("REJECT", 2),
        ("REJECT", 3),
        ("REJECT", 4),
    ]


def test_the_command_searches_and_reports(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {name: SCENARIOS[name] for name in ("burnt_at_the_deadline", "local_finaliser")}
    monkeypatch.setattr(search, "SCENARIOS", few)
    assert search.main(["--minutes", "0.02"]) == 0
    told = capsys.readouterr().out
    assert "cut short, none broken" in told
    assert "(5, 3, 5)" in told
    assert "burnt_at_the_deadline          I9 by seed 10" in told
