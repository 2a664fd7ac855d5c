"""Which links of how many sites a fault hits, whatever injects it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from seawall.chaos.experiment.faults import Links, Partition
from seawall.chaos.experiment.targets import Selector, select

Direction: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Pairs without a connection, the lower site first, and directions that deliver nothing.

    `inside` are the sites on the cut side of a partition that has one.
    """

    pairs: tuple[Direction, ...] = ()
    stalled: tuple[Direction, ...] = ()
    inside: tuple[int, ...] = ()

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Return every direction that delivers nothing."""
        both = [direction for a, b in self.pairs for direction in ((a, b), (b, a))]
        return tuple(sorted([*both, *self.stalled]))


def partition(fault: Partition, size: int, random: Random, primaries: Sequence[int]) -> Cut:
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
        return Cut(stalled=tuple(across), inside=inside)
    if fault.direction == "inbound":
        return Cut(stalled=tuple([(b, a) for a, b in across]), inside=inside)
    return Cut(pairs=tuple([(min(pair), max(pair)) for pair in across]), inside=inside)


def directions(
    fault: Links, zones: Sequence[str], targets: Mapping[str, tuple[int, ...]]
) -> tuple[Direction, ...]:
    """Return the directions that a fault of links hits; `targets` are its sites by field."""
    sites = range(len(zones))
    every = [(a, b) for a in sites for b in sites if a != b]
    match fault.between:
        case ("sites",):
            return tuple(every)
        case ("zones",):
            return tuple([(a, b) for a, b in every if zones[a] != zones[b]])
        case (first, second):
            ends = ((first, second), (second, first))
            return tuple([(a, b) for a, b in every if (zones[a], zones[b]) in ends])
        case _:
            pass
    sources = targets.get("source", tuple(sites))
    ends_at = targets.get("target", tuple(sites))
    forward = [(a, b) for a, b in every if a in sources and b in ends_at]
    if fault.direction == "both":
        forward += [(b, a) for a, b in forward]
    return tuple(dict.fromkeys(forward))


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


def _without(seen: set[Direction], size: int) -> Cut:
    pairs = [(a, b) for a in range(size) for b in range(a + 1, size)]
    return Cut(pairs=tuple([pair for pair in pairs if pair not in seen]))
