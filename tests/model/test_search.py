"""The searches in the form for continuous integration: they find nothing, and could."""

import subprocess
import sys

import pytest

from seawall.sim.fastpath.collection import family
from seawall.sim.fastpath.drawing import SHAPES
from seawall.sim.fastpath.exhaustive import SHORT, Enumeration
from seawall.sim.fastpath.rules import Rules
from seawall.sim.fastpath.script import replay
from seawall.sim.fastpath.search import Tally

RANDOM_RUNS = 600


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


def test_some_run_with_garbage_collection_lets_both_digests_pass_under_the_old_rule() -> None:
    members = [member for member in family(whole=False) if member.doubting == (1, 2)][:60]
    old = Rules(count_collected=True)
    assert any(replay(member.script(), old, ("I8",)) is not None for member in members)


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


def test_the_command_reports_and_says_where_time_ended() -> None:
    command = [sys.executable, "-m", "seawall.sim.fastpath.search", "--help"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "--minutes" in told
