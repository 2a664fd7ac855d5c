"""What ingestion and integrity ask of their own ledger: to judge, to store, to read back.

Every call is bounded in time and in message size, and every answer is turned into values.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from itertools import count
from typing import Final

import grpc
import msgspec

from seawall.api.v1 import ledger_pb2, ledger_pb2_grpc
from seawall.errors import OperationalError, PeerError
from seawall.formats.admission import AdmittedUpdate
from seawall.formats.oms import chunk_count
from seawall.runtime.dialogue import Dialogue
from seawall.runtime.service import LEDGER, Channels
from seawall.runtime.status import error_from, error_of

MESSAGE_SIZE_BYTES_MAX: Final = 1 << 20
"""Content of one message; one chunk always fits."""

PUTS_OPEN_MAX: Final = 32


class Piece(msgspec.Struct, frozen=True):
    """One chunk of a payload on its way into the ledger; `data` has the hash `digest`."""

    payload_digest: bytes
    payload_size_bytes: int
    index: int
    digest: bytes
    data: bytes


class Verdicts(msgspec.Struct, frozen=True):
    """What the state rules say at `height`: the refused positions, or that it lies ahead."""

    height: int
    later: bool
    refused: dict[int, PeerError]


class Stored(msgspec.Struct, frozen=True):
    """Whether a payload is stored whole; `missing` are the chunks that are not, ascending.

    A chunk that differs from the one that was signed for counts as missing.
    """

    complete: bool
    missing: tuple[int, ...]


class LedgerClient:
    """One role's view of its own ledger; `run` keeps the stream on which payloads go in."""

    def __init__(self, channels: Channels, *, seconds_max: float) -> None:
        """Bound every call by `seconds_max`."""
        self._seconds_max = seconds_max
        self._stub = ledger_pb2_grpc.LedgerServiceStub(channels.to(LEDGER))
        self._numbers = count(1)
        self._puts: Dialogue[ledger_pb2.PutPayloadRequest, ledger_pb2.PutPayloadResponse]
        self._puts = Dialogue(
            self._stub.PutPayload, lambda answer: answer.number, open_max=PUTS_OPEN_MAX
        )

    async def run(self) -> None:
        """Keep the stream until cancelled."""
        await self._puts.run()

    async def judge(self, height: int, updates: Sequence[AdmittedUpdate]) -> Verdicts:
        """Return what the state rules say of these updates at a height; 0 means the newest.

        Raises:
            PeerError: the height is one that cannot be judged at.
            OperationalError: RPC_*, DEADLINE.

        """
        request = ledger_pb2.JudgeRequest(pinned_height=height)
        for update in updates:
            claim = update.submission
            request.items.add(
                record=update.record_bytes,
                base_digest=claim.base_digest,
                checkpoint_size=claim.checkpoint_size,
                checkpoint_root=claim.checkpoint_root,
            )
        async with bounded(self._seconds_max):
            answer = await self._stub.Judge(request)
        refused = {one.item: error_of(one.refusal) for one in answer.refused}
        return Verdicts(answer.height, answer.later, refused)

    async def stored(self, update: AdmittedUpdate) -> Stored:
        """Return which chunks of an update's payload are stored.

        Raises:
            OperationalError: RPC_*, DEADLINE.

        """
        claim = update.submission
        request = ledger_pb2.HasPayloadRequest(
            payload_digest=claim.payload_digest, payload_size_bytes=claim.payload_size
        )
        async with bounded(self._seconds_max):
            answer = await self._stub.HasPayload(request)
        if answer.complete:
            return Stored(complete=True, missing=())
        bits = int.from_bytes(answer.stored, "little")
        held = (at for at in range(chunk_count(claim.payload_size)) if bits >> at & 1)
        digests = dict(zip(held, answer.chunk_digests, strict=False))
        missing = [at for at, one in enumerate(update.chunk_digests) if digests.get(at) != one]
        return Stored(complete=False, missing=tuple(missing))

    async def put(self, pieces: Sequence[Piece]) -> tuple[int, ...]:
        """Store chunks of at most 1 MiB in all; return the positions that were refused.

        All others are durable on return.

        Raises:
            OperationalError: STORE_*, RPC_*, DEADLINE; then nothing may count as stored.

        """
        number = next(self._numbers)
        request = ledger_pb2.PutPayloadRequest(number=number)
        for piece in pieces:
            request.chunks.add(
                payload_digest=piece.payload_digest,
                index=piece.index,
                chunk_digest=piece.digest,
                data=piece.data,
                payload_size_bytes=piece.payload_size_bytes,
            )
        async with bounded(self._seconds_max):
            answer = await self._puts.ask(number, request)
        return tuple(answer.refused)

    async def put_whole(self, payloads: Sequence[tuple[AdmittedUpdate, bytes]]) -> tuple[int, ...]:
        """Store payloads of one chunk each; return the positions whose hash is another.

        All others are durable on return.

        Raises:
            OperationalError: as `put`.

        """
        refused: list[int] = []
        first = 0
        for pieces in _messages(payloads):
            refused += [first + at for at in await self.put(pieces)]
            first += len(pieces)
        return tuple(refused)

    async def put_submissions(self, updates: Sequence[AdmittedUpdate]) -> None:
        """Keep envelopes and statements; durable on return.

        Raises:
            OperationalError: STORE_*, RPC_*, DEADLINE.

        """
        request = ledger_pb2.PutSubmissionRequest()
        size_bytes = 0
        for update in updates:
            if size_bytes and size_bytes + update.beside_size_bytes > MESSAGE_SIZE_BYTES_MAX:
                await self._put_submissions(request)
                request = ledger_pb2.PutSubmissionRequest()
                size_bytes = 0
            size_bytes += update.beside_size_bytes
            request.submissions.add(
                update_id=update.update_id,
                envelope=update.envelope,
                manifest=update.manifest,
                provenance=update.provenance,
            )
        await self._put_submissions(request)

    async def chunks(self, payload_digest: bytes) -> AsyncGenerator[bytes, None]:
        """Yield the chunks of a stored payload in order.

        Raises:
            OperationalError: RPC_*, DEADLINE when one chunk takes too long.
            PeerError: PAYLOAD_UNKNOWN.

        """
        request = ledger_pb2.GetPayloadRequest(payload_digest=payload_digest)
        async with aclosing(read_chunks(self._stub, request, self._seconds_max)) as chunks:
            async for chunk in chunks:
                yield chunk.data

    async def _put_submissions(self, request: ledger_pb2.PutSubmissionRequest) -> None:
        async with bounded(self._seconds_max):
            await self._stub.PutSubmission(request)


async def read_chunks(
    stub: "ledger_pb2_grpc.LedgerServiceAsyncStub",
    request: ledger_pb2.GetPayloadRequest,
    seconds_max: float,
) -> AsyncGenerator[ledger_pb2.Chunk, None]:
    """Yield the chunks of a payload at any ledger; each may take `seconds_max`."""
    call = stub.GetPayload(request)
    answers = aiter(call)
    try:
        while True:
            async with bounded(seconds_max):
                answer = await anext(answers, None)
            if answer is None:
                return
            yield answer.chunk
    finally:
        call.cancel()


@asynccontextmanager
async def bounded(seconds_max: float) -> AsyncIterator[None]:
    """Bound a call in time, and turn every failure of it into ours."""
    try:
        async with asyncio.timeout(seconds_max):
            yield
    except TimeoutError:
        hint = f"no answer within {seconds_max} s: try again, or another site"
        raise OperationalError("DEADLINE", hint) from None
    except grpc.RpcError as failure:
        raise error_from(failure) from failure


def _messages(payloads: Sequence[tuple[AdmittedUpdate, bytes]]) -> Iterator[list[Piece]]:
    """Yield the payloads as chunks for one message each."""
    pieces: list[Piece] = []
    size_bytes = 0
    for update, data in payloads:
        if pieces and size_bytes + len(data) > MESSAGE_SIZE_BYTES_MAX:
            yield pieces
            pieces, size_bytes = [], 0
        digest = update.submission.payload_digest
        pieces.append(Piece(digest, len(data), 0, digest, data))
        size_bytes += len(data)
    if pieces:
        yield pieces
