"""Judges a run: safety first, then whether it says anything, then service levels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from seawall.chaos.experiment.schema import Experiment
from seawall.testbed.experiment.figures import Figures, Latency
from seawall.testbed.experiment.happened import Happened

SAMPLES_MIN: Final = 20
"""Fewer updates committed before the faults are no baseline."""

BREACHES_SHOWN_MAX: Final = 5


class Verdict(IntEnum):
    """How a run came out; the value is the exit code. A higher place in `PRECEDENCE` wins."""

    PASS = 0
    DEGRADED = 1
    UNSAFE = 3
    INCONCLUSIVE = 4
    ROLLBACK_FAILED = 5


PRECEDENCE: Final = (
    Verdict.ROLLBACK_FAILED,
    Verdict.UNSAFE,
    Verdict.INCONCLUSIVE,
    Verdict.DEGRADED,
    Verdict.PASS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at; `verdict` is what the run is at best because of it."""

    subject: str
    expected: str
    observed: str
    verdict: Verdict

    @property
    def holds(self) -> bool:
        """Return whether it came out as expected."""
        return self.verdict is Verdict.PASS


def worst(findings: Sequence[Finding]) -> Verdict:
    """Return the verdict over all findings."""
    found = [finding.verdict for finding in findings]
    return next(verdict for verdict in PRECEDENCE if verdict in found or verdict is Verdict.PASS)


def judge(
    experiment: Experiment,
    figures: Figures,
    injected: Sequence[Happened],
    breaches: Sequence[str],
) -> tuple[Finding, ...]:
    """Return all findings, in the order of precedence; `breaches` say what broke an invariant."""
    found = [_safety(breaches)]
    if breaches:
        return tuple(found)
    found += [*_conclusive(experiment, figures, injected), *_service(experiment, figures)]
    return tuple(found)


def rolled_back(stuck: Sequence[str]) -> Finding:
    """Return whether every fault was taken back; `stuck` are the ids of those that were not."""
    observed = f"not so: {', '.join(stuck)}" if stuck else "it was"
    expected = "every fault is taken back"
    return _finding("rollback", expected, observed, Verdict.ROLLBACK_FAILED, ok=not stuck)


def cut_short(why: str) -> Finding:
    """Return that a run says nothing because it did not go to its end."""
    return _finding("the run", "it goes to its end", why, Verdict.INCONCLUSIVE, ok=False)


def _finding(subject: str, expected: str, observed: str, fails: Verdict, *, ok: bool) -> Finding:
    verdict = Verdict.PASS if ok else fails
    return Finding(subject=subject, expected=expected, observed=observed, verdict=verdict)


def _safety(breaches: Sequence[str]) -> Finding:
    observed = "; ".join(breaches[:BREACHES_SHOWN_MAX]) or "no violation"
    if len(breaches) > BREACHES_SHOWN_MAX:
        observed += f"; and {len(breaches) - BREACHES_SHOWN_MAX} more"
    return _finding("safety", "every invariant", observed, Verdict.UNSAFE, ok=not breaches)


def _conclusive(
    experiment: Experiment, figures: Figures, injected: Sequence[Happened]
) -> Iterator[Finding]:
    before = figures.phases[0].committed_latency
    samples = before.count - before.missing
    yield _finding(
        "baseline",
        f"{SAMPLES_MIN} or more updates committed",
        f"{samples} of {before.count}",
        Verdict.INCONCLUSIVE,
        ok=samples >= SAMPLES_MIN,
    )
    for fault in injected:
        seen = fault.confirmation
        yield _finding(
            f"fault {fault.number}: {fault.kind}",
            "seen by a probe",
            "the run ended before" if seen is None else seen.evidence,
            Verdict.INCONCLUSIVE,
            ok=seen is not None and seen.is_seen,
        )
    if experiment.spec.positive_control and figures.progressed:
        yield _finding(
            "positive control",
            "a violation that is caught, or a halt",
            f"{figures.progressed} updates committed under the faults, and nothing caught",
            Verdict.INCONCLUSIVE,
            ok=False,
        )


def _service(experiment: Experiment, figures: Figures) -> Iterator[Finding]:
    expect = experiment.spec.expect
    halts = expect.liveness.hold == "halt"
    yield _finding(
        "liveness under the faults",
        "nothing that comes is committed" if halts else "some of what comes is committed",
        f"{figures.progressed} updates",
        Verdict.DEGRADED,
        ok=halts == (figures.progressed == 0),
    )
    if expect.liveness.resumes_within is not None:
        bound = expect.liveness.resumes_within / 1_000_000
        seconds = figures.recovery_seconds
        yield _finding(
            "recovery",
            f"every site orders anew within {bound:g} s",
            "not before the end" if seconds is None else f"{seconds:.2f} s",
            Verdict.DEGRADED,
            ok=seconds is not None and seconds <= bound,
        )
    yield from _slo("final, p95", expect.slo.final_p95, figures.spared_final)
    yield from _slo("committed, p95", expect.slo.committed_p95, figures.spared_committed)
    if expect.slo.throughput_retained is not None:
        share, retained = expect.slo.throughput_retained, figures.throughput_retained or 0.0
        yield _finding(
            "throughput retained",
            f"at least {share:.0%}",
            f"{retained:.0%}",
            Verdict.DEGRADED,
            ok=retained >= share,
        )


def _slo(subject: str, bound_us: int | None, latency: Latency) -> Iterator[Finding]:
    if bound_us is None:
        return
    if latency.count < SAMPLES_MIN:
        observed = f"{latency.count} updates at sites that no fault hits"
        expected = f"{SAMPLES_MIN} or more"
        yield _finding(subject, expected, observed, Verdict.INCONCLUSIVE, ok=False)
        return
    p95 = latency.p95
    yield _finding(
        subject,
        f"at most {bound_us / 1000:g} ms at sites that no fault hits",
        "never, for more than 5 %" if p95 is None else f"{p95:.0f} ms",
        Verdict.DEGRADED,
        ok=p95 is not None and p95 * 1000 <= bound_us,
    )
