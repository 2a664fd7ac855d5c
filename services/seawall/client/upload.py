"""The way in for large payloads: open, send the chunks that are missing, finish."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from seawall.api.v1 import ingestion_pb2, types_pb2
from seawall.client.links import Link
from seawall.client.values import Prepared
from seawall.errors import OperationalError, PeerError
from seawall.formats.oms import CHUNK_SIZE, chunk_count
from seawall.runtime.status import error_of

CHUNKS_AHEAD_MAX: Final = 8
"""Chunks that are sent and not answered yet."""

REFUSALS_MAX: Final = 3
"""Refusals of one chunk after which the upload is given up."""

ROUNDS_MAX: Final = 3
"""Times that an upload is opened again because the site still misses chunks."""


class Upload:
    """One payload on its way to one site.

    Attributes:
        chunks_sent: chunks sent so far, repetitions included.
        chunks_again: positions of chunks that the site refused and got again, in order.

    """

    def __init__(self, link: Link, prepared: Prepared) -> None:
        """Prepare; `run` does the work."""
        self.chunks_sent = 0
        self.chunks_again: list[int] = []
        self._link = link
        self._prepared = prepared
        self._count = chunk_count(len(prepared.payload))

    async def run(self, seconds: float, finish_seconds: float) -> types_pb2.UpdateEvent:
        """Return the event RECEIVED.

        `seconds` bounds each answer of the site but the last, which takes `finish_seconds`: the
        whole has no bound.

        Raises:
            PeerError: the site refused the update, or a chunk too often.
            OperationalError: RPC_DEADLINE, INCOMPLETE after several rounds.
            grpc.RpcError: the site ended a call.

        """
        prepared, ingestion = self._prepared, self._link.ingestion
        request = ingestion_pb2.OpenRequest(
            envelope=prepared.envelope, manifest=prepared.manifest, provenance=prepared.provenance
        )
        for _ in range(ROUNDS_MAX):
            async with asyncio.timeout(seconds):
                opened = await ingestion.Open(request)
            missing = self._missing(opened.missing)
            if not missing:
                finish = ingestion_pb2.FinishRequest(upload_id=opened.upload_id)
                async with asyncio.timeout(finish_seconds):
                    return (await ingestion.Finish(finish)).event
            await self._send(opened.upload_id, missing, seconds)
        hint = "the site keeps missing chunks that it has accepted: try another site"
        raise OperationalError("INCOMPLETE", hint, field="payload")

    def _missing(self, bitmap: bytes) -> list[int]:
        """Return the positions of the set bits."""
        return [
            index
            for index in range(self._count)
            if index // 8 < len(bitmap) and bitmap[index // 8] >> index % 8 & 1
        ]

    async def _send(self, upload_id: bytes, missing: list[int], seconds: float) -> None:
        """Send these chunks, and again those that are refused."""
        queue: asyncio.Queue[int | None] = asyncio.Queue()
        free = asyncio.Semaphore(CHUNKS_AHEAD_MAX)
        for index in missing:
            queue.put_nowait(index)
        refusals: dict[int, int] = {}
        open_chunks = len(missing)
        call = self._link.ingestion.Upload(self._chunks(upload_id, queue, free))
        answers = aiter(call)
        try:
            while open_chunks:
                async with asyncio.timeout(seconds):
                    answer = await anext(answers, None)
                if answer is None:
                    hint = "the site ended the upload early: open it again"
                    raise OperationalError("RPC_CANCELLED", hint)
                free.release()
                if not answer.HasField("refusal"):
                    open_chunks -= 1
                    continue
                fault = error_of(answer.refusal)
                refusals[answer.index] = refusals.get(answer.index, 0) + 1
                if not self._may_repeat(answer.index, fault, refusals[answer.index]):
                    raise fault
                self.chunks_again.append(answer.index)
                queue.put_nowait(answer.index)
        finally:
            queue.put_nowait(None)
            call.cancel()

    def _may_repeat(self, index: int, fault: PeerError, times: int) -> bool:
        """Say whether a refused chunk is sent again."""
        return fault.code == "CHUNK_HASH" and times < REFUSALS_MAX and index < self._count

    async def _chunks(
        self, upload_id: bytes, queue: asyncio.Queue[int | None], free: asyncio.Semaphore
    ) -> AsyncIterator[ingestion_pb2.UploadRequest]:
        """Yield chunks in the order of the queue, a few ahead of the answers."""
        payload = memoryview(self._prepared.payload)
        while True:
            index = await queue.get()
            if index is None:
                return
            await free.acquire()
            self.chunks_sent += 1
            start = index * CHUNK_SIZE
            yield ingestion_pb2.UploadRequest(
                upload_id=upload_id, index=index, data=bytes(payload[start : start + CHUNK_SIZE])
            )
