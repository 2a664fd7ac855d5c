"""One stream's requests handled side by side, its answers in order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

from seawall.errors import OperationalError

In = TypeVar("In")
Out = TypeVar("Out")
T = TypeVar("T")


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
                if isinstance(rest, asyncio.Task):
                    rest.cancel()

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
                await self._answers.put(self._start(self._guarded(request)))
        except Exception as error:  # noqa: BLE001 - handed over, raised by `run`
            await self._answers.put(error)
        else:
            await self._answers.put(None)

    async def _guarded(self, request: In) -> Out | Exception:
        try:
            return await self._handle(request)
        except Exception as error:  # noqa: BLE001 - handed over, raised by `run`
            return error
