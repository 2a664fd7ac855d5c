"""FINAL statements on their way to readers: all of them, in order, never waiting."""

import asyncio

import pytest

from seawall.codec import decode_records
from seawall.codec.records import update_id_at
from seawall.consensus import finality
from seawall.consensus.engine import Finality
from seawall.consensus.finality import READERS_MAX, FinalityFeed
from seawall.domain.block import Ref
from seawall.errors import PeerError
from tests.unit.consensus.cluster import make_batch, make_committee

COMMITTEE = make_committee()


def statement(number: int, updates: int = 1) -> Finality:
    batch = make_batch(COMMITTEE, 0, number, updates=updates)
    return Finality(Ref(number, 0, bytes(32)), batch, 0, tuple(range(updates)), number + 2)


async def test_every_reader_gets_every_statement_in_order() -> None:
    feed = FinalityFeed()
    feed.publish([statement(1)])  # before anybody reads
    with feed.reader() as one, feed.reader() as two:
        waiting = asyncio.ensure_future(one.take())
        await asyncio.sleep(0)
        assert not waiting.done()
        feed.publish([statement(2), statement(3)])
        assert await waiting == await two.take() == [statement(2), statement(3)]
        feed.publish([statement(4)])
        assert await one.take() == [statement(4)]
    feed.publish([statement(5)])


async def test_a_reader_that_falls_behind_misses_the_oldest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(finality, "WAITING_UPDATES_MAX", 5)
    feed = FinalityFeed()
    with feed.reader() as reader:
        for number in range(1, 5):
            feed.publish([statement(number, updates=2)])
        assert await reader.take() == [statement(3, updates=2), statement(4, updates=2)]
        # One that is larger than all that may wait is still told.
        feed.publish([statement(9, updates=7)])
        assert await reader.take() == [statement(9, updates=7)]


async def test_a_message_has_a_bounded_number_of_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finality, "TAKEN_UPDATES_MAX", 5)
    feed = FinalityFeed()
    with feed.reader() as reader:
        feed.publish([statement(number, updates=2) for number in range(1, 4)])
        assert [len(await reader.take()) for _ in range(2)] == [2, 1]


async def test_readers_are_limited() -> None:
    feed = FinalityFeed()
    readers = [feed.reader() for _ in range(READERS_MAX + 1)]
    for reader in readers[:-1]:
        reader.__enter__()
    with pytest.raises(PeerError, match="QUOTA_STREAMS"):
        readers[-1].__enter__()
    readers[0].__exit__(None, None, None)
    with feed.reader():
        pass


def test_an_update_id_is_read_without_decoding() -> None:
    batch = make_batch(COMMITTEE, 0, 1, updates=3)
    ids = [record.update_id for record in decode_records(batch.records_bytes)]
    assert [update_id_at(batch.records_bytes, at) for at in range(3)] == ids
