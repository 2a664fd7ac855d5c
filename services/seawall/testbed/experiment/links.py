"""Which links the faults of an experiment hit, and how ill they make them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from seawall.chaos.experiment.faults import Delay, Gray, Links, Loss, Partition
from seawall.chaos.experiment.targets import Selector, select
from seawall.sim.network import Quality

Direction = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Illness:
    """Links without a connection, directions that deliver nothing, and directions that are slow.

    `inside` are the sites on the cut side of a partition that has one.
    """

    cut: tuple[Direction, ...] = ()
    stalled: tuple[Direction, ...] = ()
    flaws: Mapping[Direction, Quality] = field(default_factory=dict)
    inside: tuple[int, ...] = ()

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Return every direction that it hits."""
        both = [direction for a, b in self.cut for direction in ((a, b), (b, a))]
        return tuple(sorted([*both, *self.stalled, *self.flaws]))


def partition(fault: Partition, size: int, random: Random, primaries: Sequence[int]) -> Illness:
    """Return what a partition does to the links of `size` sites."""
    match fault.shape:
        case "majorities_ring":
            return _without(_ring(_shuffled(size, random)), size)
        case "bridge":
            return _without(_bridge(_shuffled(size, random)), size)
        case "groups":
            named = [tuple(group) for group in fault.groups or ()]
            known = [site for group in named for site in group]
            rest = tuple([site for site in range(size) if site not in known])
            return _without(_within([*named, rest]), size)
        case group:
            inside = select(Selector(group=group), ("",) * size, random, primaries)
    across = [(a, b) for a in inside for b in range(size) if b not in inside]
    if fault.direction == "outbound":
        return Illness(stalled=tuple(across), inside=inside)
    if fault.direction == "inbound":
        return Illness(stalled=tuple([(b, a) for a, b in across]), inside=inside)
    return Illness(cut=tuple([(min(pair), max(pair)) for pair in across]), inside=inside)


def _shuffled(size: int, random: Random) -> list[int]:
    order = list(range(size))
    random.shuffle(order)
    return order


def _within(groups: Iterable[Sequence[int]]) -> set[Direction]:
    return {(a, b) for group in groups for a in group for b in group if a < b}


def _ring(order: Sequence[int]) -> set[Direction]:
    """Return the pairs that see each other: neighbours on a ring, so that each sees a majority."""
    size = len(order)
    reach = -(-(size // 2) // 2)
    return {
        (min(site, other), max(site, other))
        for at, site in enumerate(order)
        for step in range(1, reach + 1)
        if (other := order[(at + step) % size]) != site
    }


def _bridge(order: Sequence[int]) -> set[Direction]:
    """Return the pairs that see each other: two halves, and one site that sees both."""
    middle = len(order) // 2
    return _within([sorted(order[: middle + 1]), sorted(order[middle:])])


def _without(seen: set[Direction], size: int) -> Illness:
    pairs = [(a, b) for a in range(size) for b in range(a + 1, size)]
    return Illness(cut=tuple([pair for pair in pairs if pair not in seen]))


def flaws(fault: Links, zones: Sequence[str], targets: Mapping[str, tuple[int, ...]]) -> Illness:
    """Return what a fault of links does; `targets` are its sites by field."""
    quality = _quality(fault)
    return Illness(flaws=dict.fromkeys(_directions(fault, zones, targets), quality))


def _quality(fault: Links) -> Quality:
    match fault:
        case Delay():
            return Quality(
                add_us=fault.add,
                jitter_us=fault.jitter,
                late=fault.reorder,
                late_us=fault.reorder_by,
            )
        case Gray():
            return Quality(add_us=fault.add, jitter_us=fault.jitter, loss=fault.loss)
        case Loss():
            return Quality(loss=fault.share)
        case _:
            raise AssertionError("links are delayed, lossy or gray")


def _directions(
    fault: Links, zones: Sequence[str], targets: Mapping[str, tuple[int, ...]]
) -> list[Direction]:
    sites = range(len(zones))
    pairs = [(a, b) for a in sites for b in sites if a != b]
    match fault.between:
        case ("sites",):
            return pairs
        case ("zones",):
            return [(a, b) for a, b in pairs if zones[a] != zones[b]]
        case (first, second):
            ends = ((first, second), (second, first))
            return [(a, b) for a, b in pairs if (zones[a], zones[b]) in ends]
        case _:
            pass
    sources = targets.get("source", tuple(sites))
    ends_at = targets.get("target", tuple(sites))
    forward = [(a, b) for a, b in pairs if a in sources and b in ends_at]
    if fault.direction != "both":
        return forward
    return list(dict.fromkeys([*forward, *[(b, a) for a, b in forward]]))


def twins(seats: Mapping[int, int], peers: Sequence[int], authors: Sequence[int]) -> Illness:
    """Return who does not see whom where sites have twins; `seats` are those of the twins.

    A twin sees `peers` and other twins; the site itself sees everybody but `peers`.
    """
    cut = [(min(site, peer), max(site, peer)) for site in seats for peer in peers]
    for twin in seats.values():
        hidden = [s for s in range(len(authors)) if s not in (*peers, *seats.values())]
        cut += [(seat, twin) for seat in hidden if authors[seat] != authors[twin]]
    return Illness(cut=tuple(sorted(cut)))


def merged(illnesses: Iterable[Illness]) -> Illness:
    """Return all of them at once."""
    cut: dict[Direction, None] = {}
    stalled: dict[Direction, None] = {}
    found: dict[Direction, Quality] = {}
    for one in illnesses:
        cut |= dict.fromkeys(one.cut)
        stalled |= dict.fromkeys(one.stalled)
        for pair, quality in one.flaws.items():
            found[pair] = found[pair].and_then(quality) if pair in found else quality
    return Illness(cut=tuple(sorted(cut)), stalled=tuple(sorted(stalled)), flaws=found)
