"""Runs an experiment in virtual time, under all checkers, and judges it."""

from seawall.chaos.experiment.reading import Loaded
from seawall.sim.checking import InvariantError
from seawall.sim.invariants import all_checkers
from seawall.sim.machinery import honest_machinery
from seawall.sim.trace import TraceRecorder
from seawall.sim.world import World
from seawall.testbed.experiment.figures import figures_of
from seawall.testbed.experiment.injector import Injector
from seawall.testbed.experiment.meter import Meter
from seawall.testbed.experiment.outcome import SIMULATOR, Result
from seawall.testbed.experiment.translation import DRAIN_US, phase_ends_us, plan_of
from seawall.testbed.experiment.verdict import judge, worst


def run_simulated(loaded: Loaded, *, trace_site: int | None = None) -> Result:
    """Run an experiment in the simulator.

    Raises:
        LocalError: EXPERIMENT_UNSUPPORTED.

    """
    experiment = loaded.experiment
    plan = plan_of(experiment)
    ends_us = phase_ends_us(experiment)
    assert plan.load is not None, "every experiment has a workload"
    honest = range(plan.load.cheats, plan.load.contributors)
    meter = Meter(honest=honest, heal_us=ends_us[1])
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
    injected = tuple([one.happened() for one in injector.injected])
    hit = sorted({site for fault in injected for site in fault.hit})
    running = [
        seat.index
        for seat in world.seats
        if seat.replica is not None and seat.author not in (*plan.scripted, *plan.twins)
    ]
    figures = figures_of(meter.samples, ends_us, hit, running, world.now_us)
    findings = judge(
        experiment, figures, injected, [] if violation is None else [violation.summary]
    )
    outcome = world.outcome()
    return Result(
        experiment=experiment,
        source=loaded.source,
        backend=SIMULATOR,
        ends_us=ends_us,
        figures=figures,
        injected=injected,
        findings=findings,
        verdict=worst(findings),
        replay="" if violation is None else violation.replay,
        elapsed_us=outcome.elapsed_us,
        steps=outcome.steps,
        commits=outcome.commits[: world.committee.size],
        samples=meter.samples,
        trace=None if recorder is None else recorder.json(world),
    )
