"""When which attack happens: drawn by seed, and tied to model versions instead of time.

The order and the targets follow from the seed alone, so two runs of one seed attack alike,
however fast the machine is.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from seawall.testbed.demo.settings import DemoSettings


class Kind(StrEnum):
    """The attacks."""

    KILL = "kill"
    REPLAY = "replay"
    FORGERY = "forgery"
    OVERSIZE = "oversize"
    TRUNCATION = "truncation"
    EQUIVOCATION = "equivocation"
    TAMPERING = "tampering"
    SILENT_ROOT = "silent-root"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One attack of the schedule.

    Attributes:
        number: position in the schedule, from 1.
        kind: what happens.
        version: starts when this version is there.
        until: ends when this version is there; 0 for attacks that end by themselves.
        site: index of the attacked site.
        other: index of a second site, where the attack needs one.
        draw: a number for choices inside the attack.

    """

    number: int
    kind: Kind
    version: int
    until: int
    site: int
    other: int
    draw: int


_PLACES: Final[tuple[tuple[Kind, float, float], ...]] = (
    (Kind.KILL, 0.10, 0.30),
    (Kind.REPLAY, 0.18, 0.0),
    (Kind.EQUIVOCATION, 0.36, 0.0),
    (Kind.FORGERY, 0.42, 0.0),
    (Kind.TAMPERING, 0.50, 0.0),
    (Kind.OVERSIZE, 0.56, 0.0),
    (Kind.TRUNCATION, 0.60, 0.0),
    (Kind.SILENT_ROOT, 0.66, 0.0),
    (Kind.KILL, 0.72, 0.85),
)
"""Kind, share of the versions at which it starts, and at which it ends."""

JITTER: Final = 0.03


def draw_schedule(settings: DemoSettings) -> tuple[Attack, ...]:
    """Return the attacks of a demo in the order of their start."""
    generator = np.random.default_rng([settings.seed, 11])
    attacks: list[Attack] = []
    down: list[tuple[int, int, int]] = []
    for kind, start, end in _PLACES:
        shift = generator.uniform(-JITTER, JITTER)
        version = max(1, round((start + shift) * settings.versions))
        until = max(version + 2, round((end + shift) * settings.versions)) if end else 0
        order = [int(site) for site in generator.permutation(settings.sites)]
        # Attacks go to sites that are up, or they would be attacks on nobody.
        busy = [site for site, first, last in down if first <= version <= last + 1]
        up = [site for site in order if site not in busy]
        if kind is Kind.KILL:
            down.append((up[0], version, until))
        attacks.append(
            Attack(
                number=len(attacks) + 1,
                kind=kind,
                version=version,
                until=until,
                site=up[0],
                other=up[1],
                draw=int(generator.integers(1 << 30)),
            )
        )
    return tuple(sorted(attacks, key=lambda attack: (attack.version, attack.number)))
