"""Links between seats in virtual time: delay, loss, resets, partitions, and who sees which twin.

A *seat* is one running replica of the world. Twins are two seats of one author. A link exists
between every two seats of different authors and behaves like one TCP connection: messages arrive
in the order in which they were sent, a lost segment is a delay, and a broken connection loses
whatever was on its way. Both ends learn of a break and of a new connection as events.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, Protocol, TypeAlias

from seawall.consensus.engine import Message

SECOND_US: Final = 1_000_000
MILLISECOND_US: Final = 1_000
RETRANSMIT_US: Final = 200 * MILLISECOND_US
RETRANSMIT_US_MAX: Final = 10 * SECOND_US
RECONNECT_US: Final = 50 * MILLISECOND_US
SILENCE_US: Final = 10 * SECOND_US
"""A link that has heard nothing for so long ends, as `silence_seconds_max` has it at real sites."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What is wrong with one direction of a link: more delay, jitter around it, lost segments.

    `loss` is the chance of each further wait for a segment to be sent again: streams lose nothing.
    `late` is the chance that a segment is overtaken by later ones; the stream waits `late_us` for
    it, since nothing is handed on out of order.
    """

    add_us: int = 0
    jitter_us: int = 0
    loss: float = 0.0
    late: float = 0.0
    late_us: int = 0

    def and_then(self, other: "Quality") -> "Quality":
        """Return both faults at once."""
        return Quality(
            add_us=self.add_us + other.add_us,
            jitter_us=self.jitter_us + other.jitter_us,
            loss=1.0 - (1.0 - self.loss) * (1.0 - other.loss),
            late=1.0 - (1.0 - self.late) * (1.0 - other.late),
            late_us=max(self.late_us, other.late_us),
        )


Held: TypeAlias = tuple[int, int, tuple[Message, ...]]
"""Messages that waited in one direction: (source, target, messages)."""


@dataclass(slots=True)
class Link:
    """One direction of a connection; `generation` counts its connections.

    `messages` and `travel_us` count what it carried since somebody last set them to zero. `held`
    are messages in a direction that delivers nothing for the time being, oldest first.
    """

    up: bool = False
    generation: int = 0
    arrival_us: int = 0
    messages: int = 0
    travel_us: int = 0
    held: list[Message] = field(default_factory=list)


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
        self.resent_until_us = 0
        """When the last message arrives that had to be sent again, or waits behind one."""
        self._random = random
        self._alive = [False] * len(self.authors)
        self._group = [0] * len(self.authors)
        self._blind: frozenset[tuple[int, int]] = frozenset()
        self._repair: dict[tuple[int, int], int] = {}
        self._qualities: Mapping[tuple[int, int], Quality] = {}
        self._stalled: dict[tuple[int, int], int] = {}
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

    def place(self, zones: Sequence[str]) -> None:
        """Put each seat into a zone, in place of the one that its committee says."""
        assert len(zones) == len(self.authors), "one zone for each seat"
        self._zones = tuple(zones)

    def set_qualities(self, qualities: Mapping[tuple[int, int], Quality]) -> None:
        """Say what is wrong with directions (source, target); all others are well."""
        self._qualities = qualities

    def set_stalled(self, directions: Iterable[tuple[int, int]], now_us: int) -> list[Held]:
        """Let exactly these directions deliver nothing; return what others had held back.

        Each is (source, target, messages): the caller sends them now. A connection ends when one
        of its directions has been silent for `SILENCE_US`.
        """
        before = self._stalled
        self._stalled = {pair: before.get(pair, now_us) for pair in directions}
        freed: list[Held] = []
        for source, target in before:
            link = self._links[source][target]
            if (source, target) not in self._stalled and link.held:
                freed.append((source, target, tuple(link.held)))
                link.held.clear()
        return freed

    def hold(self, source: int, target: int, message: Message) -> bool:
        """Keep a message back when its direction delivers nothing; return whether it was kept."""
        if (source, target) not in self._stalled:
            return False
        self._links[source][target].held.append(message)
        return True

    def round_trip_us(self, a: int, b: int, random: Random) -> int | None:
        """Draw the time of a question and its answer; None where the two cannot talk."""
        if not self.is_up(a, b) or (a, b) in self._stalled or (b, a) in self._stalled:
            return None
        return self._travel_us(a, b, random) + self._travel_us(b, a, random)

    def take_travel(self, source: int, target: int) -> tuple[int, int]:
        """Return (messages, their travel times together) of a direction since the last call."""
        link = self._links[source][target]
        found = link.messages, link.travel_us
        link.messages = link.travel_us = 0
        return found

    def carried(self, source: int, target: int) -> tuple[int, int]:
        """Return (messages, their travel times together) since they were last set to zero."""
        link = self._links[source][target]
        return link.messages, link.travel_us

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
        delay = self._travel_us(source, target, self._random)
        link.arrival_us = max(link.arrival_us, now_us + delay)
        if self.loss.retransmit:
            self.resent_until_us = max(self.resent_until_us, link.arrival_us)
        link.messages += 1
        link.travel_us += link.arrival_us - now_us
        return link.arrival_us, link.generation

    def _travel_us(self, source: int, target: int, random: Random) -> int:
        """Draw how long one message is on its way."""
        delay = self._delay.sample_us(random, self._zones[source], self._zones[target])
        delay += self._resent_us(self.loss.retransmit, random)
        quality = self._qualities.get((source, target))
        if quality is not None:
            around = random.randint(-quality.jitter_us, quality.jitter_us)
            delay = max(1, delay + quality.add_us + around) + self._resent_us(quality.loss, random)
            if quality.late and random.random() < quality.late:
                delay += quality.late_us
        return delay

    def _resent_us(self, loss: float, random: Random) -> int:
        """Draw how long the segments of a message wait to be sent again."""
        waited_us, wait_us = 0, RETRANSMIT_US
        while loss and random.random() < loss:
            waited_us += wait_us
            wait_us = min(2 * wait_us, RETRANSMIT_US_MAX)
        return waited_us

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
            and not self._is_silent(a, b, now_us)
        )

    def _is_silent(self, a: int, b: int, now_us: int) -> bool:
        """Return whether a direction of this pair has delivered nothing for too long."""
        return any(
            now_us - self._stalled.get(pair, now_us) >= SILENCE_US for pair in ((a, b), (b, a))
        )

    def _switch(self, a: int, b: int, *, up: bool) -> None:
        for link in (self._links[a][b], self._links[b][a]):
            link.up = up
            link.held.clear()
            if up:
                link.generation += 1
                link.arrival_us = 0
