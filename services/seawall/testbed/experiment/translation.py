"""From an experiment to the plan of a simulated run."""

from collections.abc import Iterator
from typing import Final

from seawall.chaos.experiment.checks import faulty_sites, targets_of
from seawall.chaos.experiment.faults import Byzantine, Flood
from seawall.chaos.experiment.schema import Experiment
from seawall.domain.parameters import ConsensusParameters
from seawall.errors import LocalError
from seawall.sim.coin import CoinKind
from seawall.sim.network import SECOND_US, ZoneDelay
from seawall.sim.plan import Arrival, Conflict, Load, Passing, Plan, Surge

DRAIN_US: Final = SECOND_US
"""After the last phase: what was handed in by its end may still be ordered, and is counted."""

TWINS: Final = "twins"
"""The behaviour that is no script: a second process under the same name."""

_CONFLICTS: Final = {conflict.value: conflict for conflict in Conflict}


def phase_ends_us(experiment: Experiment) -> tuple[int, int, int]:
    """Return when baseline, hold and recover end."""
    phases = experiment.spec.phases
    baseline, hold = phases.baseline, phases.baseline + phases.hold
    return baseline, hold, hold + phases.recover


def liars(experiment: Experiment, *, twins: bool) -> tuple[int, ...]:
    """Return the sites that have a twin at some time, or that follow a script at some time."""
    found: set[int] = set()
    for number, fault in enumerate(experiment.spec.faults):
        detail = fault.detail
        if isinstance(detail, Byzantine) and (detail.behaviour == TWINS) == twins:
            found.update(targets_of(experiment, number)["targets"])
    return tuple(sorted(found))


def plan_of(experiment: Experiment) -> Plan:
    """Return the plan of a run without its faults, which are injected one by one.

    Raises:
        LocalError: EXPERIMENT_UNSUPPORTED, when the simulator cannot run it.

    """
    spec = experiment.spec
    if spec.engine.name != "seawall":
        hint = "the simulator has the engine seawall"
        raise LocalError("EXPERIMENT_UNSUPPORTED", hint, field="spec.engine.name")
    matrix, knobs = experiment.zone_matrix, spec.simulator
    _, heal_us, end_us = phase_ends_us(experiment)
    scripted, twins = liars(experiment, twins=False), liars(experiment, twins=True)
    zones = experiment.site_zones
    plan = Plan(
        seed=spec.seed,
        stakes=(1,) * spec.topology.sites,
        parameters=ConsensusParameters(),
        delay=ZoneDelay(
            median_us=matrix.one_way_us(),
            default_us=max(1, matrix.inside_us // 2),
            sigma=knobs.jitter_sigma,
        ),
        zones=(*zones, *[zones[site] for site in twins]),
        twins=twins,
        scripted=scripted,
        excused=faulty_sites(experiment),
        heal_us=heal_us,
        limit_us=end_us + DRAIN_US,
        sync_us=knobs.sync,
        ledger_us=knobs.ledger,
        submit_every_us=0,
        passing=Passing(knobs.blocks),
        load=_load(experiment, end_us + DRAIN_US),
    )
    if spec.engine.mode == "sync":
        return plan
    return plan.asynchronous(spec.engine.wave_length or 5, CoinKind(knobs.coin))


def _load(experiment: Experiment, until_us: int) -> Load:
    workload, knobs = experiment.spec.workload, experiment.spec.simulator
    cheats, conflict = 0, Conflict.NONE
    if workload.byzantine is not None:
        if workload.byzantine.attack not in _CONFLICTS:
            hint = "contributors of the simulator equivocate or replay: the rest needs real tensors"
            field = "spec.workload.byzantine.attack"
            raise LocalError("EXPERIMENT_UNSUPPORTED", hint, field=field)
        cheats = round(workload.byzantine.share * workload.contributors)
        conflict = _CONFLICTS[workload.byzantine.attack]
    return Load(
        updates_per_second=workload.rate,
        until_us=until_us,
        arrival=Arrival(workload.arrival),
        contributors=workload.contributors,
        payload_size_bytes=workload.payload,
        cheats=cheats,
        conflict=conflict,
        batch_window_us=knobs.batch_window,
        bytes_per_second=knobs.bytes_per_second,
        surges=tuple(_surges(experiment)),
    )


def _surges(experiment: Experiment) -> Iterator[Surge]:
    phases = experiment.spec.phases
    for number, fault in enumerate(experiment.spec.faults):
        if isinstance(fault.detail, Flood):
            yield Surge(
                begin_us=phases.baseline + fault.at,
                end_us=phases.baseline + fault.ends_us(phases.hold),
                updates_per_second=fault.detail.rate,
                contributors=fault.detail.contributors,
                sites=targets_of(experiment, number)["targets"],
            )
