import pytest

from seawall.chaos.runner.injection import Confirmation
from seawall.cli.console import Exit
from seawall.errors import LocalError
from seawall.testbed.experiment.figures import Figures, area_us, quantiles
from seawall.testbed.experiment.happened import Happened
from seawall.testbed.experiment.runner import run_simulated
from seawall.testbed.experiment.translation import plan_of
from seawall.testbed.experiment.verdict import (
    PRECEDENCE,
    Finding,
    Verdict,
    cut_short,
    judge,
    rolled_back,
    worst,
)
from tests.unit.testbed.experiment.small import TEXT, small


def finding(verdict: Verdict) -> Finding:
    return Finding(subject="s", expected="e", observed="o", verdict=verdict)


def test_safety_goes_before_sense_and_sense_before_service() -> None:
    order = list(PRECEDENCE)
    assert order[:2] == [Verdict.ROLLBACK_FAILED, Verdict.UNSAFE]
    for place in range(len(order)):
        assert worst([finding(verdict) for verdict in reversed(order[place:])]) is order[place]
    assert worst([]) is Verdict.PASS


def test_the_exit_codes_are_those_of_every_backend() -> None:
    codes = {verdict.name: int(verdict) for verdict in Verdict}
    assert codes == {"PASS": 0, "DEGRADED": 1, "UNSAFE": 3, "INCONCLUSIVE": 4, "ROLLBACK_FAILED": 5}
    assert Exit.USAGE not in codes.values()


def test_what_never_arrives_is_longer_than_any_latency() -> None:
    found = quantiles([1_000, None, 3_000, 2_000])
    assert (found.count, found.missing) == (4, 1)
    assert (found.p50, found.p95) == (3.0, None)
    assert quantiles([]).p50 is None


def test_the_area_between_two_distributions_is_how_far_they_are_apart() -> None:
    assert area_us([100, 200, 300], [100, 200, 300]) == 0
    assert area_us([100, 200], [600, 700]) == 500
    assert area_us([0, 0, 0, 100], [0]) == 25


QUIET = run_simulated(small())


def test_a_run_without_faults_passes_and_every_update_is_final_then_committed() -> None:
    assert QUIET.verdict is Verdict.PASS
    assert QUIET.figures.updates == QUIET.figures.committed > 100
    for update in QUIET.samples.updates:
        if update.committed_us is not None:
            assert update.final_us is not None
            assert update.submitted_us < update.final_us <= update.committed_us


def judged(faults: str = "", extra: str = "", **changes: object) -> dict[str, Verdict]:
    """Return the findings about the quiet run's figures, changed, under other expectations."""
    experiment = small(faults, extra).experiment
    values = {name: getattr(QUIET.figures, name) for name in Figures.__slots__}
    figures = Figures(**{**values, **changes})
    found = judge(experiment, figures, (), ())
    return {one.subject: one.verdict for one in found if not one.holds}


def test_a_violation_is_unsafe_whatever_else_is_well() -> None:
    found = judge(QUIET.experiment, QUIET.figures, (), ["I7 at 5 s: a fork"])
    assert [(one.subject, one.verdict) for one in found] == [("safety", Verdict.UNSAFE)]
    assert "I7" in found[0].observed


def test_what_is_not_taken_back_is_worse_than_all_else() -> None:
    assert rolled_back(()).holds
    found = [rolled_back(["run/0/1"]), *judge(QUIET.experiment, QUIET.figures, (), ["a fork"])]
    assert worst(found) is Verdict.ROLLBACK_FAILED
    assert "run/0/1" in found[0].observed


def test_a_run_that_is_cut_short_says_nothing() -> None:
    found = [cut_short("a signal"), *judge(QUIET.experiment, QUIET.figures, (), ())]
    assert worst(found) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("seen", [None, Confirmation(is_seen=False, evidence="nothing")])
def test_a_fault_that_nobody_saw_says_nothing(seen: Confirmation | None) -> None:
    fault = Happened(number=0, kind="crash", begin_us=0, end_us=1, confirmation=seen)
    found = judge(QUIET.experiment, QUIET.figures, (fault,), ())
    assert worst(found) is Verdict.INCONCLUSIVE


def test_a_control_that_shows_nothing_says_nothing() -> None:
    assert judged(extra="  positive_control: true\n") == {"positive control": Verdict.INCONCLUSIVE}


def test_a_run_without_a_baseline_says_nothing() -> None:
    lines = TEXT.replace("rate: 40/s", "rate: 4/s")
    assert run_simulated(small(text=lines)).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("expect", "subject"),
    [
        ("{liveness: {hold: halt}}", "liveness under the faults"),
        ("{slo: {final_p95: 1ms}}", "final, p95"),
        ("{slo: {committed_p95: 1ms}}", "committed, p95"),
        ("{liveness: {resumes_within: 1us}}", "recovery"),
    ],
)
def test_a_service_level_that_is_missed_degrades(expect: str, subject: str) -> None:
    assert judged(extra=f"  expect: {expect}\n") == {subject: Verdict.DEGRADED}


def test_less_throughput_than_expected_degrades() -> None:
    extra = "  expect: {slo: {throughput_retained: 0.5}}\n"
    assert judged(extra=extra, throughput_retained=0.51) == {}
    assert judged(extra=extra, throughput_retained=0.49) == {
        "throughput retained": Verdict.DEGRADED
    }
    assert judged(extra=extra, throughput_retained=None) != {}


def test_a_site_that_does_not_resume_degrades() -> None:
    extra = "  expect: {liveness: {resumes_within: 1s}}\n"
    assert judged(extra=extra, recovery_seconds=None) == {"recovery": Verdict.DEGRADED}


def test_a_site_that_stays_down_leaves_the_recovery_of_the_others() -> None:
    result = run_simulated(small("{crash: {targets: [1], restart: false}}"))
    assert result.commits[1] < min(result.commits[0], *result.commits[2:])
    assert result.figures.recovery_seconds is not None
    assert result.figures.committed > 100


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("  workload: {", "  engine: {name: raft}\n  workload: {", "spec.engine.name"),
        ("8, ", "8, byzantine: {share: 0.5, attack: signflip}, ", "spec.workload.byzantine.attack"),
    ],
)
def test_what_the_simulator_cannot_run_is_refused(old: str, new: str, field: str) -> None:
    with pytest.raises(LocalError) as caught:
        plan_of(small(text=TEXT.replace(old, new)).experiment)
    assert (caught.value.code, caught.value.field) == ("EXPERIMENT_UNSUPPORTED", field)


def test_cheating_contributors_get_at_most_one_of_two_updates_accepted() -> None:
    cheats = "8, byzantine: {share: 0.5, attack: equivocate}, "
    result = run_simulated(small(text=TEXT.replace("8, ", cheats)))
    assert result.verdict is not Verdict.UNSAFE
    lying = [update for update in result.samples.updates if not update.is_honest]
    assert len(lying) > 50
    assert sum(update.committed_us is not None for update in lying) <= len(lying) / 2
