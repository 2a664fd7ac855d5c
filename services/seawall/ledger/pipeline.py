"""One stream's requests handled side by side, its answers in order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


class Pipeline(Generic[In, Out]):
    """The work of one stream: at most `limit` handlers at once, started in order."""

    def __init__(
        self, group: asyncio.TaskGroup, handle: Callable[[In], Awaitable[Out]], limit: int
    ) -> None:
        """Run handlers in `group`; their errors stay with this stream."""
        self._group = group
        self._handle = handle
        self._answers: asyncio.Queue[asyncio.Task[Out | Exception] | Exception | None]
        self._answers = asyncio.Queue(limit)

    async def run(self, requests: AsyncIterator[In]) -> AsyncIterator[Out]:
        """Yield what the handler returns for each request, in the order of the requests.

        The first error of a handler, or of the requests, is raised in its place and ends it.
        """
        reader = self._group.create_task(self._read(requests))
        try:
            while (answer := await self._answers.get()) is not None:
                outcome = answer if isinstance(answer, Exception) else await answer
                if isinstance(outcome, Exception):
                    raise outcome
                yield outcome
        finally:
            reader.cancel()
            while not self._answers.empty():
                rest = self._answers.get_nowait()
                if isinstance(rest, asyncio.Task):
                    rest.cancel()

    async def _read(self, requests: AsyncIterator[In]) -> None:
        try:
            async for request in requests:
                await self._answers.put(self._group.create_task(self._guarded(request)))
        except Exception as error:  # noqa: BLE001 - handed over, raised by `run`
            await self._answers.put(error)
        else:
            await self._answers.put(None)

    async def _guarded(self, request: In) -> Out | Exception:
        try:
            return await self._handle(request)
        except Exception as error:  # noqa: BLE001 - handed over, raised by `run`
            return error
