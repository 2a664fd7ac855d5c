import pytest

from seawall.sim.machinery import FACTORIES
from seawall.sim.profiles import PROFILES
from seawall.sim.sweep import Job, jobs_of, run_all, run_job, table


@pytest.mark.parametrize("engine", FACTORIES)
def test_a_short_sweep_over_all_profiles_finds_nothing(engine: str) -> None:
    jobs = jobs_of(engine, 40, 30, 500_000)
    assert {job.profile for job in jobs} == set(PROFILES)
    reports = list(run_all(jobs, 1))
    bad = [(report.job.replay, report.violation) for report in reports if report.violation]
    assert bad == []
    assert all(report.leaders >= 30 for report in reports)
    assert "violations" in table(reports)[0]


def test_processes_change_nothing() -> None:
    jobs = jobs_of("sync", 6, 10, 1)
    spread = {report.job: report.steps for report in run_all(jobs, 2)}
    assert spread == {job: run_job(job).steps for job in jobs}


def test_a_report_names_the_command_that_replays_it() -> None:
    job = Job(engine="sync", profile="mix", seed=7, commits=30)
    assert job.replay == (
        "python -m seawall.sim.replay --engine sync --profile mix --seed 7 --commits 30"
    )
