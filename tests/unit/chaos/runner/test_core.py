"""The core of a run: every path takes back what it has done, whatever fails or crashes."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from seawall.chaos.runner.core import LAST_LOOK_US, REVERT_TRIES_MAX, Core
from seawall.chaos.runner.course import Stage
from seawall.chaos.runner.records import (
    Breached,
    Confirmed,
    Intended,
    Record,
    decode,
    encode,
    outstanding,
)
from seawall.chaos.runner.steps import (
    Apply,
    Cause,
    Check,
    Enter,
    Event,
    Note,
    Phase,
    Renew,
    Revert,
    Started,
    Tick,
)
from tests.unit.chaos.runner.sites import BROKE, SECOND, STOP, Sites, injection, run, schedule

ORDER = [
    Phase.BASELINE,
    Phase.HOLD,
    Phase.HEAL,
    Phase.RECOVER,
    Phase.CHECK,
    Phase.RESTORE,
    Phase.DONE,
]


def sites_of(
    *planned: tuple[tuple[int, int, int], ...],
    seed: int = 1,
    trouble: float = 0.0,
    revert_trouble: float = 0.0,
) -> Sites:
    """Return sites and, for each fault, its injections: (site, begin, end)."""
    found = tuple(
        tuple(injection(number, *one) for one in fault) for number, fault in enumerate(planned)
    )
    return Sites(found, random.Random(seed), trouble, revert_trouble)


def test_a_run_goes_through_its_phases_in_order() -> None:
    core, sites = Core(schedule((0, 10))), sites_of(((1, 0, 10), (2, 0, 10)))
    assert run(core, sites)
    assert list(core.marks_us) == ORDER
    assert core.cause is Cause.FINISHED
    assert core.marks_us[Phase.HOLD] == 2 * SECOND
    assert core.marks_us[Phase.HEAL] - core.marks_us[Phase.HOLD] == 10 * SECOND
    assert core.marks_us[Phase.CHECK] - core.marks_us[Phase.RECOVER] == 3 * SECOND
    assert core.faults[0].confirmation.is_seen
    assert [one.stage for one in core.faults[0].injections] == [Stage.REVERTED, Stage.REVERTED]
    assert not sites.in_force
    assert not outstanding(sites.journal)


def test_leases_are_renewed_while_a_fault_is_in_force() -> None:
    core, sites = Core(schedule((0, 10))), sites_of(((1, 0, 10),))
    assert run(core, sites)
    renewals = [one for one in sites.commands if isinstance(one, Renew)]
    assert len(renewals) >= 5, "every second of a lease of three, once it is in force"


def test_what_a_restarted_site_forgot_is_put_in_force_again() -> None:
    core, sites = Core(schedule((0, 10))), sites_of(((1, 0, 10),))
    sites.forgotten = 1
    assert run(core, sites)
    assert sum(isinstance(one, Apply) for one in sites.commands) == 2
    assert not sites.in_force


def test_a_rolling_fault_does_one_site_after_the_other() -> None:
    core, sites = Core(schedule((1, 10))), sites_of(((0, 1, 4), (1, 4, 7), (2, 7, 10)))
    assert run(core, sites)
    steps = [
        (type(one).__name__, one.injection.site)
        for one in sites.commands
        if isinstance(one, Apply | Revert)
    ]
    assert sorted(steps) == sorted(
        (step, site) for site in range(3) for step in ("Apply", "Revert")
    )
    assert [site for step, site in steps if step == "Apply"] == [0, 1, 2]


def test_a_site_that_is_lost_for_good_comes_back_after_the_ledgers_were_read() -> None:
    core, sites = Core(schedule((0, 10))), sites_of(((1, 0, 10),))
    sites.planned = ((structs.replace(injection(0, 1), stays=True),),)
    assert run(core, sites)
    assert [type(one) for one in sites.commands if isinstance(one, Check | Revert)] == [
        Check,
        Revert,
    ]
    assert not sites.in_force
    recovering = sites.commands.index(Enter(Phase.RECOVER))
    assert any(isinstance(one, Renew) for one in sites.commands[recovering:])


@pytest.mark.parametrize(("event", "cause"), [(STOP, Cause.STOPPED), (BROKE, Cause.BREACH)])
@pytest.mark.parametrize("at", [0, 1, 3, 8, 11, 14])
def test_a_run_that_is_cut_short_rolls_back_and_still_checks(
    event: Event, cause: Cause, at: int
) -> None:
    core, sites = Core(schedule((0, 5), (4, 10))), sites_of(((1, 0, 5),), ((2, 4, 10),))
    assert run(core, sites, (at * SECOND, event))
    assert core.cause is cause
    assert not sites.in_force
    assert not outstanding(sites.journal)
    assert any(isinstance(one, Check) for one in sites.commands)
    assert bool(core.breaches) == (cause is Cause.BREACH)
    assert any(isinstance(one, Breached) for one in sites.journal) == (cause is Cause.BREACH)


def test_an_injection_that_fails_ends_the_run_and_is_reverted_all_the_same() -> None:
    core, sites = Core(schedule((0, 10))), sites_of(((1, 0, 10),), trouble=1.0)
    sites.planned = ((injection(0, 1),),)
    sites.trouble = 0.0
    sites.answers.append((0, Started()))
    # Resolve and watch go well, the application itself does not.
    for command in core.step(Started(), 0):
        sites.carry_out(command)
    sites.answers.clear()
    sites.trouble = 1.0
    sites.random = random.Random(3)
    assert run(core, sites)
    assert core.cause is Cause.INJECTION
    assert core.failure.startswith("SITE_DOWN")
    assert not sites.in_force


def test_a_fault_that_cannot_be_reverted_is_said_to_be_stuck() -> None:
    core, sites = Core(schedule((0, 3))), sites_of(((1, 0, 3),), revert_trouble=1.0)
    assert run(core, sites)
    assert [one.injection.id for one in core.stuck] == ["run/0/1"]
    assert sum(isinstance(one, Revert) for one in sites.commands) == REVERT_TRIES_MAX
    assert [one.id for one in outstanding(sites.journal)] == ["run/0/1"]


def test_a_fault_that_no_probe_sees_is_noted_as_unseen() -> None:
    core, sites = Core(schedule((0, 10))), sites_of(((1, 0, 10),))
    sites.blind = True
    assert run(core, sites)
    noted = [one for one in sites.journal if isinstance(one, Confirmed)]
    assert [one.confirmation.is_seen for one in noted] == [False]


@pytest.mark.parametrize(("late", "is_seen"), [(9, True), (16, False)])
def test_the_end_of_hold_waits_for_a_probe_that_looks_but_not_for_ever(
    late: int,
    is_seen: bool,  # noqa: FBT001 - drawn by name
) -> None:
    core, sites = Core(schedule((0, 10))), sites_of(((1, 0, 10),))
    sites.look_us = late * SECOND
    assert run(core, sites)
    assert core.faults[0].confirmation.is_seen == is_seen
    waited_us = core.marks_us[Phase.RECOVER] - core.marks_us[Phase.HEAL]
    assert waited_us < LAST_LOOK_US + 3 * SECOND
    assert not sites.in_force


def test_a_step_after_the_end_does_nothing() -> None:
    core, sites = Core(schedule()), Sites((), random.Random(1))
    assert run(core, sites)
    assert core.step(Tick(), 10**9) == ()
    assert core.wake_us is None


MEMBERS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 6)), max_size=3, unique_by=lambda pair: pair[0]
)
"""Sites that a fault hits, and for how many seconds each."""


@settings(max_examples=200, deadline=None)
@given(
    faults=st.lists(st.tuples(st.integers(0, 8), MEMBERS), max_size=4),
    stays=st.booleans(),
    seed=st.integers(0, 10**6),
    trouble=st.sampled_from([0.0, 0.1, 0.5]),
    revert_trouble=st.sampled_from([0.0, 0.3, 1.0]),
    extra=st.lists(
        st.tuples(st.integers(0, 20), st.sampled_from([STOP, BROKE])),
        max_size=2,
    ),
    crash_after=st.integers(0, 120),
)
def test_every_path_takes_back_what_it_did_whatever_crashes(
    faults: list[tuple[int, list[tuple[int, int]]]],
    stays: bool,  # noqa: FBT001 - drawn by name
    seed: int,
    trouble: float,
    revert_trouble: float,
    extra: list[tuple[int, Event]],
    crash_after: int,
) -> None:
    planned = tuple(
        tuple((site, at, min(10, at + lasts)) for site, lasts in members) for at, members in faults
    )
    core = Core(schedule(*[(at, 10) for at, _ in faults]))
    sites = sites_of(*planned, seed=seed, trouble=trouble, revert_trouble=revert_trouble)
    if stays and sites.planned:
        first = tuple([structs.replace(one, stays=True) for one in sites.planned[0]])
        sites.planned = (first, *sites.planned[1:])
    run(core, sites, *[(at * SECOND, event) for at, event in extra], steps_max=crash_after)
    # The runner is killed here: whoever reads its journal knows all that may be in force.
    kept = reread(sites.journal)
    known = [one.id for one in outstanding(kept)]
    assert [name for name in sites.in_force if name not in known] == []
    # And one that goes on ends with nothing in force, but for what it says is stuck.
    assert core.phase is Phase.DONE or run_on(core, sites)
    stuck = [one.injection.id for one in core.stuck]
    assert [name for name in sites.in_force if name not in stuck] == []
    assert sorted(one.id for one in outstanding(reread(sites.journal))) == sorted(stuck)
    if not revert_trouble:
        assert not stuck
    intended = [one.injection.id for one in sites.journal if isinstance(one, Intended)]
    assert len(dict.fromkeys(intended)) == len(intended)
    assert core.phase is Phase.DONE


def run_on(core: Core, sites: Sites) -> bool:
    if not core.marks_us and not any(isinstance(one, Started) for _, one in sites.answers):
        sites.answers.append((sites.now_us, Started()))
    return run(core, sites)


def reread(journal: list[Record]) -> tuple[Record, ...]:
    """Return what a journal says after a restart, with a last line that was cut off."""
    lines = b"".join(encode(one) + b"\n" for one in journal)
    return decode(lines + b'{"record":"inte')


def test_nothing_is_applied_before_its_intention_is_noted() -> None:
    core, sites = Core(schedule((0, 10))), sites_of(((1, 0, 10), (2, 3, 6)))
    assert run(core, sites)
    noted: list[str] = []
    for command in sites.commands:
        if isinstance(command, Note) and isinstance(command.record, Intended):
            noted.append(command.record.injection.id)
        if isinstance(command, Apply):
            assert command.injection.id in noted
