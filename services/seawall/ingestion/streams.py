"""What a stream of events holds back, and how many streams there may be."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from seawall.errors import OperationalError, PeerError, SeawallError
from seawall.ingestion.config import IngestionSettings
from seawall.ingestion.update import Event, Stage

EVENTS_MESSAGE_MAX: Final = 1024
"""Events in one message; about 64 KiB."""


class Outbox:
    """Events of one stream that its reader has not taken yet; a `Sink` of updates.

    An update is settled once it has reached `until` or was refused. A stream whose sender is done
    ends when all its updates are settled and their events are taken.
    """

    def __init__(self, *, events_max: int, until: Stage = Stage.COMMITTED) -> None:
        """Start open and empty."""
        self.closed = False
        self.touched = asyncio.get_running_loop().time()
        self._events_max = events_max
        self._until = until
        self._events: deque[tuple[int, Event]] = deque()
        self._unsettled: set[bytes] = set()
        self._sender_done = False
        self._changed = asyncio.Event()
        self._overflowed = asyncio.Event()

    def expect(self, update_id: bytes) -> None:
        """Keep the stream open until this update is settled."""
        self._unsettled.add(update_id)

    def notify(self, number: int, event: Event) -> None:
        """Queue an event; a reader that lets too many pile up loses its stream."""
        if len(self._events) >= self._events_max:
            self.closed = True
            self._overflowed.set()
            return
        self._events.append((number, event))
        if event.stage >= self._until:
            self._unsettled.discard(event.update_id)
        self._changed.set()

    def sender_is_done(self) -> None:
        """Let the stream end once everything is settled and taken."""
        self._sender_done = True
        self._changed.set()

    def touch(self) -> None:
        """Note traffic."""
        self.touched = asyncio.get_running_loop().time()

    async def take(self) -> list[tuple[int, Event]]:
        """Return the next events, in order; none when the stream has nothing more to say."""
        while not self._events:
            if self._sender_done and not self._unsettled:
                return []
            self._changed.clear()
            await self._changed.wait()
        count = min(len(self._events), EVENTS_MESSAGE_MAX)
        self.touch()
        return [self._events.popleft() for _ in range(count)]

    def heard(self) -> list[tuple[int, Event]]:
        """Return the events that wait, in order, without waiting for any."""
        events = list(self._events)
        self._events.clear()
        return events

    async def guard(self, idle_seconds: float) -> None:
        """Wait until the stream must end.

        Raises:
            PeerError: QUOTA_EVENTS for a reader that is too slow; DEADLINE when nothing has moved
                for `idle_seconds` and nothing is expected.

        """
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout_at(self.touched + idle_seconds):
                    await self._overflowed.wait()
            except TimeoutError:
                if self._unsettled or loop.time() < self.touched + idle_seconds:
                    self.touched = max(self.touched, loop.time() - idle_seconds / 2)
                    continue
                hint = "open a stream when there is something to send"
                raise PeerError("DEADLINE", hint) from None
            raise PeerError("QUOTA_EVENTS", "read events as fast as they come")


async def settled(outbox: Outbox, seconds_max: float) -> Event:
    """Return the newest event of the only update of an outbox, once there is one.

    Raises:
        SeawallError: why the update was refused.
        OperationalError: DEADLINE.

    """
    try:
        async with asyncio.timeout(seconds_max):
            _, event = (await outbox.take())[-1]
    except TimeoutError:
        hint = "the update is not durable yet: send it again"
        raise OperationalError("DEADLINE", hint) from None
    finally:
        outbox.closed = True
    if event.stage is Stage.REFUSED:
        assert event.refusal is not None, "a refusal has a reason"
        raise event.refusal
    return event


def first_of_ours(failures: ExceptionGroup[Exception]) -> SeawallError:
    """Return the first failure of a stream's tasks that is ours; raise what is a bug."""
    for failure in failures.exceptions:
        if not isinstance(failure, SeawallError):
            raise failure
    first = failures.exceptions[0]
    assert isinstance(first, SeawallError), "checked above"
    return first


def host_of(peer: str) -> str:
    """Return the address of a peer, `ipv4:address:port`, without its port."""
    return peer.rpartition(":")[0] or peer


def stream_refusal() -> PeerError:
    """Return why no further stream may be opened."""
    hint = "too many streams are open here: close some, or use another site"
    return PeerError("QUOTA_STREAMS", hint)


class StreamQuota:
    """Counts open streams, in all and by address."""

    def __init__(self, settings: IngestionSettings) -> None:
        """Start with none."""
        self._streams_max = settings.streams_max
        self._peer_max = settings.streams_peer_max
        self._by_host: Counter[str] = Counter()
        self._open = 0

    @contextmanager
    def stream(self, peer: str) -> Iterator[None]:
        """Count one stream of a peer, `ipv4:address:port`, while it is open.

        Raises:
            PeerError: QUOTA_STREAMS.

        """
        host = host_of(peer)
        if self._open >= self._streams_max or self._by_host[host] >= self._peer_max:
            raise stream_refusal()
        self._open += 1
        self._by_host[host] += 1
        try:
            yield
        finally:
            self._open -= 1
            self._by_host[host] -= 1
            if not self._by_host[host]:
                del self._by_host[host]
