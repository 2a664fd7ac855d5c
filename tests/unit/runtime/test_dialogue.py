import asyncio
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest

from seawall.errors import OperationalError
from seawall.runtime.dialogue import Dialogue


class Echo:
    """Answers every question with itself, until it is told to break."""

    def __init__(self) -> None:
        self.streams = 0
        self.seen: list[int] = []
        self.breaks_at: int | None = None
        self.failure: Exception = asyncio.InvalidStateError()
        self.hold = asyncio.Event()
        self.hold.set()

    async def __call__(self, questions: AsyncIterator[int]) -> AsyncIterator[int]:
        """Answer one stream."""
        self.streams += 1
        async for question in questions:
            self.seen.append(question)
            await self.hold.wait()
            if question == self.breaks_at:
                raise self.failure
            if question == -1:
                return
            yield question


def dialogue_of(echo: Echo, open_max: int = 4) -> Dialogue[int, int]:
    return Dialogue(echo, lambda answer: answer, open_max=open_max)


async def test_answers_find_their_questions_over_one_stream() -> None:
    echo = Echo()
    dialogue = dialogue_of(echo)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(dialogue.run())
        tasks = [group.create_task(dialogue.ask(at, at)) for at in range(20)]
        assert [await task for task in tasks] == list(range(20))
        running.cancel()
    assert echo.streams == 1
    assert dialogue.generation == 0


async def test_questions_beyond_the_limit_wait_to_be_sent() -> None:
    echo = Echo()
    echo.hold.clear()
    dialogue = dialogue_of(echo, open_max=2)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(dialogue.run())
        tasks = [group.create_task(dialogue.ask(at, at)) for at in range(5)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(echo.seen) <= 2
        echo.hold.set()
        assert [await task for task in tasks] == list(range(5))
        running.cancel()


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (asyncio.InvalidStateError(), "RPC_FAILED"),
        (grpc.aio.UsageError(), "RPC_FAILED"),
        (
            grpc.aio.AioRpcError(
                grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata()
            ),
            "RPC_UNAVAILABLE",
        ),
    ],
)
async def test_a_broken_stream_fails_its_questions_and_is_opened_again(
    failure: Exception, code: str
) -> None:
    echo = Echo()
    echo.breaks_at, echo.failure = 7, failure
    dialogue = dialogue_of(echo)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(dialogue.run())
        with pytest.raises(OperationalError) as caught:
            await dialogue.ask(7, 7)
        assert caught.value.code == code
        assert dialogue.generation == 1
        assert await dialogue.ask(8, 8) == 8
        running.cancel()
    assert echo.streams == 2


async def test_a_stream_that_ends_well_fails_what_is_open() -> None:
    echo = Echo()
    dialogue = dialogue_of(echo)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(dialogue.run())
        with pytest.raises(OperationalError) as caught:
            await dialogue.ask(-1, -1)
        assert caught.value.code == "RPC_ENDED"
        running.cancel()


async def test_an_answer_that_nobody_waits_for_is_dropped() -> None:
    echo = Echo()
    echo.hold.clear()
    dialogue = dialogue_of(echo)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(dialogue.run())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await dialogue.ask(1, 1)
        echo.hold.set()
        assert await dialogue.ask(2, 2) == 2
        running.cancel()
