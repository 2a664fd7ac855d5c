"""The fast way in: one long-lived stream to a site that carries many small updates a message."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

import grpc

from seawall.api.v1 import ingestion_pb2, types_pb2
from seawall.client.links import Link
from seawall.client.values import Prepared
from seawall.errors import OperationalError, SeawallError
from seawall.runtime.status import error_from

MESSAGE_BYTES_MAX: Final = 1 << 20
"""Content of one message: whole updates of up to this many bytes in all."""

MESSAGE_UPDATES_MAX: Final = 512

OVERHEAD_BYTES: Final = 64
"""What the encoding puts around one update, at most."""

REMEMBERED_MAX: Final = 65_536
"""Updates of one stream whose further events are told apart; the oldest are forgotten."""


class Sent(Protocol):
    """An update on a stream."""

    prepared: Prepared


class SubmitStream:
    """Updates to one site, and its events; runs until the call ends, never raises."""

    def __init__(
        self,
        link: Link,
        on_event: Callable[[Link, Sent, types_pb2.UpdateEvent], None],
    ) -> None:
        """Prepare a stream to `link`; `run` opens it.

        `on_event` is called for each event, with the update that it is about.
        """
        self.link = link
        self.ended: SeawallError | None = None
        self._on_event = on_event
        self._waiting: deque[tuple[int, Sent]] = deque()
        self._wake = asyncio.Event()
        self._numbers: dict[int, Sent] = {}
        self._next_number = 1

    def send(self, update: Sent) -> int:
        """Queue an update and return its number here; the caller bounds how many are on the way.

        The update is dropped when the stream has ended; look at `ended` first.
        """
        number, self._next_number = self._next_number, self._next_number + 1
        self._numbers[number] = update
        if len(self._numbers) > REMEMBERED_MAX:
            self._numbers.pop(next(iter(self._numbers)))
        self._waiting.append((number, update))
        self._wake.set()
        return number

    def forget(self, number: int) -> None:
        """Stop reporting events of one update."""
        self._numbers.pop(number, None)

    async def run(self) -> None:
        """Keep the call open until it ends; `ended` then says why."""
        try:
            async for answer in self.link.ingestion.Submit(self._messages()):
                self.link.worked()
                for event in answer.events:
                    update = self._numbers.get(event.number)
                    if update is not None:
                        self._on_event(self.link, update, event)
            self.ended = OperationalError("RPC_CANCELLED", "the site ended the stream: try again")
        except grpc.RpcError as failure:
            self.ended = error_from(failure)
        finally:
            if self.ended is None:
                self.ended = OperationalError("RPC_CANCELLED", "this client has closed")
            self._numbers.clear()
            self._waiting.clear()

    async def _messages(self) -> AsyncIterator[ingestion_pb2.IngestionServiceSubmitRequest]:
        """Yield messages of as many waiting updates as fit."""
        while True:
            while not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            request = ingestion_pb2.IngestionServiceSubmitRequest()
            size = 0
            while self._waiting:
                number, update = self._waiting[0]
                if number not in self._numbers:
                    self._waiting.popleft()
                    continue
                size += size_of(update.prepared)
                full = size > MESSAGE_BYTES_MAX or len(request.updates) >= MESSAGE_UPDATES_MAX
                if request.updates and full:
                    break
                self._waiting.popleft()
                prepared = update.prepared
                request.updates.add(
                    number=number,
                    envelope=prepared.envelope,
                    provenance=prepared.provenance,
                    payload=prepared.payload,
                )
            if request.updates:
                yield request


def size_of(prepared: Prepared) -> int:
    """Return the bytes that an update takes in a message, at most."""
    parts = (prepared.envelope, prepared.provenance, prepared.payload)
    return sum(len(part) for part in parts) + OVERHEAD_BYTES
