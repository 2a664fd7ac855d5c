"""FINAL statements of the replica, for those services of this site that want to hear of them.

Nothing here waits for a reader. What one does not take in time is dropped, the oldest first: a
FINAL that nobody reports is followed by COMMITTED, which says more.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from seawall.consensus.engine import Finality
from seawall.errors import PeerError

READERS_MAX: Final = 8
"""Readers at one time; a site has one that matters."""

WAITING_UPDATES_MAX: Final = 65_536
"""Updates whose statements wait for one reader; their records take up to 9 MiB."""

TAKEN_UPDATES_MAX: Final = 8192
"""Updates in what one `take` returns, beyond its first statement; about 280 KiB as a message."""


class FinalityReader:
    """The statements that one reader has not taken yet."""

    def __init__(self) -> None:
        """Start with nothing to read."""
        self._waiting: deque[Finality] = deque()
        self._updates = 0
        self._arrived = asyncio.Event()

    async def take(self) -> list[Finality]:
        """Return the next statements, in order; waits for the first."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        taken = [self._pop()]
        updates = len(taken[0].positions)
        while self._waiting:
            updates += len(self._waiting[0].positions)
            if updates > TAKEN_UPDATES_MAX:
                break
            taken.append(self._pop())
        return taken

    def put(self, statements: Sequence[Finality]) -> None:
        """Queue statements; drop the oldest when too much waits."""
        self._waiting.extend(statements)
        self._updates += sum(len(one.positions) for one in statements)
        while self._updates > WAITING_UPDATES_MAX and len(self._waiting) > 1:
            self._pop()
        self._arrived.set()

    def _pop(self) -> Finality:
        statement = self._waiting.popleft()
        self._updates -= len(statement.positions)
        return statement


class FinalityFeed:
    """Hands every statement to every reader."""

    def __init__(self) -> None:
        """Start without readers."""
        self._readers: list[FinalityReader] = []

    def publish(self, statements: Sequence[Finality]) -> None:
        """Queue statements for all readers; never waits."""
        for reader in self._readers:
            reader.put(statements)

    @contextmanager
    def reader(self) -> Iterator[FinalityReader]:
        """Return a reader that hears what is published while the context is open.

        Raises:
            PeerError: QUOTA_STREAMS.

        """
        if len(self._readers) >= READERS_MAX:
            raise PeerError("QUOTA_STREAMS", "too many services follow finality here")
        made = FinalityReader()
        self._readers.append(made)
        try:
            yield made
        finally:
            self._readers.remove(made)
