"""Links between sites that an experiment has cut: what is sent waits, as on a broken path.

Nothing is lost out of the middle of a stream, which no network does to a connection either: while
a link is cut, messages on it do not arrive, and after a while either side gives it up for silent.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from enum import Enum


class Direction(Enum):
    """Which way is cut, as the site sees it that was asked to."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class LinkCuts:
    """The cuts of one process; several faults may cut the same link.

    Belongs to the event loop.
    """

    def __init__(self) -> None:
        """Start with nothing cut."""
        self._cut: Counter[tuple[int, Direction]] = Counter()
        self._mended = asyncio.Event()

    def cut(self, peers: Sequence[int], directions: Sequence[Direction]) -> None:
        """Cut the links with these peers."""
        self._cut.update((peer, way) for peer in peers for way in directions)

    def mend(self, peers: Sequence[int], directions: Sequence[Direction]) -> None:
        """Take back one call of `cut` with the same arguments."""
        self._cut.subtract((peer, way) for peer in peers for way in directions)
        self._mended.set()
        self._mended = asyncio.Event()

    def is_cut(self, peer: int, direction: Direction) -> bool:
        """Tell whether messages of this link wait."""
        return self._cut[peer, direction] > 0

    async def passed(self, peer: int, direction: Direction) -> None:
        """Return when a message of this link may pass: at once, unless it is cut."""
        while self.is_cut(peer, direction):
            await self._mended.wait()
