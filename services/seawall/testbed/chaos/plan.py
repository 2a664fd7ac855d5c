"""Whom an experiment hits and when, as far as that is known before it runs."""

from typing import Any

from seawall.chaos.experiment.checks import faulty_sites
from seawall.chaos.experiment.faults import Crash, Links, Partition
from seawall.chaos.experiment.schema import Experiment
from seawall.chaos.runner.planning import hit_directions, hit_sites, injections_of

LATER = "the leaders of the moment"


def plan_document(experiment: Experiment, platform: str) -> dict[str, Any]:
    """Return the plan as JSON values; times are seconds after the beginning of hold."""
    phases = experiment.spec.phases
    return {
        "experiment": experiment.metadata.name,
        "platform": platform,
        "seed": experiment.spec.seed,
        "sites": [{"site": site, "zone": zone} for site, zone in enumerate(experiment.site_zones)],
        "tolerated": experiment.faulty_max,
        "faulty": list(faulty_sites(experiment)),
        "positiveControl": experiment.spec.positive_control,
        "phases": {
            "baseline": phases.baseline / 1_000_000,
            "hold": phases.hold / 1_000_000,
            "recover": phases.recover / 1_000_000,
        },
        "faults": [_fault(experiment, number) for number in range(len(experiment.spec.faults))],
    }


def _fault(experiment: Experiment, number: int) -> dict[str, Any]:
    fault = experiment.spec.faults[number]
    hold_us = experiment.spec.phases.hold
    found: dict[str, Any] = {
        "number": number,
        "kind": fault.kind,
        "begin": fault.at / 1_000_000,
        "end": fault.ends_us(hold_us) / 1_000_000,
    }
    if _waits_for_leaders(experiment, number):
        return {**found, "hits": LATER, "directions": None, "injections": None}
    return {
        **found,
        "hits": [f"site-{site}" for site in hit_sites(experiment, number, ())],
        "directions": [list(pair) for pair in hit_directions(experiment, number, ())],
        "injections": [
            {
                "target": one.target,
                "actuator": one.actuator,
                "kind": one.kind,
                "begin": one.begin_us / 1_000_000,
                "end": None if one.stays else one.end_us / 1_000_000,
                "detail": one.detail,
            }
            for one in injections_of(experiment, number, "run", ())
        ],
    }


def _waits_for_leaders(experiment: Experiment, number: int) -> bool:
    fault = experiment.spec.faults[number]
    match fault.detail:
        case Partition(shape="primaries"):
            return True
        case Crash() | Links():
            return any(one.group == "primaries" for one in fault.selectors.values())
        case _:
            return False


def lines_of(document: dict[str, Any]) -> list[str]:
    """Return a plan as lines of text."""
    phases = document["phases"]
    zones = ", ".join(f"site-{one['site']} in {one['zone']}" for one in document["sites"])
    lines = [
        f"{document['experiment']} on {document['platform']}, seed {document['seed']}",
        f"sites     {zones}",
        f"phases    {', '.join(f'{name} {seconds:g} s' for name, seconds in phases.items())}",
        f"faulty    {len(document['faulty'])} of {document['tolerated']} tolerated"
        + (", a positive control" if document["positiveControl"] else ""),
    ]
    for fault in document["faults"]:
        hits = fault["hits"]
        if isinstance(hits, list):
            whom = ", ".join(hits) or f"{len(fault['directions'])} directions of links"
        else:
            whom = hits
        span = f"{fault['begin']:g} to {fault['end']:g} s"
        lines.append(f"fault {fault['number']}   {fault['kind']}, {span}: {whom}")
        lines += [_line(one) for one in fault["injections"] or ()]
    return lines


def _line(one: dict[str, Any]) -> str:
    until = "for good" if one["end"] is None else f"to {one['end']:g} s"
    members = ", ".join(f"{name}={value}" for name, value in one["detail"].items())
    return (
        f"          {one['target']}: {one['actuator']} {one['kind']} "
        f"from {one['begin']:g} s {until} {members}"
    ).rstrip()
