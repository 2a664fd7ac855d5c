"""A link on which faults act: everything in order, late, repeated, damaged or held back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from seawall.api.v1 import consensus_pb2
from seawall.consensus.config import ConsensusSettings
from seawall.consensus.messages import PeerMessage
from seawall.consensus.shaping import ShapedLink, ShapedStream
from seawall.errors import OperationalError
from seawall.runtime.faults.links import (
    Cut,
    Damage,
    Direction,
    Effect,
    Late,
    LinkFaults,
    Slow,
    Twice,
)
from seawall.runtime.faults.tally import Tally
from tests.unit.consensus.test_links import COMMITTEE, MemoryStream, Recorder, hello

IN, OUT = Direction.INBOUND, Direction.OUTBOUND
PEER = 2
HOUR_US = 3_600_000_000


def message(number: int) -> PeerMessage:
    return PeerMessage(fetch_commits=consensus_pb2.PeerFetchCommits(first_index=number))


def fragment(*, last: bool) -> PeerMessage:
    return PeerMessage(fragment=consensus_pb2.PeerFragment(data=b"x", last=last))


class Setup:
    """A shaped stream with its ends."""

    def __init__(self) -> None:
        self.faults = LinkFaults()
        self.inner = MemoryStream()
        self.stream = ShapedStream(self.inner, PEER, self.faults)

    def add(self, direction: Direction, effect: Effect) -> dict[tuple[int, Direction], Effect]:
        """Let an effect act, and return what takes it back."""
        placed = {(PEER, direction): effect}
        self.faults.add(placed)
        return placed

    def arrive(self, *numbers: int) -> None:
        """Let messages come from the peer."""
        for number in numbers:
            self.inner.incoming.put_nowait(message(number))

    async def sent(self) -> int:
        """Return the number of the next message that left."""
        item = await self.inner.outgoing.get()
        assert isinstance(item, PeerMessage)
        return item.fetch_commits.first_index

    async def read(self) -> int:
        """Return the number of the next message."""
        item = await self.stream.read()
        assert item is not None
        return item.fetch_commits.first_index


@asynccontextmanager
async def carried() -> AsyncIterator[Setup]:
    """Have a stream whose messages are carried."""
    one = Setup()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(one.stream.carry_in()),
            group.create_task(one.stream.carry_out()),
        ]
        yield one
        for task in tasks:
            task.cancel()


def cut() -> Cut:
    return Cut(Tally(), Random(1))


async def turn() -> None:
    """Let everything that can go on go on."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_without_a_fault_messages_go_straight_through() -> None:
    one = Setup()
    one.arrive(1)
    assert await one.read() == 1
    await one.stream.write(message(2))
    assert one.inner.outgoing.qsize() == 1


async def test_a_cut_link_holds_messages_back_and_loses_none() -> None:
    async with carried() as one:
        outbound = one.add(OUT, cut())
        again = one.add(OUT, cut())
        one.arrive(1)
        assert await one.read() == 1
        await one.stream.write(message(1))
        writing = asyncio.ensure_future(one.stream.write(message(2)))
        await turn()
        assert one.inner.outgoing.empty()
        assert not writing.done()
        one.faults.remove(outbound)
        await turn()
        assert one.inner.outgoing.empty()
        one.faults.remove(again)
        await writing
        assert [await one.sent(), await one.sent()] == [1, 2]
        inbound = one.add(IN, cut())
        one.arrive(3, 4, 5)
        reading = asyncio.ensure_future(one.read())
        await turn()
        await one.stream.write(message(6))
        assert not reading.done()
        one.faults.remove(inbound)
        assert [await reading, await one.read(), await one.read()] == [3, 4, 5]


async def test_late_messages_keep_their_order_and_go_on_when_the_fault_ends() -> None:
    async with carried() as one:
        for direction in (OUT, IN):
            one.add(direction, Late(Tally(), Random(4), add_us=2_000, jitter_us=2_000))
        for number in range(50):
            await one.stream.write(message(number))
        assert [await one.sent() for _ in range(50)] == list(range(50))
        one.arrive(*range(50))
        assert [await one.read() for _ in range(50)] == list(range(50))
        for direction in (OUT, IN):
            very = one.add(direction, Late(Tally(), Random(4), add_us=HOUR_US))
            await one.stream.write(message(7))
            one.arrive(8)
            reading = asyncio.ensure_future(one.read())
            await turn()
            if direction is OUT:
                assert one.inner.outgoing.empty()
                assert await reading == 8
            else:
                assert not reading.done()
            one.faults.remove(very)
            for late in one.faults.on(PEER, direction):
                one.faults.remove({(PEER, direction): late})
            assert await one.sent() == 7
            if direction is IN:
                assert await reading == 8


async def test_after_a_fault_messages_go_straight_through_again() -> None:
    async with carried() as one:
        placed = [one.add(way, Late(Tally(), Random(1), add_us=1)) for way in (IN, OUT)]
        one.arrive(1)
        assert await one.read() == 1
        await one.stream.write(message(1))
        assert await one.sent() == 1
        for effects in placed:
            one.faults.remove(effects)
        one.arrive(2, 3)
        assert [await one.read(), await one.read()] == [2, 3]
        await turn()
        await one.stream.write(message(4))
        assert await one.sent() == 4
        reading = asyncio.ensure_future(one.read())
        await turn()
        one.arrive(5)
        assert await reading == 5


async def test_whole_messages_arrive_twice_and_fragments_once() -> None:
    async with carried() as one:
        one.add(IN, Twice(Tally(), Random(1), 1.0))
        one.arrive(1, 2)
        one.inner.incoming.put_nowait(fragment(last=False))
        one.inner.incoming.put_nowait(fragment(last=True))
        assert [await one.read() for _ in range(4)] == [1, 1, 2, 2]
        assert await one.stream.read() == fragment(last=False)
        assert await one.stream.read() == fragment(last=True)


async def test_a_slow_connection_takes_one_message_at_a_time() -> None:
    async with carried() as one:
        placed = one.add(IN, Slow(Tally(), Random(1), HOUR_US))
        one.arrive(1, 2, 3, 4)
        assert await one.read() == 1
        reading = asyncio.ensure_future(one.read())
        await turn()
        # One waits in the passage and one before it; the rest is the transport's.
        assert one.inner.incoming.qsize() == 1
        one.faults.remove(placed)
        assert [await reading, await one.read(), await one.read()] == [2, 3, 4]


async def test_a_failed_stream_fails_those_who_use_it_after_what_came_before() -> None:
    async with carried() as one:
        one.add(IN, Late(Tally(), Random(1), add_us=1))
        one.arrive(1, 2)
        one.inner.incoming.put_nowait(OperationalError("LINK_CLOSED", "gone"))
        assert [await one.read(), await one.read()] == [1, 2]
        with pytest.raises(OperationalError, match="LINK_CLOSED"):
            await one.read()


async def test_the_end_of_a_stream_comes_after_what_came_before() -> None:
    async with carried() as one:
        one.add(IN, Late(Tally(), Random(1), add_us=1))
        one.arrive(1)
        one.inner.incoming.put_nowait(None)
        assert await one.read() == 1
        assert await one.stream.read() is None


async def reason_of(faults: LinkFaults, inner: MemoryStream, act: str) -> str:
    """Run a link until its end, and return why it ended."""
    recorder = Recorder()
    link = ShapedLink(
        inner, recorder, COMMITTEE, ConsensusSettings(), own=0, peer=PEER, faults=faults
    )
    inner.incoming.put_nowait(hello(author=PEER))
    async with asyncio.timeout(10):
        running = asyncio.ensure_future(link.run())
        await recorder.is_up.wait()
        if act == "reset":
            assert faults.close([PEER]) == 1
        elif act == "send":
            link.send(message(1), 10)
        else:
            inner.incoming.put_nowait(message(1))
        with pytest.raises(OperationalError) as ended:
            await running
    assert faults.close([PEER]) == 0
    return ended.value.code


async def test_a_closed_connection_ends_its_link() -> None:
    assert await reason_of(LinkFaults(), MemoryStream(), "reset") == "LINK_RESET"


@pytest.mark.parametrize(("direction", "act"), [(IN, "receive"), (OUT, "send")])
async def test_damaged_bytes_end_the_link(direction: Direction, act: str) -> None:
    class Later(Damage):
        """Lets the hello pass."""

        def damages(self) -> bool:
            """Damage what comes after the first message."""
            self.tally.add()
            return self.tally.count > 1

    faults = LinkFaults()
    faults.add({(PEER, direction): Later(Tally(), Random(1), 1.0)})
    assert await reason_of(faults, MemoryStream(), act) == "LINK_CORRUPT"
