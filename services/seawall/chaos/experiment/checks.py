"""What a schema cannot say: times that fit, sites that exist, faults within what is tolerated."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from seawall.chaos.experiment.faults import Byzantine, Crash, Disk, Fault, Links, Partition
from seawall.chaos.experiment.plain import Path
from seawall.chaos.experiment.schema import Experiment, InlineZones
from seawall.chaos.experiment.targets import Selector, count_of, select

SYNC_WAVE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong, and with which part of the file."""

    code: str
    hint: str
    path: Path


def random_of(experiment: Experiment, number: int) -> Random:
    """Return the generator from which the targets of a fault are drawn."""
    return Random(f"{experiment.spec.seed}/fault/{number}")  # noqa: S311 - must be repeatable


def targets_of(
    experiment: Experiment, number: int, primaries: tuple[int, ...] = ()
) -> dict[str, tuple[int, ...]]:
    """Return the sites that the selectors of a fault hit, by field.

    Sites that a behaviour is about, and where links end, are drawn from those left over.
    """
    zones = experiment.site_zones
    random = random_of(experiment, number)
    found: dict[str, tuple[int, ...]] = {}
    for field, selector in experiment.spec.faults[number].selectors.items():
        found[field] = select(selector, zones, random, primaries)
    return found


def faulty_sites(experiment: Experiment) -> tuple[int, ...]:
    """Return the sites that are faulty at some time: they lie, or lose durable records."""
    found: set[int] = set()
    for number, fault in enumerate(experiment.spec.faults):
        detail = fault.detail
        loses = (isinstance(detail, Crash) and detail.disk == "lost") or (
            isinstance(detail, Disk) and detail.lying
        )
        if loses or isinstance(detail, Byzantine):
            found.update(targets_of(experiment, number)["targets"])
    return tuple(sorted(found))


def problems(experiment: Experiment) -> Iterator[Problem]:
    """Yield what is wrong, in the order of the schema."""
    yield from _zones(experiment)
    yield from _engine(experiment)
    hold_us = experiment.spec.phases.hold
    found = False
    for number, fault in enumerate(experiment.spec.faults):
        for problem in _fault(experiment, fault, number, hold_us):
            found = True
            yield problem
    if not found:
        yield from _budget(experiment)


def _zones(experiment: Experiment) -> Iterator[Problem]:
    zones = experiment.spec.topology.zones
    if not isinstance(zones, InlineZones):
        return
    path: Path = ("spec", "topology", "zones")
    names = zones.names
    if len(dict.fromkeys(names)) != len(names):
        yield Problem(code="EXPERIMENT_ZONES", hint="name each zone once", path=(*path, "names"))
        return
    wanted = [f"{a}-{b}" for at, a in enumerate(names) for b in names[at + 1 :]]
    for pair in wanted:
        if pair not in zones.rtt:
            hint = f"add the round trip {pair}: every pair of zones has one"
            yield Problem(code="EXPERIMENT_ZONES", hint=hint, path=(*path, "rtt"))
    for pair in zones.rtt:
        if pair not in wanted:
            hint = "write a-b for zones a and b, in the order of names"
            yield Problem(code="EXPERIMENT_ZONES", hint=hint, path=(*path, "rtt", pair))


def _engine(experiment: Experiment) -> Iterator[Problem]:
    engine = experiment.spec.engine
    fits = {"sync": (None, SYNC_WAVE), "async": (None, SYNC_WAVE + 1, SYNC_WAVE + 2)}
    if engine.wave_length not in fits[engine.mode]:
        hint = "a wave has 3 rounds with sync, and 4 or 5 with async"
        path: Path = ("spec", "engine", "wave_length")
        yield Problem(code="EXPERIMENT_ENGINE", hint=hint, path=path)


def _fault(experiment: Experiment, fault: Fault, number: int, hold_us: int) -> Iterator[Problem]:
    path: Path = ("spec", "faults", number)
    given = sorted(fault.model_fields_set - {"at", "lasting"})
    given = [name for name in given if getattr(fault, name) is not None]
    if len(given) != 1:
        hint = (
            "a fault has exactly one kind, as partition or crash: write each in a fault of its own"
        )
        yield Problem(code="EXPERIMENT_FAULT", hint=hint, path=path)
        return
    if fault.at >= hold_us or fault.ends_us(hold_us) > hold_us or fault.lasting == 0:
        hint = (
            "a fault begins and ends within the hold phase: make hold longer, or the fault shorter"
        )
        yield Problem(code="EXPERIMENT_TIME", hint=hint, path=path)
    kind = (*path, fault.kind)
    for field, selector in fault.selectors.items():
        named = {"source": "from", "target": "to"}.get(field, field)
        yield from _selector(experiment, fault, selector, (*kind, named))
    detail = fault.detail
    if isinstance(detail, Partition):
        yield from _partition(experiment, detail, kind)
    if isinstance(detail, Links):
        yield from _links(experiment, detail, kind)
    if isinstance(detail, Crash) and detail.every is not None:
        yield from _rolling(experiment, detail, number, (*kind, "every"))


def _rolling(experiment: Experiment, crash: Crash, number: int, path: Path) -> Iterator[Problem]:
    fault = experiment.spec.faults[number]
    if not crash.restart or crash.targets.group == "primaries":
        hint = "a rolling crash starts each site again, and knows them before: not the leaders"
        yield Problem(code="EXPERIMENT_FAULT", hint=hint, path=path)
        return
    lasts_us = fault.ends_us(experiment.spec.phases.hold) - fault.at
    if (crash.every or 0) * len(targets_of(experiment, number)["targets"]) > lasts_us:
        hint = "every times the number of sites is longer than the fault: make it last longer"
        yield Problem(code="EXPERIMENT_TIME", hint=hint, path=path)


def _selector(
    experiment: Experiment, fault: Fault, selector: Selector, path: Path
) -> Iterator[Problem]:
    zones = experiment.site_zones
    if any(site >= len(zones) for site in selector.sites):
        hint = f"sites are numbered from 0 to {len(zones) - 1} here"
        yield Problem(code="EXPERIMENT_TARGET", hint=hint, path=path)
    if selector.zone and selector.zone not in zones:
        hint = f"the zones that have a site here are {', '.join(dict.fromkeys(zones))}"
        yield Problem(code="EXPERIMENT_TARGET", hint=hint, path=path)
    if selector.group == "primaries" and not isinstance(fault.detail, Crash | Links):
        hint = "the leaders of the moment can be crashed, cut off, or have bad links: name others"
        yield Problem(code="EXPERIMENT_TARGET", hint=hint, path=path)
    if selector.group.startswith("minority") and not count_of(selector.group, len(zones)):
        hint = "this group has no member among so few sites"
        yield Problem(code="EXPERIMENT_TARGET", hint=hint, path=path)


def _partition(experiment: Experiment, partition: Partition, path: Path) -> Iterator[Problem]:
    size = experiment.spec.topology.sites
    groups = partition.groups
    if (partition.shape == "groups") != (groups is not None):
        hint = "groups and shape: groups go together"
        yield Problem(code="EXPERIMENT_FAULT", hint=hint, path=(*path, "shape"))
    members = [site for group in groups or () for site in group]
    if any(site >= size for site in members):
        hint = f"sites are numbered from 0 to {size - 1} here"
        yield Problem(code="EXPERIMENT_TARGET", hint=hint, path=(*path, "groups"))
    if len(dict.fromkeys(members)) != len(members):
        hint = "name each site in one group only"
        yield Problem(code="EXPERIMENT_TARGET", hint=hint, path=(*path, "groups"))
    if partition.direction != "both" and partition.shape in ("majorities_ring", "bridge", "groups"):
        hint = "this shape has no inside and outside: leave the direction out"
        yield Problem(code="EXPERIMENT_FAULT", hint=hint, path=(*path, "direction"))


def _links(experiment: Experiment, links: Links, path: Path) -> Iterator[Problem]:
    ends = links.source is not None or links.target is not None
    if ends == (links.between is not None):
        hint = "say which links: either between, or from and to"
        yield Problem(code="EXPERIMENT_FAULT", hint=hint, path=path)
        return
    names = experiment.zone_matrix.names
    if links.between and len(links.between) > 1:
        if any(zone not in names for zone in links.between):
            hint = f"the zones here are {', '.join(names)}"
            yield Problem(code="EXPERIMENT_TARGET", hint=hint, path=(*path, "between"))
    elif links.between == ("zones",) and len(names) == 1:
        hint = "there is one zone only: write between: sites"
        yield Problem(code="EXPERIMENT_TARGET", hint=hint, path=(*path, "between"))


def _budget(experiment: Experiment) -> Iterator[Problem]:
    """Refuse more faulty sites than are tolerated, unless to see them caught."""
    faulty, most = faulty_sites(experiment), experiment.faulty_max
    if len(faulty) > most and not experiment.spec.positive_control:
        hint = (
            f"{len(faulty)} sites lie or lose their disks, and {most} are tolerated: name fewer, "
            "or set positive_control"
        )
        yield Problem(code="EXPERIMENT_BUDGET", hint=hint, path=("spec", "faults"))
