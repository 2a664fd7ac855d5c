"""Who sends what, and when: a schedule that follows from a seed alone.

Arrivals are those of a Poisson process whose rate is a shape over time; they do not wait for
answers (an open loop), as strangers do not.
"""

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

RAMP_SHARE_FIRST: Final = 0.1
"""Of the rate, at the beginning of a ramp."""

SPIKE_FROM: Final = 0.4
SPIKE_TO: Final = 0.6
SPIKE_FACTOR: Final = 4.0
"""Between these parts of the time a spike has so many times the rate."""

FLOOD_OPENS: Final = 10
"""Uploads that a flood opens at one site; a site lets a contributor have eight."""


class Shape(StrEnum):
    """How the rate goes over the time of a run."""

    FIXED = "fixed"
    RAMP = "ramp"
    SPIKE = "spike"


class Transport(StrEnum):
    """How an update travels."""

    GRPC = "grpc"
    HTTP = "http"


class Kind(StrEnum):
    """What is sent; everything but an honest update has to be refused with its code."""

    HONEST = "honest"
    TAMPERED = "tampered-hash"
    FORGED = "bad-signature"
    REPLAYED = "replay"
    OVERSIZED = "oversize"
    FLOOD = "flood"


EXPECTED: Final[Mapping[Kind, str]] = MappingProxyType(
    {
        Kind.TAMPERED: "CHUNK_HASH",
        Kind.FORGED: "DSSE_SIGNATURE",
        Kind.REPLAYED: "REPLAY_SEQ",
        Kind.OVERSIZED: "TOO_LARGE",
        Kind.FLOOD: "QUOTA_UPLOADS",
    }
)
"""The code with which each kind has to be refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing to send.

    Attributes:
        due_seconds: when, from the start of the run.
        task: name of the task; it decides the size.
        kind: what.
        transport: how.
        site: index of the site that gets it.
        contributor: place of the contributor among the keys.
        number: place among everything that this contributor signs, from 0.
        serial: place in the schedule; makes payloads differ.

    """

    due_seconds: float
    task: str
    kind: Kind
    transport: Transport
    site: int
    contributor: int
    number: int
    serial: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a schedule follows from; `tasks` are names and payload sizes in bytes."""

    seed: int
    seconds: float
    rate: float
    shape: Shape
    tasks: tuple[tuple[str, int], ...]
    sites: int
    contributors: int
    malicious_share: float
    http_share: float

    def rate_at(self, at_seconds: float) -> float:
        """Return the rate of arrivals, in 1/s, at a time of the run."""
        part = at_seconds / self.seconds
        match self.shape:
            case Shape.FIXED:
                return self.rate
            case Shape.RAMP:
                return self.rate * (RAMP_SHARE_FIRST + (1 - RAMP_SHARE_FIRST) * part)
            case Shape.SPIKE:
                return self.rate * (SPIKE_FACTOR if SPIKE_FROM <= part < SPIKE_TO else 1.0)

    @property
    def rate_max(self) -> float:
        """Return the highest rate of the run, in 1/s."""
        return self.rate * (SPIKE_FACTOR if self.shape is Shape.SPIKE else 1.0)


def schedule(plan: Plan) -> tuple[Item, ...]:
    """Return everything that is to be sent, in order of time; the same for the same plan.

    The last contributor is the one who floods, so that its quota is nobody else's.
    """
    source = random.Random(plan.seed)  # noqa: S311 - it has to be repeatable, not secret
    weights = [1 / math.sqrt(size) for _, size in plan.tasks]
    names = [name for name, _ in plan.tasks]
    smallest = min(plan.tasks, key=lambda task: task[1])[0]
    numbers: Counter[int] = Counter()
    items: list[Item] = []
    for due in _arrivals(plan, source):
        kind = _kind(plan, source)
        owner = source.randrange(max(1, plan.contributors - 1))
        (task,) = source.choices(names, weights)
        site = source.randrange(plan.sites)
        http = source.random() < plan.http_share
        if kind is Kind.FLOOD:
            owner, task = plan.contributors - 1, smallest
        items.append(
            Item(
                due_seconds=due,
                task=task,
                kind=kind,
                transport=Transport.HTTP if http else Transport.GRPC,
                site=site,
                contributor=owner,
                number=numbers[owner],
                serial=len(items),
            )
        )
        numbers[owner] += FLOOD_OPENS if kind is Kind.FLOOD else 1
    return tuple(items)


def offered(items: Sequence[Item]) -> Mapping[str, int]:
    """Return how many items there are of each kind."""
    return Counter(str(item.kind) for item in items)


def _arrivals(plan: Plan, source: random.Random) -> Iterator[float]:
    """Yield times of a Poisson process of changing rate, by thinning (Lewis and Shedler, 1979)."""
    at = 0.0
    while True:
        at += source.expovariate(plan.rate_max)
        if at >= plan.seconds:
            return
        if source.random() * plan.rate_max < plan.rate_at(at):
            yield at


def _kind(plan: Plan, source: random.Random) -> Kind:
    if source.random() >= plan.malicious_share:
        return Kind.HONEST
    return source.choice(tuple(EXPECTED))
