import asyncio

import pytest

from seawall.errors import PeerError
from seawall.ingestion.config import IngestionSettings
from seawall.ingestion.streams import EVENTS_MESSAGE_MAX, Outbox, StreamQuota
from seawall.ingestion.update import Event, Stage

ID = bytes(32)


async def test_events_come_in_order_and_in_bounded_messages() -> None:
    outbox = Outbox(events_max=5000)
    for number in range(EVENTS_MESSAGE_MAX + 5):
        outbox.notify(number, Event(ID, Stage.RECEIVED))
    first, second = await outbox.take(), await outbox.take()
    assert [number for number, _ in first + second] == list(range(EVENTS_MESSAGE_MAX + 5))
    assert len(first) == EVENTS_MESSAGE_MAX


async def test_a_stream_ends_when_its_sender_is_done_and_all_is_settled() -> None:
    outbox = Outbox(events_max=10)
    outbox.expect(ID)
    outbox.expect(b"other")
    outbox.sender_is_done()
    outbox.notify(1, Event(ID, Stage.RECEIVED))
    assert len(await outbox.take()) == 1
    async with asyncio.TaskGroup() as group:
        task = group.create_task(outbox.take())
        await asyncio.sleep(0)
        outbox.notify(1, Event(ID, Stage.COMMITTED))
    assert len(task.result()) == 1
    outbox.notify(2, Event(b"other", Stage.REFUSED, PeerError("X", "y")))
    assert len(await outbox.take()) == 1
    assert await outbox.take() == []


async def test_a_slow_reader_loses_its_stream() -> None:
    outbox = Outbox(events_max=2)
    for _ in range(3):
        outbox.notify(1, Event(ID, Stage.RECEIVED))
    assert outbox.closed
    with pytest.raises(PeerError) as caught:
        await outbox.guard(60)
    assert caught.value.code == "QUOTA_EVENTS"


async def test_an_idle_stream_ends_only_when_nothing_is_expected() -> None:
    outbox = Outbox(events_max=2)
    outbox.expect(ID)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await outbox.guard(0.02)
    outbox.notify(1, Event(ID, Stage.COMMITTED))
    outbox.touch()
    with pytest.raises(PeerError) as caught:
        await outbox.guard(0.02)
    assert caught.value.code == "DEADLINE"


def test_streams_are_counted_in_all_and_by_address() -> None:
    settings = IngestionSettings(streams_max=3, streams_peer_max=2)
    quota = StreamQuota(settings)
    with quota.stream("ipv4:10.0.0.1:1"), quota.stream("ipv4:10.0.0.1:2"):
        with pytest.raises(PeerError), quota.stream("ipv4:10.0.0.1:3"):
            pass
        with quota.stream("local"):
            with pytest.raises(PeerError) as caught, quota.stream("ipv4:10.0.0.2:1"):
                pass
            assert caught.value.code == "QUOTA_STREAMS"
    with quota.stream("ipv4:10.0.0.1:9"):
        pass
