"""Questions and answers over one long-lived stream, matched by number.

A unary call costs several times what a message on an open stream does, so roles talk over streams
and let answers find their question by a number. A stream that breaks fails the questions that are
open on it, and is opened again for the next one.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Final, Generic, TypeVar

import grpc
import grpc.aio

from seawall.errors import OperationalError, SeawallError
from seawall.runtime.status import error_from

Question = TypeVar("Question")
Answer = TypeVar("Answer")

REOPEN_SECONDS_MIN: Final = 0.05
REOPEN_SECONDS_MAX: Final = 1.0


class Dialogue(Generic[Question, Answer]):
    """One stream of questions; `run` keeps it open while somebody asks.

    `generation` counts the streams that broke, so that a caller can tell whether the other side
    may have forgotten what it was told.
    """

    def __init__(
        self,
        open_stream: Callable[[AsyncIterator[Question]], AsyncIterable[Answer]],
        number_of: Callable[[Answer], int],
        *,
        open_max: int,
    ) -> None:
        """Open nothing yet.

        Args:
            open_stream: the stub's method, for example `stub.Attest`.
            number_of: says which question an answer belongs to.
            open_max: questions that may wait for their answers; further ones wait to be sent.

        """
        self.generation = 0
        self._open_stream = open_stream
        self._number_of = number_of
        self._slots = asyncio.Semaphore(open_max)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._line: _Line[Question] = _Line()

    async def ask(self, number: int, question: Question) -> Answer:
        """Return the answer to a question; bound the wait with a timeout.

        Raises:
            SeawallError: what the other side ended the stream with; OperationalError RPC_* when it
                cannot be reached.

        """
        async with self._slots:
            assert number not in self._waiting, "a number is asked once at a time"
            future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            self._waiting[number] = future
            self._line.put(question)
            try:
                return await future
            finally:
                self._waiting.pop(number, None)

    async def run(self) -> None:
        """Keep the stream until cancelled; a failure of the other side fails questions only."""
        pause = REOPEN_SECONDS_MIN
        while True:
            line = self._line
            await line.wanted.wait()
            answered = False
            failure: SeawallError = OperationalError("RPC_ENDED", "the other side ended the stream")
            try:
                async for answer in self._open_stream(line.questions()):
                    answered = True
                    self._resolve(answer)
            except grpc.RpcError as fault:
                failure = error_from(fault)
            except (asyncio.InvalidStateError, grpc.aio.UsageError):
                failure = OperationalError("RPC_FAILED", "try again, or another site")
            self._fail(failure)
            pause = REOPEN_SECONDS_MIN if answered else min(2 * pause, REOPEN_SECONDS_MAX)
            await asyncio.sleep(pause)

    def _resolve(self, answer: Answer) -> None:
        """Hand an answer to whoever still waits for it."""
        future = self._waiting.get(self._number_of(answer))
        if future is not None and not future.done():
            future.set_result(answer)

    def _fail(self, failure: SeawallError) -> None:
        """Fail all open questions; what was not sent goes with the old stream."""
        self.generation += 1
        self._line = _Line()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(failure)


class _Line(Generic[Question]):
    """The questions of one stream, in order; bounded by the slots of its dialogue."""

    def __init__(self) -> None:
        self.wanted = asyncio.Event()
        self._items: deque[Question] = deque()
        self._changed = asyncio.Event()

    def put(self, question: Question) -> None:
        self._items.append(question)
        self._changed.set()
        self.wanted.set()

    async def questions(self) -> AsyncIterator[Question]:
        while True:
            while self._items:
                yield self._items.popleft()
            self._changed.clear()
            await self._changed.wait()
