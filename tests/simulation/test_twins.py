from itertools import islice

import pytest

from seawall.sim.machinery import honest_machinery
from seawall.sim.mutants import MUTANTS
from seawall.sim.replay import main
from seawall.sim.shrink import replay_of
from seawall.sim.twins import (
    SCOPES,
    SITES,
    Scope,
    live_cuts,
    mirrored,
    partitions,
    plan_for,
    schedules,
    try_schedule,
)
from tests.simulation.test_replay import arguments_of

SLICE = {3: 400, 2: 40}
"""By cut rounds: one of so many schedules runs here, all of them in `make soak`."""


def test_all_cuts_of_five_seats_are_counted() -> None:
    assert len(set(partitions(range(5)))) == 52
    for twin in range(SITES):
        cuts = live_cuts(twin)
        assert len(set(cuts)) == 20
        assert sorted(mirrored(groups, twin) for groups in cuts) == sorted(cuts)
        assert ((0, 1, 2, 3, 4),) in cuts


@pytest.mark.parametrize(("rounds", "count"), [(1, 52), (2, 872), (3, 16_432)])
def test_of_each_mirrored_pair_of_schedules_one_is_left(rounds: int, count: int) -> None:
    # 6 of the 20 cuts are their own mirror image: 4 (20^r + 6^r) / 2 schedules.
    found = list(schedules(rounds))
    assert len(found) == count == 2 * (20**rounds + 6**rounds)
    kept = set(found)
    for twin, cuts in islice(found, 0, None, 97):
        mirror = (twin, tuple(mirrored(groups, twin) for groups in cuts))
        assert mirror == (twin, cuts) or mirror not in kept


@pytest.mark.parametrize("scope", SCOPES, ids=lambda scope: scope.name)
def test_a_slice_of_each_scope_shows_no_violation(scope: Scope) -> None:
    found = [
        try_schedule(scope, twin, cuts)
        for twin, cuts in islice(schedules(scope.rounds), 0, None, SLICE[scope.rounds])
    ]
    assert len(found) > 20
    assert [one for one in found if one.violation is not None] == []
    assert len({one.steps for one in found}) > 5, "the cuts must make a difference"


def test_a_quorum_off_by_one_forks_within_the_scope() -> None:
    scope = SCOPES[0]
    _, parts = MUTANTS["quorum_off_by_one"].change(
        plan_for(scope, 0, ()), honest_machinery(scope.engine)
    )
    found = [
        try_schedule(scope, twin, cuts, parts).violation
        for twin, cuts in islice(schedules(scope.rounds), 0, None, 500)
    ]
    assert any(violation is not None for violation in found)


def test_one_command_runs_a_schedule_again(capsys: pytest.CaptureFixture[str]) -> None:
    scope = SCOPES[1]
    twin, cuts = next(islice(schedules(scope.rounds), 300, None))
    plan = plan_for(scope, twin, cuts)
    assert main(arguments_of(replay_of(plan, scope.engine))) == 0
    assert f"{try_schedule(scope, twin, cuts).steps} events" in capsys.readouterr().out
