"""Links between seats in virtual time: delay, loss, resets, partitions, and who sees which twin.

A *seat* is one running replica of the world. Twins are two seats of one author. A link exists
between every two seats of different authors and behaves like one TCP connection: messages arrive
in the order in which they were sent, a lost segment is a delay, and a broken connection loses
whatever was on its way. Both ends learn of a break and of a new connection as events.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

SECOND_US: Final = 1_000_000
MILLISECOND_US: Final = 1_000
RETRANSMIT_US: Final = 200 * MILLISECOND_US
RECONNECT_US: Final = 50 * MILLISECOND_US


class Delay(Protocol):
    """One-way delay of a message between two zones."""

    def sample_us(self, random: Random, source_zone: str, target_zone: str) -> int:
        """Draw one delay in microseconds, at least 1."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedDelay:
    """Every message takes the same time: rounds in lockstep, easy to reason about."""

    delay_us: int = 20 * MILLISECOND_US

    def sample_us(self, random: Random, source_zone: str, target_zone: str) -> int:
        """Return the one delay."""
        del random, source_zone, target_zone
        return self.delay_us


@dataclass(frozen=True, slots=True, kw_only=True)
class LogNormalDelay:
    """A median with a long tail, as measured on the open internet; `sigma` is of log time."""

    median_us: int = 30 * MILLISECOND_US
    sigma: float = 0.5

    def sample_us(self, random: Random, source_zone: str, target_zone: str) -> int:
        """Return the median times e^(sigma · standard normal)."""
        del source_zone, target_zone
        return max(1, int(self.median_us * random.lognormvariate(0.0, self.sigma)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneDelay:
    """A median per pair of zones, jittered; a pair that is missing takes `default_us`.

    Keys of `median_us` are `source>target`, for example `eu>us`.
    """

    median_us: Mapping[str, int]
    default_us: int = 5 * MILLISECOND_US
    sigma: float = 0.1

    def sample_us(self, random: Random, source_zone: str, target_zone: str) -> int:
        """Return the median of the pair times e^(sigma · standard normal)."""
        median = self.median_us.get(f"{source_zone}>{target_zone}", self.default_us)
        return max(1, int(median * random.lognormvariate(0.0, self.sigma)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What can happen to one message: a segment sent again, or the connection broken.

    `retransmit` is the chance of each further wait of 200 ms (doubling, TCP's least timeout on
    Linux), `reset` the chance that the connection breaks and the message is lost with it.
    """

    retransmit: float = 0.0
    reset: float = 0.0


@dataclass(slots=True)
class Link:
    """One direction of a connection; `generation` counts its connections."""

    up: bool = False
    generation: int = 0
    arrival_us: int = 0


class Network:
    """Decides who can talk to whom, and when a message arrives.

    Invariant: the link from a to b is up exactly when the link from b to a is. Who may be
    connected follows from four facts that the world sets: which seats run, the current partition,
    which seats see which twin, and resets that are still under repair.
    """

    def __init__(
        self,
        *,
        authors: Sequence[int],
        zones: Sequence[str],
        delay: Delay,
        loss: Loss,
        random: Random,
    ) -> None:
        """Start with every seat stopped; `authors` and `zones` are indexed by seat."""
        self.authors = tuple(authors)
        self._zones = tuple(zones)
        self._delay = delay
        self.loss = loss
        self._random = random
        self._alive = [False] * len(self.authors)
        self._group = [0] * len(self.authors)
        self._blind: frozenset[tuple[int, int]] = frozenset()
        self._repair: dict[tuple[int, int], int] = {}
        size = len(self.authors)
        self._links = [[Link() for _ in range(size)] for _ in range(size)]
        self.peers = tuple(
            tuple(b for b in range(size) if self.authors[b] != self.authors[a]) for a in range(size)
        )

    def set_alive(self, seat: int, *, alive: bool) -> None:
        """Say whether the seat's process runs."""
        self._alive[seat] = alive

    def set_partition(self, groups: Iterable[Iterable[int]]) -> None:
        """Cut the network into these groups of seats; seats named nowhere form one more group."""
        self._group = [0] * len(self.authors)
        for number, group in enumerate(groups, start=1):
            for seat in group:
                self._group[seat] = number

    def set_blind(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Cut exactly these pairs of seats: how each seat comes to see only one of two twins."""
        self._blind = frozenset((min(pair), max(pair)) for pair in pairs)

    def is_up(self, source: int, target: int) -> bool:
        """Return whether a message sent now would travel."""
        return self._links[source][target].up

    def refresh(self, now_us: int) -> list[tuple[int, int, bool]]:
        """Bring the links in line with the facts; return the changes as (a, b, up), a < b."""
        changes: list[tuple[int, int, bool]] = []
        for a, peers in enumerate(self.peers):
            for b in peers:
                if a >= b:
                    continue
                wanted = self._may_connect(a, b, now_us)
                if wanted != self._links[a][b].up:
                    self._switch(a, b, up=wanted)
                    changes.append((a, b, wanted))
        return changes

    def schedule(self, source: int, target: int, now_us: int) -> tuple[int, int] | None:
        """Send one message: return (arrival time, generation), or None when it is lost.

        A message lost with its connection leaves the pair under repair until `repaired_us`; the
        caller calls `refresh` then.
        """
        link = self._links[source][target]
        if not link.up:
            return None
        if self.loss.reset and self._random.random() < self.loss.reset:
            self.reset(source, target, now_us)
            return None
        delay = self._delay.sample_us(self._random, self._zones[source], self._zones[target])
        wait = RETRANSMIT_US
        while self.loss.retransmit and self._random.random() < self.loss.retransmit:
            delay += wait
            wait *= 2
        link.arrival_us = max(link.arrival_us, now_us + delay)
        return link.arrival_us, link.generation

    def reset(self, a: int, b: int, now_us: int) -> None:
        """Break the connection of this pair; it comes back after the reconnection time."""
        self._repair[min(a, b), max(a, b)] = now_us + RECONNECT_US

    def repaired_us(self, a: int, b: int) -> int | None:
        """Return until when the pair is under repair."""
        return self._repair.get((min(a, b), max(a, b)))

    def arrives(self, source: int, target: int, generation: int) -> bool:
        """Return whether a message of this connection still reaches its target."""
        link = self._links[source][target]
        return link.up and link.generation == generation

    def _may_connect(self, a: int, b: int, now_us: int) -> bool:
        return (
            self._alive[a]
            and self._alive[b]
            and self._group[a] == self._group[b]
            and (a, b) not in self._blind
            and self._repair.get((a, b), 0) <= now_us
        )

    def _switch(self, a: int, b: int, *, up: bool) -> None:
        for link in (self._links[a][b], self._links[b][a]):
            link.up = up
            if up:
                link.generation += 1
                link.arrival_us = 0
