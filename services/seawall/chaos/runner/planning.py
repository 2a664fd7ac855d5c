"""From a fault of the file to injections, one for each site that it is done to.

The fault plane of a site's process does what is inside it: actuator `plane`, whose `kind` and
`detail` are a kind of `FaultSpec` and its members. Ending processes and flooding sites are done
from outside: `process` and `client`. Every platform that has these three plans alike.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from msgspec.structs import replace

from seawall.chaos.experiment import links
from seawall.chaos.experiment.checks import Problem, random_of, targets_of
from seawall.chaos.experiment.faults import (
    Byzantine,
    Clock,
    Crash,
    Delay,
    Disk,
    Fault,
    Flood,
    Gray,
    Links,
    Loss,
    Partition,
)
from seawall.chaos.experiment.schema import Experiment
from seawall.chaos.faults import KINDS
from seawall.chaos.runner.injection import Injection

PLANE: Final = "plane"
PROCESS: Final = "process"
CLIENT: Final = "client"

PLANE_KINDS: Final = tuple([one.kind for one in KINDS])
"""Kinds of fault that the fault plane of this version does."""

KILL: Final = "kill"
WIPE: Final = "wipe"
"""End a process, and remove its data as well."""

DELAY: Final = "delay"
LEAST_US: Final = 500
"""What is nearer than this one way is as near as processes of one machine are."""

TERRAIN: Final = -1
"""Number of the fault that stands for the distances between zones."""

FLOOD: Final = "flood"

OUTBOUND: Final = "PARTITION_DIRECTION_OUTBOUND"
UNSUPPORTED: Final = "CHAOS_UNSUPPORTED"

SPARED_SHAPES: Final = ("majority", "majorities_ring", "bridge", "groups")
"""Partitions that leave no side alone."""


def hit_sites(experiment: Experiment, number: int, primaries: Sequence[int]) -> tuple[int, ...]:
    """Return the sites that a fault hits themselves, rather than their links."""
    detail = experiment.spec.faults[number].detail
    if isinstance(detail, Partition):
        if detail.shape in SPARED_SHAPES:
            return ()
        return _cut(experiment, number, primaries).inside
    return targets_of(experiment, number, tuple(primaries)).get("targets", ())


def hit_directions(
    experiment: Experiment, number: int, primaries: Sequence[int]
) -> tuple[links.Direction, ...]:
    """Return the directions of links that a fault hits."""
    detail = experiment.spec.faults[number].detail
    match detail:
        case Partition():
            return _cut(experiment, number, primaries).directions
        case Links():
            targets = targets_of(experiment, number, tuple(primaries))
            return links.directions(detail, experiment.site_zones, targets)
        case _:
            return ()


def injections_of(
    experiment: Experiment, number: int, run: str, primaries: Sequence[int]
) -> tuple[Injection, ...]:
    """Return what a fault is, site by site; `primaries` are the leaders of the moment."""
    fault = experiment.spec.faults[number]
    end_us = fault.ends_us(experiment.spec.phases.hold)

    def injection(
        actuator: str, kind: str, site: int, detail: dict[str, Any], *times_us: int
    ) -> Injection:
        begin_us, until_us = times_us or (fault.at, end_us)
        return Injection(
            id=f"{run}/{number}/{site}",
            fault=number,
            actuator=actuator,
            kind=kind,
            site=site,
            begin_us=begin_us,
            end_us=until_us,
            detail=detail,
        )

    sites = hit_sites(experiment, number, primaries)
    match fault.detail:
        case Partition() | Links():
            directions = hit_directions(experiment, number, primaries)
            kind, members = _of_links(fault)
            return tuple(
                [
                    injection(PLANE, kind, site, _with_peers(kind, members, peers))
                    for site, peers in _by_source(directions)
                ]
            )
        case Crash() as crash:
            kind = WIPE if crash.disk == "lost" else KILL
            planned = [
                injection(PROCESS, kind, site, {}, *_turn(crash, fault.at, end_us, place))
                for place, site in enumerate(sites)
            ]
            return tuple([replace(one, stays=not crash.restart) for one in planned])
        case Flood() as flood:
            members = {
                "per_second": flood.rate / max(1, len(sites)),
                "contributors": flood.contributors,
            }
            return tuple([injection(CLIENT, FLOOD, site, members) for site in sites])
        case _:
            kind, members = _of_site(experiment, number)
            return tuple([injection(PLANE, kind, site, members) for site in sites])


def liars(experiment: Experiment) -> tuple[int, ...]:
    """Return the sites whose word counts for nothing: they lie, or their disks do.

    A site that loses its disk is none of them: it must have everything again in the end.
    """
    found: dict[int, None] = {}
    for number, fault in enumerate(experiment.spec.faults):
        detail = fault.detail
        if isinstance(detail, Byzantine) or (isinstance(detail, Disk) and detail.lying):
            found.update(dict.fromkeys(targets_of(experiment, number)["targets"]))
    return tuple(sorted(found))


def one_way_us(experiment: Experiment) -> dict[links.Direction, int]:
    """Return how far apart sites are, by direction, where that is worth a delay."""
    matrix, zones = experiment.zone_matrix, experiment.site_zones
    between = matrix.one_way_us()
    found = {
        (a, b): between.get(f"{zones[a]}>{zones[b]}", matrix.inside_us // 2)
        for a in range(len(zones))
        for b in range(len(zones))
        if a != b
    }
    return {pair: far_us for pair, far_us in found.items() if far_us >= LEAST_US}


def terrain_of(experiment: Experiment, run: str) -> tuple[Injection, ...]:
    """Return the distances between zones as delays, which last as long as the run."""
    found: dict[tuple[int, int], list[int]] = {}
    for (source, target), far_us in one_way_us(experiment).items():
        found.setdefault((source, far_us), []).append(target)
    return tuple(
        [
            Injection(
                id=f"{run}/zones/{source}/{far_us}",
                fault=TERRAIN,
                actuator=PLANE,
                kind=DELAY,
                site=source,
                begin_us=0,
                end_us=0,
                detail=_with_peers(DELAY, {"add_us": far_us}, peers),
            )
            for (source, far_us), peers in sorted(found.items())
        ]
    )


def obstacles(
    experiment: Experiment, plane_kinds: Iterable[str], platform: str
) -> Iterator[Problem]:
    """Yield what a platform with these kinds in its fault planes cannot do."""
    known = tuple(plane_kinds)
    if DELAY not in known and one_way_us(experiment):
        hint = f"round trips between zones need {DELAY}, which no actuator of {platform} does"
        yield Problem(code=UNSUPPORTED, hint=hint, path=("spec", "topology", "zones"))
    if experiment.spec.workload.byzantine is not None:
        # A load that is honest all the same would pass, and show nothing.
        hint = f"contributors of {platform} are honest: only the simulator's cheat"
        yield Problem(code=UNSUPPORTED, hint=hint, path=("spec", "workload", "byzantine"))
    for number, fault in enumerate(experiment.spec.faults):
        path = ("spec", "faults", number, fault.kind)
        detail = fault.detail
        if isinstance(detail, Byzantine) and detail.behaviour == "twins":
            hint = f"twins are processes of the simulator alone: {platform} has none"
            yield Problem(code=UNSUPPORTED, hint=hint, path=(*path, "behaviour"))
        elif isinstance(detail, Crash | Flood):
            continue
        elif fault.kind not in known:
            # A kind of the file and of `FaultSpec` are named alike.
            hint = f"no actuator of {platform} does {fault.kind}"
            yield Problem(code=UNSUPPORTED, hint=hint, path=path)


def _cut(experiment: Experiment, number: int, primaries: Sequence[int]) -> links.Cut:
    detail = experiment.spec.faults[number].detail
    assert isinstance(detail, Partition), "asked of partitions only"
    random = random_of(experiment, number)
    return links.partition(detail, experiment.spec.topology.sites, random, primaries)


def _by_source(directions: Iterable[links.Direction]) -> list[tuple[int, list[int]]]:
    found: dict[int, list[int]] = {}
    for source, target in directions:
        found.setdefault(source, []).append(target)
    return sorted(found.items())


def _of_links(fault: Fault) -> tuple[str, dict[str, Any]]:
    """Return the kind and the members of a fault of links, but for the links."""
    match fault.detail:
        case Delay() as delay:
            members = {
                "add_us": delay.add,
                "jitter_us": delay.jitter,
                "reorder": delay.reorder,
                "reorder_by_us": delay.reorder_by,
            }
        case Gray() as gray:
            members = {"add_us": gray.add, "jitter_us": gray.jitter, "loss": gray.loss}
        case Loss() as loss:
            members = {"share": loss.share}
        case _:
            members = {}
    return fault.kind, members


def _with_peers(kind: str, members: dict[str, Any], peers: Sequence[int]) -> dict[str, Any]:
    """Return the members of a fault at one site: its own side of the links to these."""
    ends = {"peers": list(peers), "direction": OUTBOUND}
    return ends if kind == "partition" else {**members, "links": ends}


def _of_site(experiment: Experiment, number: int) -> tuple[str, dict[str, Any]]:
    """Return the kind and the members of a fault of a site itself."""
    fault = experiment.spec.faults[number]
    match fault.detail:
        case Disk() as disk:
            members: dict[str, Any] = {
                "sync_add_us": disk.sync_add,
                "sync_sigma": disk.sync_sigma,
                "lying": disk.lying,
                "full": disk.full,
            }
        case Clock() as clock:
            members = {"offset_us": clock.offset, "drift_ppm": clock.drift}
        case Byzantine() as lie:
            peers = targets_of(experiment, number).get("peers", ())
            members = {"behaviour": lie.behaviour, "peers": list(peers), "rounds": lie.rounds}
        case _:
            raise AssertionError("links, crashes and floods are planned elsewhere")
    return fault.kind, members


def _turn(crash: Crash, begin_us: int, end_us: int, place: int) -> tuple[int, int]:
    """Return when a crash of the site in this place begins and ends."""
    if crash.every is None:
        return begin_us, end_us
    start_us = begin_us + place * crash.every
    return start_us, min(end_us, start_us + crash.every)
