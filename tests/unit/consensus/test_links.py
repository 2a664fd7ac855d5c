"""One link over streams in memory: hellos, order, silence, slow readers, ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from seawall.api.v1 import consensus_pb2
from seawall.consensus.config import ConsensusSettings
from seawall.consensus.links import FORMAT_VERSION, Link
from seawall.consensus.messages import PeerMessage
from seawall.errors import OperationalError, PeerError, SeawallError
from tests.cases.bad_content import HELLOS
from tests.unit.consensus.cluster import make_committee

COMMITTEE = make_committee()


class MemoryStream:
    """One end of a stream between two links of a test."""

    transport = "memory"

    def __init__(self, room: int = 1000) -> None:
        self.incoming: asyncio.Queue[PeerMessage | SeawallError | None] = asyncio.Queue()
        self.outgoing: asyncio.Queue[PeerMessage | SeawallError | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(room)

    async def read(self) -> PeerMessage | None:
        """Return the next message."""
        item = await self.incoming.get()
        if isinstance(item, SeawallError):
            raise item
        return item

    async def write(self, message: PeerMessage) -> None:
        """Send a message once there is room."""
        await self._room.acquire()
        await self.outgoing.put(message)


class Recorder:
    """Takes what a link reports."""

    def __init__(self) -> None:
        self.messages: list[PeerMessage] = []
        self.is_up = asyncio.Event()
        self.downs = 0
        self.got = asyncio.Event()
        self.hold = asyncio.Event()
        self.hold.set()

    def up(self, link: Link) -> None:
        """Note it."""
        del link
        self.is_up.set()

    def down(self, link: Link) -> None:
        """Note it."""
        del link
        self.downs += 1

    async def receive(self, link: Link, message: PeerMessage) -> None:
        """Note it, and hold the reader back when told to."""
        del link
        await self.hold.wait()
        self.messages.append(message)
        self.got.set()


def hello(**changes: object) -> PeerMessage:
    fields: dict[str, object] = {
        "origin": COMMITTEE.origin,
        "epoch": 0,
        "format_version": FORMAT_VERSION,
        "author": 1,
        **changes,
    }
    made = consensus_pb2.PeerHello(**fields)  # type: ignore[arg-type]  # made wrong on purpose
    return PeerMessage(hello=made)


def note(number: int) -> PeerMessage:
    return PeerMessage(subscribe=consensus_pb2.PeerSubscribe(after_round=number))


class TimedLink(Link):
    """A link whose time a test moves."""

    now = 100.0

    def _now(self) -> float:
        return self.now


class Running:
    """A link at work, and how it ended."""

    def __init__(self, stream: MemoryStream, **limits: object) -> None:
        self.stream = stream
        self.recorder = Recorder()
        settings = ConsensusSettings.model_validate(limits)
        self.link = TimedLink(stream, self.recorder, COMMITTEE, settings, own=0, peer=1)
        self.reason: asyncio.Future[SeawallError] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Run the link to its end."""
        try:
            await self.link.run()
        except SeawallError as reason:
            self.reason.set_result(reason)


@asynccontextmanager
async def running(
    *incoming: PeerMessage | SeawallError | None, room: int = 1000, **limits: object
) -> AsyncIterator[Running]:
    stream = MemoryStream(room)
    for message in incoming:
        stream.incoming.put_nowait(message)
    made = Running(stream, **limits)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        task = group.create_task(made.run())
        yield made
        task.cancel()


async def test_hellos_first_then_messages_in_order() -> None:
    async with running(hello(), note(1), note(2), None) as one:
        reason = await one.reason
        assert reason.code == "LINK_CLOSED"
        assert one.recorder.messages == [note(1), note(2)]
        assert one.recorder.downs == 1
        ours = await one.stream.outgoing.get()
        assert ours == hello(author=0)


@pytest.mark.parametrize(("code", "field", "value"), [hello[1:] for hello in HELLOS])
async def test_a_hello_that_does_not_match_names_both(code: str, field: str, value: object) -> None:
    async with running(hello(**{field: value})) as one:
        reason = await one.reason
        assert isinstance(reason, PeerError)
        assert (reason.code, reason.field) == (code, field)
        assert f"theirs {value!a}" in reason.hint
        assert "expected" in reason.hint
        assert one.recorder.downs == 0  # never up


async def test_no_hello_at_all() -> None:
    async with running(note(1)) as one:
        assert (await one.reason).code == "HELLO_MISSING"
    async with running(None) as one:
        assert (await one.reason).code == "LINK_CLOSED"
    async with running(hello_seconds_max=0.01) as one:
        assert (await one.reason).code == "LINK_SILENT"
    async with running(OperationalError("RPC_UNAVAILABLE", "gone")) as one:
        assert (await one.reason).code == "RPC_UNAVAILABLE"


async def test_what_is_sent_goes_out_in_order() -> None:
    async with running(hello()) as one:
        await one.recorder.is_up.wait()
        for number in range(100):
            one.link.send(note(number), 4)
        sent = [await one.stream.outgoing.get() for _ in range(101)]
        assert sent[1:] == [note(number) for number in range(100)]


@pytest.mark.parametrize(
    "limits", [{"peer_queue_messages_max": 8}, {"peer_queue_bytes_max": 1 << 16}]
)
async def test_a_reader_that_is_too_slow_loses_the_link(limits: dict[str, object]) -> None:
    async with running(hello(), room=1, **limits) as one:
        await one.recorder.is_up.wait()
        for number in range(20):
            one.link.send(note(number), 1 << 13)
            await asyncio.sleep(0)
        reason = await one.reason
        assert reason.code == "LINK_SLOW"
        assert one.stream.outgoing.qsize() == 1


async def test_silence_and_stuck_writes_end_a_link() -> None:
    limits: dict[str, Any] = {"silence_seconds_max": 10, "heartbeat_seconds": 100}
    async with running(hello(), **limits) as one:
        await one.recorder.is_up.wait()
        one.link.now += 10
        one.link.tick()
        one.stream.incoming.put_nowait(note(1))
        await one.recorder.got.wait()
        one.link.now += 10
        one.link.tick()
        assert not one.reason.done()
        one.link.now += 0.5
        one.link.tick()
        assert (await one.reason).code == "LINK_SILENT"
    async with running(hello(), room=1, **limits) as one:
        await one.recorder.is_up.wait()
        one.link.send(note(1), 4)
        await asyncio.sleep(0)
        one.link.now += 10.5
        one.stream.incoming.put_nowait(note(1))
        await one.recorder.got.wait()
        one.link.tick()
        assert (await one.reason).code == "LINK_SLOW"


async def test_an_idle_link_sends_heartbeats() -> None:
    async with running(hello(), heartbeat_seconds=2) as one:
        await one.stream.outgoing.get()
        await one.recorder.is_up.wait()
        one.link.now += 2
        one.link.tick()
        one.link.now += 0.5
        one.link.tick()
        sent = await one.stream.outgoing.get()
        assert isinstance(sent, PeerMessage)
        assert sent.WhichOneof("kind") == "heartbeat"
        one.link.tick()
        await asyncio.sleep(0)
        assert one.stream.outgoing.empty()


async def test_a_reader_waits_for_its_replica() -> None:
    async with running(hello(), *map(note, range(9)), None) as one:
        one.recorder.hold.clear()
        await one.recorder.is_up.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        assert one.stream.incoming.qsize() == 9
        one.recorder.hold.set()
        await one.reason
        assert len(one.recorder.messages) == 9


async def test_the_first_reason_counts() -> None:
    async with running(hello()) as one:
        await one.recorder.is_up.wait()
        one.link.end(PeerError("BLOCK_SIGNATURE", "not signed"))
        one.link.end(OperationalError("LINK_CLOSED", "later"))
        assert (await one.reason).code == "BLOCK_SIGNATURE"
