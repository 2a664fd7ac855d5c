"""Runs an experiment in virtual time, under all checkers, and judges it."""

from dataclasses import asdict, dataclass
from typing import Any

from seawall.chaos.experiment.reading import Loaded
from seawall.chaos.experiment.schema import Experiment
from seawall.sim.checking import InvariantError
from seawall.sim.invariants import all_checkers
from seawall.sim.machinery import honest_machinery
from seawall.sim.trace import TraceRecorder
from seawall.sim.world import World
from seawall.testbed.experiment.figures import Figures, figures_of
from seawall.testbed.experiment.injected import Injected
from seawall.testbed.experiment.injector import Injector
from seawall.testbed.experiment.meter import Meter
from seawall.testbed.experiment.translation import DRAIN_US, phase_ends_us, plan_of
from seawall.testbed.experiment.verdict import Finding, Verdict, judge, worst


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a run went. `meter` has every update, `replay` the command that shows a violation."""

    experiment: Experiment
    source: dict[str, Any]
    figures: Figures
    injected: tuple[Injected, ...]
    findings: tuple[Finding, ...]
    verdict: Verdict
    replay: str
    elapsed_us: int
    steps: int
    commits: tuple[int, ...]
    meter: Meter
    trace: bytes | None = None


def run_simulated(loaded: Loaded, *, trace_site: int | None = None) -> Result:
    """Run an experiment in the simulator.

    Raises:
        LocalError: EXPERIMENT_UNSUPPORTED.

    """
    experiment = loaded.experiment
    plan = plan_of(experiment)
    ends_us = phase_ends_us(experiment)
    meter = Meter(cheats=plan.load.cheats if plan.load else 0, heal_us=ends_us[1])
    recorder = None if trace_site is None else TraceRecorder(trace_site)
    checkers = (*all_checkers(), meter, *([] if recorder is None else [recorder]))
    world = World(plan, honest_machinery(experiment.spec.engine.mode), checkers=checkers)
    injector = Injector(experiment, world, meter)
    violation: InvariantError | None = None
    try:
        injector.drive(ends_us[2] + DRAIN_US)
        world.finish()
    except InvariantError as error:
        violation = error
    injected = tuple(injector.injected)
    hit = sorted({site for fault in injected for site in fault.hit})
    running = [
        seat.index
        for seat in world.seats
        if seat.replica is not None and seat.author not in (*plan.scripted, *plan.twins)
    ]
    figures = figures_of(meter, ends_us, hit, running, world.now_us)
    findings = judge(experiment, figures, injected, violation)
    outcome = world.outcome()
    return Result(
        experiment=experiment,
        source=loaded.source,
        figures=figures,
        injected=injected,
        findings=findings,
        verdict=worst(findings),
        replay="" if violation is None else violation.replay,
        elapsed_us=outcome.elapsed_us,
        steps=outcome.steps,
        commits=outcome.commits[: world.committee.size],
        meter=meter,
        trace=None if recorder is None else recorder.json(world),
    )


def document_of(result: Result) -> dict[str, object]:
    """Return a result as JSON values."""
    return {
        "apiVersion": "seawall.dev/v1",
        "kind": "ExperimentResult",
        "metadata": {"name": result.experiment.metadata.name},
        "spec": result.source.get("spec", {}),
        "status": {
            "backend": "simulator",
            "seed": result.experiment.spec.seed,
            "verdict": result.verdict.name,
            "exitCode": int(result.verdict),
            "findings": [
                {**asdict(finding), "verdict": finding.verdict.name} for finding in result.findings
            ],
            "figures": asdict(result.figures),
            "faults": [
                {
                    "number": fault.number,
                    "kind": fault.kind,
                    "beginUs": fault.begin_us,
                    "endUs": fault.end_us,
                    "sites": list(fault.hit),
                    "directions": [list(pair) for pair in fault.illness.directions],
                    "evidence": fault.confirmation.evidence if fault.confirmation else None,
                }
                for fault in result.injected
            ],
            "commits": list(result.commits),
            "virtualSeconds": result.elapsed_us / 1_000_000,
            "steps": result.steps,
            "replay": result.replay or None,
        },
    }
