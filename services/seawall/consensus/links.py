"""Links to other validators: one bidirectional stream for each pair, kept up for ever.

The site with the higher index dials, the other answers. Both say hello first: origin, epoch,
format version and author, the last compared with the TLS certificate; a mismatch ends the link
and names both values. After that each side has one task that reads and one that writes.

A link never blocks the replica: what is sent waits in a bounded queue, and a peer that reads too
slowly loses its link; when it is back, it subscribes to what it missed. Nothing that a peer does
ends more than its own link.

`Stream` is all that a link needs of a transport: `seawall.consensus.frames` where the answering
site takes frames and can be reached there, else gRPC.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

import grpc
import grpc.aio

from seawall.api.v1 import consensus_pb2, consensus_pb2_grpc
from seawall.consensus.config import ConsensusSettings
from seawall.consensus.frames import FrameStream, dial
from seawall.consensus.messages import PeerMessage
from seawall.domain.committee import Committee
from seawall.errors import OperationalError, PeerError, SeawallError
from seawall.runtime import status
from seawall.runtime.tls import FrameTarget
from seawall.telemetry.logs import Log

FORMAT_VERSION: Final = 2
"""Version of block and message formats, compared in every hello."""

_HEARTBEAT: Final = PeerMessage(heartbeat=consensus_pb2.PeerHeartbeat())


class Stream(Protocol):
    """A transport's end of one link: ordered, reliable messages both ways."""

    transport: str
    """Name of the transport, for people."""

    async def read(self) -> PeerMessage | None:
        """Return the next message, None at the end; raises `SeawallError`."""
        ...

    async def write(self, message: PeerMessage) -> None:
        """Send a message; returns when the transport has room for it; raises `SeawallError`."""
        ...


class Receiver(Protocol):
    """What stands behind the links: the host of the replica."""

    def up(self, link: "Link") -> None:
        """Take note of a new link; it replaces an older one of the same peer."""
        ...

    def down(self, link: "Link") -> None:
        """Take note of the end of a link."""
        ...

    async def receive(self, link: "Link", message: PeerMessage) -> None:
        """Take a message; returns when there is room for the next."""
        ...


class Link:
    """One link at work: queue, reader, writer, heartbeat."""

    def __init__(
        self,
        stream: Stream,
        receiver: Receiver,
        committee: Committee,
        settings: ConsensusSettings,
        *,
        own: int,
        peer: int,
    ) -> None:
        """Prepare a link over an open stream with the peer that the certificate names."""
        self.peer = peer
        self.transport = stream.transport
        self.sent_bytes = 0
        self.received_bytes = 0
        self._stream = stream
        self._receiver = receiver
        self._committee = committee
        self._settings = settings
        self._own = own
        self._queue: deque[tuple[PeerMessage, int]] = deque()
        self._queued_bytes = 0
        self._ready = asyncio.Event()
        self._ended: asyncio.Future[SeawallError] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._heard = self._spoke = self._now()
        self._writing_since: float | None = None

    def _now(self) -> float:
        """Return the event loop's time in seconds."""
        return self._loop.time()

    async def run(self) -> None:
        """Say hello, then carry messages until the link ends.

        Raises:
            SeawallError: why it ended: HELLO_* with both values, LINK_SILENT, LINK_SLOW,
                LINK_CLOSED, the `PeerError` given to `end`, or what the transport said.

        """
        try:
            async with asyncio.timeout(self._settings.hello_seconds_max):
                await self._stream.write(self._hello())
                self._check_hello(await self._stream.read())
        except TimeoutError:
            raise OperationalError("LINK_SILENT", "no hello in time") from None
        self._heard = self._spoke = self._now()
        self._receiver.up(self)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = (
                    group.create_task(self._guarded(self._read_all), name=f"read-{self.peer}"),
                    group.create_task(self._guarded(self._write_all), name=f"write-{self.peer}"),
                )
                reason = await self._ended
                for task in tasks:
                    task.cancel()
        finally:
            self._receiver.down(self)
        raise reason

    def end(self, reason: SeawallError) -> None:
        """End the link; the first reason counts."""
        if not self._ended.done():
            self._ended.set_result(reason)

    def send(self, message: PeerMessage, size_bytes: int) -> None:
        """Queue a message; a queue that is full ends the link."""
        settings = self._settings
        if (
            len(self._queue) >= settings.peer_queue_messages_max
            or self._queued_bytes + size_bytes > settings.peer_queue_bytes_max
        ):
            self.end(OperationalError("LINK_SLOW", "the peer reads too slowly"))
            return
        self._queue.append((message, size_bytes))
        self._queued_bytes += size_bytes
        self._ready.set()

    def tick(self) -> None:
        """Look after the link, about once a second."""
        now = self._now()
        limit = self._settings.silence_seconds_max
        if now - self._heard > limit:
            self.end(OperationalError("LINK_SILENT", f"nothing heard for {limit} s"))
        elif self._writing_since is not None and now - self._writing_since > limit:
            self.end(OperationalError("LINK_SLOW", f"nothing read for {limit} s"))
        elif now - self._spoke > self._settings.heartbeat_seconds and not self._queue:
            self.send(_HEARTBEAT, 2)

    def _hello(self) -> PeerMessage:
        return PeerMessage(
            hello=consensus_pb2.PeerHello(
                origin=self._committee.origin,
                epoch=self._committee.epoch,
                format_version=FORMAT_VERSION,
                author=self._own,
            )
        )

    def _check_hello(self, message: PeerMessage | None) -> None:
        if message is None:
            raise OperationalError("LINK_CLOSED", "the peer closed the link before its hello")
        if message.WhichOneof("kind") != "hello":
            raise PeerError("HELLO_MISSING", "the first message is the hello", field="kind")
        hello = message.hello
        pairs = (
            ("origin", hello.origin[:64], self._committee.origin),
            ("epoch", hello.epoch, self._committee.epoch),
            ("format_version", hello.format_version, FORMAT_VERSION),
            ("author", hello.author, self.peer),
        )
        for field, theirs, ours in pairs:
            if theirs != ours:
                code = _HELLO_CODES[field]
                raise PeerError(code, f"theirs {theirs!a}, expected {ours!a}", field=field)

    async def _guarded(self, work: Callable[[], Any]) -> None:
        """Run one side; its failure ends this link and nothing else."""
        try:
            await work()
        except SeawallError as fault:
            self.end(fault)

    async def _read_all(self) -> None:
        while (message := await self._stream.read()) is not None:
            self._heard = self._now()
            await self._receiver.receive(self, message)
            self._heard = self._now()
        self.end(OperationalError("LINK_CLOSED", "the peer closed the link"))

    async def _write_all(self) -> None:
        while True:
            await self._ready.wait()
            self._ready.clear()
            while self._queue:
                message, size_bytes = self._queue.popleft()
                self._queued_bytes -= size_bytes
                self._writing_since = self._spoke = self._now()
                await self._stream.write(message)
                self._writing_since = None


_HELLO_CODES: Final = {
    "origin": "HELLO_ORIGIN",
    "epoch": "HELLO_EPOCH",
    "format_version": "HELLO_FORMAT",
    "author": "HELLO_AUTHOR",
}


class DialledStream:
    """The dialling side of `ConsensusService.Blocks`."""

    transport = "grpc"

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Open the stream; the connection is waited for."""
        stub = consensus_pb2_grpc.ConsensusServiceStub(channel)
        self._call = stub.Blocks(wait_for_ready=True)

    async def read(self) -> PeerMessage | None:
        """Return the next message."""
        try:
            answer = await self._call.read()
        except grpc.RpcError as fault:
            raise status.error_from(fault) from None
        except asyncio.InvalidStateError:
            answer = grpc.aio.EOF
        return answer.message if isinstance(answer, consensus_pb2.BlocksResponse) else None

    async def write(self, message: PeerMessage) -> None:
        """Send a message."""
        try:
            await self._call.write(consensus_pb2.BlocksRequest(message=message))
        except grpc.RpcError as fault:
            raise status.error_from(fault) from None
        except asyncio.InvalidStateError:
            raise OperationalError("LINK_CLOSED", "the stream has ended") from None

    def close(self) -> None:
        """End the stream."""
        self._call.cancel()


class AnsweringStream:
    """The answering side of `ConsensusService.Blocks`."""

    transport = "grpc"

    def __init__(self, context: status.AnyContext) -> None:
        """Speak through the context of the call."""
        self._context = context

    async def read(self) -> PeerMessage | None:
        """Return the next message."""
        try:
            request = await self._context.read()
        except (grpc.aio.BaseError, grpc.RpcError, asyncio.InvalidStateError):
            raise OperationalError("LINK_CLOSED", "the stream has ended") from None
        return request.message if isinstance(request, consensus_pb2.BlocksRequest) else None

    async def write(self, message: PeerMessage) -> None:
        """Send a message."""
        try:
            await self._context.write(consensus_pb2.BlocksResponse(message=message))
        except (grpc.aio.BaseError, grpc.RpcError, asyncio.InvalidStateError):
            raise OperationalError("LINK_CLOSED", "the stream has ended") from None


class Dialler:
    """Keeps one link up: dials, runs it, waits, dials again, for ever."""

    def __init__(
        self,
        peer: int,
        channel: Callable[[], grpc.aio.Channel],
        frames: Callable[[], FrameTarget],
        link: Callable[[Stream, int], Link],
        settings: ConsensusSettings,
        log: Log,
    ) -> None:
        """Dial `peer`, and build each link by `link(stream, peer)`.

        Args:
            peer: index of the site.
            channel: gives the gRPC channel to it.
            frames: says how to dial its frames.
            link: makes a link over an open stream.
            settings: times.
            log: where the end of each link is noted.

        """
        self._peer = peer
        self._channel = channel
        self._frames = frames
        self._link = link
        self._settings = settings
        self._log = log

    async def run(self) -> None:
        """Dial until cancelled."""
        pause = self._settings.reconnect_seconds_min
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            reason = await self._attempt()
            self._log.info(
                "link_ended", peer=self._peer, dialled=True, code=reason.code, hint=reason.hint
            )
            if loop.time() - began > self._settings.silence_seconds_max:
                pause = self._settings.reconnect_seconds_min
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._settings.reconnect_seconds_max)

    async def _attempt(self) -> SeawallError:
        try:
            stream = await self._open()
        except SeawallError as fault:
            return fault
        try:
            await self._link(stream, self._peer).run()
        except SeawallError as fault:
            return fault
        finally:
            stream.close()
        raise AssertionError  # a link ends with a reason

    async def _open(self) -> DialledStream | FrameStream:
        """Return a stream to the peer: frames if it takes them and they get through.

        Raises:
            SeawallError: the peer does not answer.

        """
        channel, seconds_max = self._channel(), self._settings.hello_seconds_max
        port = await self._ask_port(channel, seconds_max)
        if port:
            host, tls, name = self._frames()
            framed = await dial(host, port, tls, name, seconds_max=seconds_max)
            if framed is not None:
                return framed
            self._log.warning("frames_unreachable", peer=self._peer, host=host, port=port)
        return DialledStream(channel)

    async def _ask_port(self, channel: grpc.aio.Channel, seconds_max: float) -> int:
        """Return the port on which the peer takes frames, 0 when it takes none."""
        stub = consensus_pb2_grpc.ConsensusServiceStub(channel)
        question = consensus_pb2.ConsensusStatusRequest()
        try:
            answer = await stub.ConsensusStatus(question, timeout=seconds_max, wait_for_ready=True)
        except grpc.aio.AioRpcError as fault:
            if fault.code() is grpc.StatusCode.UNIMPLEMENTED:
                return 0
            raise status.error_from(fault) from None
        return answer.frame_port
