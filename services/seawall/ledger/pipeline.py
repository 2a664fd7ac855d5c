"""One stream's requests handled in order of arrival, its answers in the same order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeAlias, TypeVar

from seawall.errors import OperationalError

In = TypeVar("In")
Out = TypeVar("Out")
T = TypeVar("T")


Begin: TypeAlias = "Callable[[Any], Awaitable[asyncio.Future[Any]]]"
"""Takes up one request, once there is room for it, and promises its outcome or its error."""


class _Stream(Generic[In, Out]):
    """Requests that are taken up in order, and their answers."""

    def __init__(self, group: asyncio.TaskGroup, begin: Begin, limit: int) -> None:
        self._group = group
        self._begin = begin
        self._answers: asyncio.Queue[asyncio.Future[Out | Exception] | Exception | None]
        self._answers = asyncio.Queue(limit)

    async def run(self, requests: AsyncIterator[In]) -> AsyncIterator[Out]:
        """Yield the answer to each request, in the order of the requests.

        The first error of an answer, or of the requests, is raised in its place and ends it.
        """
        reader = self._start(self._read(requests))
        try:
            while (answer := await self._answers.get()) is not None:
                outcome = answer if isinstance(answer, Exception) else await answer
                if isinstance(outcome, Exception):
                    raise outcome
                yield outcome
        finally:
            reader.cancel()
            # Whoever gave the requests closes them after this: nobody may be reading them then.
            await asyncio.wait((reader,))
            while not self._answers.empty():
                rest = self._answers.get_nowait()
                if isinstance(rest, asyncio.Future) and not rest.cancel() and not rest.cancelled():
                    rest.exception()  # it is nobody's any more

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run work in the group, which takes no more of it once it is ending."""
        try:
            return self._group.create_task(work)
        except RuntimeError as fault:
            work.close()
            hint = "this ledger is stopping: try again"
            raise OperationalError("LEDGER_STOPPED", hint) from fault

    async def _read(self, requests: AsyncIterator[In]) -> None:
        try:
            async for request in requests:
                await self._answers.put(await self._begin(request))
        except Exception as error:  # noqa: BLE001 - handed over, raised by `run`
            await self._answers.put(error)
        else:
            await self._answers.put(None)


class Pipeline(_Stream[In, Out]):
    """Requests handled side by side: at most `limit` handlers at once, started in order."""

    def __init__(
        self, group: asyncio.TaskGroup, handle: Callable[[In], Awaitable[Out]], limit: int
    ) -> None:
        """Run handlers in `group`; their errors stay with this stream."""
        super().__init__(group, self._begin_task, limit)
        self._handle = handle

    async def _begin_task(self, request: In) -> "asyncio.Future[Out | Exception]":
        return self._start(self._guarded(request))

    async def _guarded(self, request: In) -> Out | Exception:
        try:
            return await self._handle(request)
        except Exception as error:  # noqa: BLE001 - handed over, raised by `run`
            return error


class Line(_Stream[In, Out]):
    """Requests queued for one worker, at most `limit` at once: none needs a task of its own."""

    def __init__(
        self,
        group: asyncio.TaskGroup,
        enqueue: "Callable[[In], Awaitable[asyncio.Future[Out]]]",
        limit: int,
    ) -> None:
        """Queue each request by `enqueue`, which waits for room and returns a promise."""
        super().__init__(group, enqueue, limit)
