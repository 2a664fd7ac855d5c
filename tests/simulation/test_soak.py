from dataclasses import replace

import pytest

from seawall.sim.mutants import MUTANTS
from seawall.sim.soak import (
    COMMITS,
    SCHEDULES,
    SHORT_MUTANTS,
    Extent,
    extent_of,
    jobs_by_mode,
    show_smallest,
    soak,
    soak_schedules,
)
from seawall.sim.sweep import run_job

SMALL = Extent(
    schedules=4,
    commits=5,
    first_seed=8_000_000,
    processes=1,
    minutes=None,
    twins_every=5000,
    mutants=("delivered_again",),
)


def test_a_small_soak_does_everything_and_finds_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert soak(SMALL)
    shown = capsys.readouterr().out
    assert shown.count("mode ") == 3
    assert "round_robin_starves          pass" in shown
    assert "delivered_again" in shown
    assert "sync w = 3, 3 rounds" in shown
    assert "6/6 schedules, 0 violations" in shown


def test_the_whole_of_it_is_what_the_pages_promise() -> None:
    extent = extent_of([])
    assert extent.schedules == SCHEDULES >= 20_000
    assert extent.commits == COMMITS >= 50
    assert extent.twins_every == 1
    assert set(extent.mutants) == set(MUTANTS)
    assert extent.minutes is None


def test_the_short_form_leaves_no_mode_out() -> None:
    extent = extent_of(["--short", "--processes", "1"])
    assert extent.schedules < 1000
    assert set(SHORT_MUTANTS) == set(extent.mutants) <= set(MUTANTS)
    jobs = jobs_by_mode(extent)
    modes = [job.mode for job in jobs]
    assert modes[:3] == ["sync", "async 4", "async 5"]
    assert len({(job.mode, job.seed) for job in jobs}) == len(jobs) >= extent.schedules


def test_schedules_end_when_the_time_is_up(capsys: pytest.CaptureFixture[str]) -> None:
    extent = extent_of(["--minutes", "0", "--commits", "3", "--processes", "1"])
    assert len(soak_schedules(replace(extent, schedules=30))) == 1
    assert "the time is up after 1 of 30 schedules" in capsys.readouterr().out


def test_the_first_violation_of_each_invariant_is_shrunk(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = run_job(next(job for job in jobs_by_mode(SMALL) if job.engine == "async"))
    bad = replace(report, invariant="I6", violation="I6: made up")
    show_smallest([report, bad, bad])
    shown = capsys.readouterr().out
    assert shown.count("smallest for I6") == 1
    assert "replay: python -m seawall.sim.replay --engine async" in shown


def test_a_missed_mutant_fails_a_soak(monkeypatch: pytest.MonkeyPatch) -> None:
    harmless = replace(MUTANTS["delivered_again"], replacements=(), seeds_max=1)
    monkeypatch.setitem(MUTANTS, "delivered_again", harmless)
    assert not soak(replace(SMALL, schedules=0, twins_every=20_000))
