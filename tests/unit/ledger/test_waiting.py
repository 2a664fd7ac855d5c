"""Landmarks, signals and pipelines: who waits is woken, and errors stay where they belong."""

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

from seawall.errors import PeerError
from seawall.ledger import landmarks as landmarks_module
from seawall.ledger.disk import finish
from seawall.ledger.landmarks import Landmarks, Signal
from seawall.ledger.pipeline import Line, Pipeline
from tests.unit.ledger.site import stream


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_landmark_wakes_its_waiters_once_it_is_covered() -> None:
    landmarks = Landmarks(0)
    waiting = [asyncio.ensure_future(landmarks.wait(name, 60)) for name in (b"a", b"a", b"b")]
    await turns()
    landmarks.reach(1, [b"a"])
    landmarks.reach(2, [b"b", b"nobody"])
    landmarks.cover(1)
    await turns()
    assert [one.done() for one in waiting] == [True, True, False]
    landmarks.cover(5)
    assert await asyncio.gather(*waiting) == [True] * 3


async def test_what_an_earlier_process_reached_wakes_everybody_until_it_is_covered() -> None:
    landmarks = Landmarks(3)
    for index in (2, 3):
        waiting = asyncio.ensure_future(landmarks.wait(b"a", 60))
        await turns()
        landmarks.cover(index)
        assert await waiting
    waiting = asyncio.ensure_future(landmarks.wait(b"a", 60))
    await turns()
    landmarks.cover(4)
    await turns()
    assert not waiting.done()
    waiting.cancel()


async def test_waiting_ends_and_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landmarks_module, "WAITERS_MAX", 1)
    landmarks = Landmarks(0)
    assert not await landmarks.wait(b"a", 0)
    waiting = asyncio.ensure_future(landmarks.wait(b"a", 60))
    await turns()
    with pytest.raises(PeerError, match="QUOTA_WAITERS"):
        await landmarks.wait(b"b", 60)
    waiting.cancel()
    await turns()
    assert not await landmarks.wait(b"b", 0)


async def test_a_signal_wakes_those_who_wait_now() -> None:
    signal = Signal()
    signal.fire()
    waiting = asyncio.ensure_future(signal.wait())
    await turns()
    assert not waiting.done()
    signal.fire()
    await waiting


async def test_a_pipeline_answers_in_order_and_works_side_by_side() -> None:
    gates = [asyncio.Event() for _ in range(4)]
    started: list[int] = []

    async def handle(number: int) -> int:
        started.append(number)
        await gates[number].wait()
        return number * 10

    async with asyncio.TaskGroup() as group:
        pipeline = Pipeline(group, handle, 8)
        answers: list[int] = []

        async def collect() -> None:
            answers.extend([answer async for answer in pipeline.run(stream(0, 1, 2, 3))])

        collecting = group.create_task(collect())
        await turns()
        assert started == [0, 1, 2, 3]
        for gate in reversed(gates):
            gate.set()
        await collecting
    assert answers == [0, 10, 20, 30]


async def test_errors_of_handlers_and_requests_stay_with_their_stream() -> None:
    async def handle(number: int) -> int:
        if number == 1:
            raise PeerError("LOG_GAP", "missing")
        await asyncio.sleep(0)
        return number

    async def broken() -> AsyncIterator[int]:
        yield 0
        raise PeerError("LOG_FORK", "broken")

    async with asyncio.TaskGroup() as group:
        for requests, code in ((stream(0, 1, 2, 3, 4, 5), "LOG_GAP"), (broken(), "LOG_FORK")):
            answers: list[int] = []
            with pytest.raises(PeerError, match=code):
                await read_into(answers, Pipeline(group, handle, 2).run(requests))
            assert answers == [0]


async def test_a_line_answers_in_order_whichever_promise_is_kept_first() -> None:
    promises: list[asyncio.Future[int]] = []

    async def enqueue(number: int) -> asyncio.Future[int]:
        del number
        promises.append(asyncio.get_running_loop().create_future())
        return promises[-1]

    answers: list[int] = []
    async with asyncio.TaskGroup() as group:
        collecting = group.create_task(
            read_into(answers, Line(group, enqueue, 8).run(stream(0, 1, 2)))
        )
        await turns()
        for number in (2, 1, 0):
            promises[number].set_result(number * 10)
        await collecting
    assert answers == [0, 10, 20]


async def test_the_first_broken_promise_ends_a_line_and_the_others_are_let_go() -> None:
    loop = asyncio.get_running_loop()
    complaints: list[object] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    promises: list[asyncio.Future[int]] = []

    async def enqueue(number: int) -> asyncio.Future[int]:
        promise: asyncio.Future[int] = loop.create_future()
        if number < 3:
            promise.set_exception(PeerError("LOG_GAP", str(number)))
        promises.append(promise)
        return promise

    async with asyncio.TaskGroup() as group:
        line = Line(group, enqueue, 8)
        with pytest.raises(PeerError, match="LOG_GAP"):
            await read_into([], line.run(stream(1, 2, 3)))
    assert promises[2].cancelled()
    promises.clear()
    gc.collect()
    assert complaints == []


async def read_into(answers: list[int], run: AsyncIterator[int]) -> None:
    async for answer in run:
        answers += [answer]


async def test_a_write_is_finished_before_its_caller_is_cancelled() -> None:
    loop = asyncio.get_running_loop()
    begun, done = asyncio.Event(), []
    go = asyncio.Event()

    def write() -> None:
        loop.call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(go.wait(), loop).result(30)
        done.append(True)

    writing = asyncio.ensure_future(finish(write))
    await begun.wait()
    writing.cancel()
    await turns()
    assert not writing.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert done == [True]
