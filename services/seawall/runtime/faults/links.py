"""What is wrong with the links between this replica and others, and when a message gets through.

Links are streams: nothing is lost out of their middle, and nothing overtakes. So a lost segment is
a wait until it is sent again, and what follows waits behind it, as on a real connection. Several
effects on one direction of a link act one after the other, in the order in which they were added.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from random import Random
from typing import Final

from seawall.runtime.faults.tally import Tally

RETRANSMIT_US: Final = 200_000
RETRANSMIT_US_MAX: Final = 60_000_000
"""Least and longest wait for a lost segment; as in the simulator, and as TCP does on Linux."""

MESSAGES_MAX: Final = 4096
BYTES_MAX: Final = 64 << 20
"""What may be under way in one direction of a link; then its sender waits."""


class Direction(Enum):
    """Which way is hit, as the site sees it that was asked to."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


BOTH: Final = (Direction.INBOUND, Direction.OUTBOUND)


class Effect:
    """One fault on one direction of one link; does nothing unless a subclass says otherwise.

    `messages_max` and `bytes_max` bound what it lets be under way.
    """

    messages_max = MESSAGES_MAX
    bytes_max = BYTES_MAX
    holds = False
    """Whether nothing gets through."""

    def __init__(self, tally: Tally, random: Random) -> None:
        """Count in `tally`, and draw from `random`."""
        self.tally = tally
        self.random = random

    def due_us(self, now_us: int, size_bytes: int) -> int:
        """Return when a message gets through that would do so at `now_us`."""
        del size_bytes
        return now_us

    def copies(self) -> int:
        """Return how often a message arrives."""
        return 1

    def damages(self) -> bool:
        """Return whether a message is damaged under way."""
        return False

    def strikes(self, share: float) -> bool:
        """Draw whether it is this message's turn, and count it."""
        struck = self.random.random() < share
        if struck:
            self.tally.add()
        return struck


class Cut(Effect):
    """Nothing gets through."""

    messages_max = 1
    holds = True

    def due_us(self, now_us: int, size_bytes: int) -> int:
        """Count the message that waits."""
        del size_bytes
        self.tally.add()
        return now_us


class Late(Effect):
    """Messages take longer: a fixed part, jitter, lost segments, segments that were overtaken."""

    def __init__(
        self,
        tally: Tally,
        random: Random,
        *,
        add_us: int = 0,
        jitter_us: int = 0,
        loss: float = 0.0,
        reorder: float = 0.0,
        reorder_by_us: int = 0,
    ) -> None:
        """Take times in microseconds, and shares from 0 to 1."""
        super().__init__(tally, random)
        self._add_us = add_us
        self._jitter_us = jitter_us
        self._loss = loss
        self._reorder = reorder
        self._reorder_by_us = reorder_by_us

    def due_us(self, now_us: int, size_bytes: int) -> int:
        """Draw how long it takes."""
        del size_bytes
        around_us = self.random.randint(-self._jitter_us, self._jitter_us)
        waits_us = max(0, self._add_us + around_us) + self._resent_us()
        if self._reorder and self.random.random() < self._reorder:
            waits_us += self._reorder_by_us
        if waits_us:
            self.tally.add()
        return now_us + waits_us

    def _resent_us(self) -> int:
        """Draw how long a message waits for its segments to be sent again."""
        waited_us, wait_us = 0, RETRANSMIT_US
        while self._loss and waited_us < RETRANSMIT_US_MAX and self.random.random() < self._loss:
            waited_us += wait_us
            wait_us *= 2
        return min(waited_us, RETRANSMIT_US_MAX)


class Twice(Effect):
    """Some messages arrive twice."""

    def __init__(self, tally: Tally, random: Random, share: float) -> None:
        """Repeat this share of messages."""
        super().__init__(tally, random)
        self._share = share

    def copies(self) -> int:
        """Return 2 for this share of messages."""
        return 2 if self.strikes(self._share) else 1


class Damage(Effect):
    """Some messages are damaged."""

    def __init__(self, tally: Tally, random: Random, share: float) -> None:
        """Damage this share of messages."""
        super().__init__(tally, random)
        self._share = share

    def damages(self) -> bool:
        """Return True for this share of messages."""
        return self.strikes(self._share)


class Narrow(Effect):
    """A direction carries so many bits a second, and so much may wait for its turn."""

    def __init__(
        self, tally: Tally, random: Random, *, kbit_per_second: int, buffer_bytes: int
    ) -> None:
        """Carry 1000 bits a second for each of `kbit_per_second`."""
        super().__init__(tally, random)
        self.bytes_max = buffer_bytes
        self._kbit_per_second = kbit_per_second
        self._free_us = 0

    def due_us(self, now_us: int, size_bytes: int) -> int:
        """Return when the last bit is through, after all those before it."""
        self.tally.add()
        begins_us = max(now_us, self._free_us)
        self._free_us = begins_us + 8_000 * size_bytes // self._kbit_per_second
        return self._free_us


class Slow(Effect):
    """One message, then a pause; nothing is taken from the sender in between."""

    messages_max = 1

    def __init__(self, tally: Tally, random: Random, pause_us: int) -> None:
        """Wait so many microseconds after each message."""
        super().__init__(tally, random)
        self._pause_us = pause_us
        self._free_us = 0

    def due_us(self, now_us: int, size_bytes: int) -> int:
        """Return when the pause after the message before is over."""
        del size_bytes
        self.tally.add()
        due_us = max(now_us, self._free_us)
        self._free_us = due_us + self._pause_us
        return due_us


class LinkFaults:
    """The effects on the links of one replica, and the connections that can be closed.

    Belongs to the event loop. `changed` is replaced whenever an effect comes or goes.
    """

    def __init__(self) -> None:
        """Start with nothing wrong."""
        self.quiet = True
        """Whether nothing is wrong with any link: what is looked at for each message."""
        self._effects: dict[tuple[int, Direction], tuple[Effect, ...]] = {}
        self._open: dict[int, list[Callable[[], None]]] = {}
        self.changed = asyncio.Event()

    def on(self, peer: int, direction: Direction) -> tuple[Effect, ...]:
        """Return what is wrong with one direction of the link with a peer."""
        return self._effects.get((peer, direction), ())

    def add(self, effects: Mapping[tuple[int, Direction], Effect]) -> None:
        """Let these act too."""
        for place, effect in effects.items():
            self._effects[place] = (*self._effects.get(place, ()), effect)
        self._change()

    def remove(self, effects: Mapping[tuple[int, Direction], Effect]) -> None:
        """Take back one call of `add` with the same argument."""
        for place, effect in effects.items():
            left = tuple(one for one in self._effects[place] if one is not effect)
            if left:
                self._effects[place] = left
            else:
                del self._effects[place]
        self._change()

    def opened(self, peer: int, close: Callable[[], None]) -> None:
        """Take note of a connection, and of how it is closed."""
        self._open.setdefault(peer, []).append(close)

    def closed(self, peer: int, close: Callable[[], None]) -> None:
        """Take note of the end of a connection that `opened` was told of."""
        self._open[peer].remove(close)

    def close(self, peers: Sequence[int]) -> int:
        """Close all connections with these peers; return how many there were."""
        found = [close for peer in peers for close in self._open.get(peer, ())]
        for close in found:
            close()
        return len(found)

    def _change(self) -> None:
        self.quiet = not self._effects
        self.changed.set()
        self.changed = asyncio.Event()
