"""gRPC to the ledger's parts and back: nothing is decided here."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final, NoReturn

import grpc
import grpc.aio

from seawall.api.v1 import ledger_pb2 as pb
from seawall.api.v1 import ledger_pb2_grpc
from seawall.errors import OperationalError, PeerError, SeawallError
from seawall.formats import dsse
from seawall.formats.receipt import ENVELOPE_BYTES_MAX
from seawall.ledger.appending import Appender
from seawall.ledger.config import LedgerSettings
from seawall.ledger.judging import Judge
from seawall.ledger.landmarks import Landmarks
from seawall.ledger.log import Log, Position
from seawall.ledger.messages import (
    certificate_of,
    claims_of,
    delivery_of,
    digest_of,
    page_message,
    rooted_message,
)
from seawall.ledger.payloads import ChunkData, Payloads, Submission
from seawall.ledger.pipeline import Line, Pipeline
from seawall.ledger.reading import LogReader
from seawall.ledger.receipts import Pending, Receipts
from seawall.runtime.fragments import whole
from seawall.runtime.status import AnyContext, abort, refusal

WAIT_MS_MAX: Final = 60_000


class LedgerServicer(ledger_pb2_grpc.LedgerServiceServicer):
    """One site's ledger on the wire."""

    def __init__(
        self,
        log: Log,
        appender: Appender,
        landmarks: Landmarks,
        payloads: Payloads,
        reader: LogReader,
        settings: LedgerSettings,
    ) -> None:
        """Speak for these parts; `group` is set while the role runs."""
        self.group: asyncio.TaskGroup | None = None
        self._log = log
        self._appender = appender
        self._landmarks = landmarks
        self._payloads = payloads
        self._reader = reader
        self._receipts = Receipts(log)
        self._settings = settings
        self._followers = 0

    def register(self, server: grpc.aio.Server) -> None:
        """Add this servicer to a server."""
        ledger_pb2_grpc.add_LedgerServiceServicer_to_server(self, server)

    async def Append(  # noqa: N802 - gRPC's name
        self, request_iterator: AsyncIterator[pb.AppendRequest], context: AnyContext
    ) -> AsyncIterator[pb.AppendResponse]:
        """Take commits and certificates from consensus; the end says that all is durable."""
        yield rooted_message(self._log.head)
        try:
            line: Line[pb.AppendRequest, Position | None] = Line(
                self._running(), self._append, self._settings.commits_in_flight_max
            )
            async for position in line.run(whole(request_iterator)):
                if position is not None:
                    yield rooted_message(position)
            await self._appender.flush()
        except SeawallError as error:
            await abort(context, error)

    async def Judge(  # noqa: N802 - gRPC's name
        self, request: pb.JudgeRequest, context: AnyContext
    ) -> pb.JudgeResponse:
        """Apply the state rules at a pinned commit index, or at the newest."""
        pinned = request.pinned_height
        if pinned > self._log.tip.index:
            return pb.JudgeResponse(height=self._log.head.index, later=True)
        try:
            if pinned > self._log.head.index or self._is_ahead_of_disk(request):
                await self._appender.flush()
            # Only now: while a site catches up, the log may have grown by more than a pin's age.
            height = pinned or self._log.head.index
            refused = Judge(self._log, height).refuse(claims_of(request))
        except SeawallError as error:
            await abort(context, error)
        return pb.JudgeResponse(
            height=height,
            refused=[
                pb.JudgeRefusal(item=position, refusal=refusal(error))
                for position, error in refused
            ],
        )

    async def PutPayload(  # noqa: N802 - gRPC's name
        self, request_iterator: AsyncIterator[pb.PutPayloadRequest], context: AnyContext
    ) -> AsyncIterator[pb.PutPayloadResponse]:
        """Store chunks."""
        try:
            pipeline: Pipeline[pb.PutPayloadRequest, pb.PutPayloadResponse] = Pipeline(
                self._running(), self._put, self._settings.puts_in_flight_max
            )
            async for response in pipeline.run(request_iterator):
                yield response
        except SeawallError as error:
            await abort(context, error)

    async def PutSubmission(  # noqa: N802 - gRPC's name
        self, request: pb.PutSubmissionRequest, context: AnyContext
    ) -> pb.PutSubmissionResponse:
        """Keep envelopes and statements."""
        try:
            submissions = [
                (
                    digest_of(one.update_id, "submissions.update_id"),
                    Submission(one.envelope, one.manifest, one.provenance),
                )
                for one in request.submissions
            ]
            await self._payloads.put_submissions(submissions)
        except SeawallError as error:
            await abort(context, error)
        return pb.PutSubmissionResponse()

    async def GetEntry(  # noqa: N802 - gRPC's name
        self, request: pb.GetEntryRequest, context: AnyContext
    ) -> pb.GetEntryResponse:
        """Return one entry."""
        try:
            return pb.GetEntryResponse(entry=self._reader.entry(request.index))
        except SeawallError as error:
            await abort(context, error)

    async def Entries(  # noqa: N802 - gRPC's name
        self, request: pb.EntriesRequest, context: AnyContext
    ) -> AsyncIterator[pb.EntriesResponse]:
        """Return consecutive entries, and follow the log when asked to."""
        try:
            if self._followers >= self._settings.streams_max:
                raise PeerError("QUOTA_STREAMS", "too many read entries here: ask another site")
        except SeawallError as error:
            await abort(context, error)
        self._followers += 1
        try:
            async for page in self._reader.follow(
                request.start, request.limit, self._appender.certified, follow=request.follow
            ):
                yield page_message(page)
        except SeawallError as error:
            await abort(context, error)
        finally:
            self._followers -= 1

    async def Checkpoint(  # noqa: N802 - gRPC's name
        self, request: pb.CheckpointRequest, context: AnyContext
    ) -> pb.CheckpointResponse:
        """Return the newest certified checkpoint."""
        del request, context
        note = self._reader.note().decode()
        return pb.CheckpointResponse(note=note, commit_index=self._log.certified_index)

    async def ProveInclusion(  # noqa: N802 - gRPC's name
        self, request: pb.ProveInclusionRequest, context: AnyContext
    ) -> pb.ProveInclusionResponse:
        """Return an inclusion proof."""
        size = request.tree_size or self._log.certified_size
        try:
            hashes = self._reader.tree.inclusion(request.index, size, self._log.certified_size)
        except SeawallError as error:
            await _abort_invalid(context, error)
        return pb.ProveInclusionResponse(tree_size=size, hashes=hashes)

    async def ProveConsistency(  # noqa: N802 - gRPC's name
        self, request: pb.ProveConsistencyRequest, context: AnyContext
    ) -> pb.ProveConsistencyResponse:
        """Return a consistency proof."""
        try:
            hashes = self._reader.tree.consistency(
                request.old_size, request.new_size, self._log.certified_size
            )
        except SeawallError as error:
            await _abort_invalid(context, error)
        return pb.ProveConsistencyResponse(hashes=hashes)

    async def Receipt(  # noqa: N802 - gRPC's name
        self, request: pb.ReceiptRequest, context: AnyContext
    ) -> pb.ReceiptResponse:
        """Return what proves an update, once it exists."""
        try:
            update_id = digest_of(request.update_id, "update_id")
            wait_ms = min(request.wait_ms, WAIT_MS_MAX)
            document = await self._receipt(update_id, wait_ms, aggregated=request.aggregated)
        except SeawallError as error:
            await abort(context, error)
        return pb.ReceiptResponse(document=document)

    async def HasPayload(  # noqa: N802 - gRPC's name
        self, request: pb.HasPayloadRequest, context: AnyContext
    ) -> pb.HasPayloadResponse:
        """Return which chunks of a payload are stored."""
        try:
            digest = digest_of(request.payload_digest, "payload_digest")
            size_bytes = request.payload_size_bytes
            if size_bytes > self._log.genesis.admission.payload_size_bytes_max:
                limit = self._log.genesis.admission.payload_size_bytes_max
                hint = f"a payload has at most {limit} bytes"
                raise PeerError("TOO_LARGE", hint, field="payload_size_bytes")
        except SeawallError as error:
            await abort(context, error)
        holding = self._payloads.holding(digest, size_bytes)
        return pb.HasPayloadResponse(
            stored=holding.bitmap(size_bytes),
            complete=holding.complete,
            chunk_digests=holding.chunks.values(),
        )

    async def GetPayload(  # noqa: N802 - gRPC's name
        self, request: pb.GetPayloadRequest, context: AnyContext
    ) -> AsyncIterator[pb.GetPayloadResponse]:
        """Return the chunks of a payload."""
        try:
            digest = digest_of(request.payload_digest, "payload_digest")
            for chunk in self._payloads.chunks(digest, request.first_chunk):
                yield pb.GetPayloadResponse(
                    chunk=pb.Chunk(
                        payload_digest=digest,
                        index=chunk.index,
                        chunk_digest=chunk.chunk_digest,
                        data=chunk.data,
                        payload_size_bytes=chunk.payload_size_bytes,
                    )
                )
        except SeawallError as error:
            await abort(context, error)

    async def GetSubmission(  # noqa: N802 - gRPC's name
        self, request: pb.GetSubmissionRequest, context: AnyContext
    ) -> pb.GetSubmissionResponse:
        """Return what travelled beside an update."""
        try:
            update_id = digest_of(request.update_id, "update_id")
            kept = self._payloads.submission(update_id)
            if kept is None:
                hint = "not kept here: ask the site that took the update in"
                raise PeerError("SUBMISSION_UNKNOWN", hint, field="update_id")
        except SeawallError as error:
            await abort(context, error)
        return pb.GetSubmissionResponse(
            submission=pb.StoredSubmission(
                update_id=update_id,
                envelope=kept.envelope,
                manifest=kept.manifest,
                provenance=kept.provenance,
            )
        )

    async def LedgerStatus(  # noqa: N802 - gRPC's name
        self, request: pb.LedgerStatusRequest, context: AnyContext
    ) -> pb.LedgerStatusResponse:
        """Return where the ledger stands."""
        del request, context
        row = self._log.head.row
        return pb.LedgerStatusResponse(
            height=self._log.head.index,
            certified_height=self._log.certified_index,
            tree_size=row.tree_size,
            root=row.root,
            clock_ms=row.clock_ms,
            updates=row.updates,
            versions=self._log.versions,
        )

    def _is_ahead_of_disk(self, request: pb.JudgeRequest) -> bool:
        """Tell whether a claim names a checkpoint that may be of what is not written yet."""
        durable, executed = self._log.head.row.tree_size, self._log.tip.row.tree_size
        return any(durable < one.checkpoint_size <= executed for one in request.items)

    def _running(self) -> asyncio.TaskGroup:
        """Return the group in which streams do their work."""
        if self.group is None:
            hint = "this ledger is starting or stopping: try again"
            raise OperationalError("LEDGER_STOPPED", hint)
        return self.group

    async def _append(self, request: pb.AppendRequest) -> "asyncio.Future[Position | None]":
        """Queue one commit or certificate."""
        is_commit = request.WhichOneof("kind") == "commit"
        content = delivery_of(request.commit) if is_commit else certificate_of(request.certificate)
        return await self._appender.enqueue(content)

    async def _put(self, request: pb.PutPayloadRequest) -> pb.PutPayloadResponse:
        """Store the chunks of one message."""
        chunks = [
            ChunkData(
                chunk.payload_digest,
                chunk.index,
                chunk.chunk_digest,
                chunk.data,
                chunk.payload_size_bytes,
            )
            for chunk in request.chunks
        ]
        refused = await self._payloads.put(chunks)
        return pb.PutPayloadResponse(number=request.number, refused=refused)

    async def _receipt(self, update_id: bytes, wait_ms: int, *, aggregated: bool) -> bytes:
        """Return a receipt, waiting for it up to `wait_ms`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_ms / 1000
        while True:
            envelope = self._envelope(update_id)
            issued = self._receipts.issue(
                update_id, aggregated=aggregated, note=self._reader.note(), envelope=envelope
            )
            if not isinstance(issued, Pending):
                return issued
            left = deadline - loop.time()
            if left <= 0 or not await self._landmarks.wait(issued.landmark, left):
                break
        if envelope is None and self._reader.outcome(update_id) is None:
            hint = "this site knows nothing of it: was it sent here?"
            raise PeerError("RECEIPT_UNKNOWN", hint, field="update_id")
        raise PeerError("RECEIPT_PENDING", "not committed yet: ask again", field="update_id")

    def _envelope(self, update_id: bytes) -> bytes | None:
        """Return an update's envelope in canonical form, if it is kept here."""
        kept = self._payloads.submission(update_id)
        if kept is None or not kept.envelope:
            return None
        return dsse.encode(dsse.decode(kept.envelope, size_max=ENVELOPE_BYTES_MAX))


async def _abort_invalid(context: AnyContext, error: SeawallError) -> NoReturn:
    """End an RPC whose arguments ask for what no tree has."""
    invalid = grpc.StatusCode.INVALID_ARGUMENT if isinstance(error, PeerError) else None
    await abort(context, error, status=invalid)
