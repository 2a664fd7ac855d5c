"""Which links the faults of an experiment hit, and how ill they make them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from seawall.chaos.experiment import links
from seawall.chaos.experiment.faults import Delay, Gray, Links, Loss, Partition
from seawall.chaos.experiment.links import Direction
from seawall.sim.network import Quality


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
    cut = links.partition(fault, size, random, primaries)
    return Illness(cut=cut.pairs, stalled=cut.stalled, inside=cut.inside)


def flaws(fault: Links, zones: Sequence[str], targets: Mapping[str, tuple[int, ...]]) -> Illness:
    """Return what a fault of links does; `targets` are its sites by field."""
    quality = _quality(fault)
    return Illness(flaws=dict.fromkeys(links.directions(fault, zones, targets), quality))


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
