"""Links on which an experiment acts: messages that are late, repeated, damaged, or held back.

    read  ◄── passage ◄── stream          write ──► passage ──► stream

While nothing is wrong with a direction its messages go straight through. Once something is, each
enters a `Passage`, with the moment at which it gets through, and a task carries them on; they go
on in order until the passage is empty again.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from seawall.consensus.config import ConsensusSettings
from seawall.consensus.frames import FrameStream
from seawall.consensus.links import DialledStream, Link, Receiver, Stream
from seawall.consensus.messages import PeerMessage
from seawall.domain.committee import Committee
from seawall.errors import OperationalError, SeawallError
from seawall.runtime.faults.links import Direction, Effect, LinkFaults

FRAGMENT: Final = "fragment"


@dataclass(frozen=True, slots=True)
class _Item:
    """One message under way; None stands for the end of the stream."""

    message: PeerMessage | None
    size_bytes: int
    due_us: int
    damaged: bool


class Passage:
    """What is under way in one direction of one link, oldest first."""

    def __init__(self, faults: LinkFaults, peer: int, direction: Direction) -> None:
        """Start empty."""
        self._faults = faults
        self._peer = peer
        self._direction = direction
        self._items: deque[_Item] = deque()
        self._bytes = 0
        self._moved = asyncio.Event()
        self._failure: SeawallError | None = None

    def __len__(self) -> int:
        """Return how many messages are under way."""
        return len(self._items)

    @property
    def effects(self) -> tuple[Effect, ...]:
        """Return what is wrong for the time being."""
        faults = self._faults
        return () if faults.quiet else faults.on(self._peer, self._direction)

    def fail(self, failure: SeawallError) -> None:
        """Make later calls fail, those of `take` once nothing is under way."""
        self._failure = failure
        self._move()

    async def put(self, message: PeerMessage | None) -> None:
        """Let a message enter; waits while too much is under way.

        Raises:
            SeawallError: what `fail` was called with.

        """
        while self._is_full() and self._failure is None:
            await self._change()
        if self._failure is not None:
            raise self._failure
        size_bytes = 0 if message is None else message.ByteSize()
        due_us, copies, damaged = _now_us(), 1, False
        if message is not None:
            for effect in self.effects:
                due_us = effect.due_us(due_us, size_bytes)
                damaged = damaged or effect.damages()
                if message.WhichOneof("kind") != FRAGMENT:
                    copies = max(copies, effect.copies())
        for _ in range(copies):
            self._items.append(_Item(message, size_bytes, due_us, damaged))
            self._bytes += size_bytes
        self._move()

    async def take(self) -> tuple[PeerMessage | None, bool]:
        """Return the oldest message, once it gets through, and whether it is damaged.

        Raises:
            SeawallError: what `fail` was called with.

        """
        while not self._items:
            if self._failure is not None:
                raise self._failure
            await self._change()
        item = self._items[0]
        # When nothing is wrong any more, what was late goes on at once.
        while effects := self.effects:
            holds = any(effect.holds for effect in effects)
            seconds = None if holds else (item.due_us - _now_us()) / 1e6
            if seconds is not None and seconds <= 0:
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._faults.changed.wait()
        self._items.popleft()
        self._bytes -= item.size_bytes
        self._move()
        return item.message, item.damaged

    def _is_full(self) -> bool:
        effects = self.effects
        messages_max = min((effect.messages_max for effect in effects), default=1)
        bytes_max = min((effect.bytes_max for effect in effects), default=0)
        full = len(self._items) >= messages_max or self._bytes >= bytes_max
        return bool(self._items) and full

    def _move(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def _change(self) -> None:
        """Return when something entered, left or failed, or a fault came or went."""
        moved = asyncio.ensure_future(self._moved.wait())
        changed = asyncio.ensure_future(self._faults.changed.wait())
        try:
            await asyncio.wait((moved, changed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            moved.cancel()
            changed.cancel()


class ShapedStream:
    """Implements `seawall.consensus.links.Stream` over another one, with faults between.

    `carry_in` and `carry_out` must run as long as it is used.
    """

    def __init__(self, stream: Stream, peer: int, faults: LinkFaults) -> None:
        """Pass through `stream` as `faults` lets."""
        self.transport = stream.transport
        self._stream = stream
        self._in = Passage(faults, peer, Direction.INBOUND)
        self._out = Passage(faults, peer, Direction.OUTBOUND)
        self._reads = asyncio.Event()
        self._carrying = False

    async def read(self) -> PeerMessage | None:
        """Return the next message, once it gets through.

        Raises:
            OperationalError: LINK_CORRUPT for one that was damaged.
            SeawallError: as the stream.

        """
        if not self._reads.is_set() and not self._in:
            message = await self._stream.read()
            if not self._in.effects:
                return message
            await self._in.put(message)
            # From now on `carry_in` reads, until nothing is wrong any more.
            self._reads.set()
        message, damaged = await self._in.take()
        if damaged:
            raise _corrupt()
        return message

    async def write(self, message: PeerMessage) -> None:
        """Send a message; returns when there is room for it; raises as the stream."""
        if self._carrying or self._out or self._out.effects:
            await self._out.put(message)
        else:
            await self._stream.write(message)

    async def carry_in(self) -> None:
        """Read ahead while something is wrong, until cancelled."""
        while True:
            await self._reads.wait()
            try:
                message = await self._stream.read()
            except SeawallError as failure:
                self._in.fail(failure)
                return
            await self._in.put(message)
            if message is None or not self._in.effects:
                self._reads.clear()

    async def carry_out(self) -> None:
        """Send what is under way, until cancelled; raises as the stream."""
        try:
            while True:
                self._carrying = False
                message, damaged = await self._out.take()
                self._carrying = True
                assert message is not None, "nobody writes the end"
                if damaged:
                    await self._damage()
                await self._stream.write(message)
        except SeawallError as failure:
            self._out.fail(failure)
            raise

    def abort(self) -> None:
        """Break the connection without a word, where the transport lets us."""
        if isinstance(self._stream, FrameStream | DialledStream):
            self._stream.close()

    async def _damage(self) -> None:
        """Damage what is sent: on the wire, where the other side's TLS notices."""
        if not isinstance(self._stream, FrameStream) or not self._stream.damage():
            raise _corrupt()


class ShapedLink(Link):
    """A link over a shaped stream."""

    def __init__(
        self,
        stream: Stream,
        receiver: Receiver,
        committee: Committee,
        settings: ConsensusSettings,
        *,
        own: int,
        peer: int,
        faults: LinkFaults,
    ) -> None:
        """Prepare a link as `Link` does, on which `faults` act."""
        self.shaped = ShapedStream(stream, peer, faults)
        self._faults = faults
        super().__init__(self.shaped, receiver, committee, settings, own=own, peer=peer)

    async def run(self) -> None:
        """Run the link and what carries its messages; raises as `Link.run`."""
        reason: SeawallError | None = None
        self._faults.opened(self.peer, self.reset)
        try:
            async with asyncio.TaskGroup() as group:
                carriers = [
                    group.create_task(self._carry(self.shaped.carry_in), name="carry-in"),
                    group.create_task(self._carry(self.shaped.carry_out), name="carry-out"),
                ]
                try:
                    await super().run()
                except SeawallError as fault:
                    reason = fault
                finally:
                    for carrier in carriers:
                        carrier.cancel()
        finally:
            self._faults.closed(self.peer, self.reset)
        assert reason is not None, "a link ends with a reason"
        raise reason

    def reset(self) -> None:
        """Close the connection."""
        self.shaped.abort()
        self.end(OperationalError("LINK_RESET", "an experiment has closed the connection"))

    async def _carry(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except SeawallError as fault:
            self.end(fault)


def shaped_link(faults: LinkFaults) -> Callable[..., Link]:
    """Return what makes links as `Link` does, on which these faults act."""
    return partial(ShapedLink, faults=faults)


def _now_us() -> int:
    """Return microseconds of the event loop's clock."""
    return int(asyncio.get_running_loop().time() * 1e6)


def _corrupt() -> OperationalError:
    return OperationalError("LINK_CORRUPT", "bytes were damaged under way")
