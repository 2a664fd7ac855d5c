"""Ingestion over gRPC: streams of whole updates, uploads in chunks, and news of both."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import grpc.aio

from seawall.api.v1 import ingestion_pb2 as pb
from seawall.api.v1 import ingestion_pb2_grpc, types_pb2
from seawall.errors import PeerError, SeawallError
from seawall.ingestion.config import IngestionSettings
from seawall.ingestion.intake import Intake, Whole
from seawall.ingestion.receiving import Receiving
from seawall.ingestion.shared import Shared
from seawall.ingestion.streams import Outbox, first_of_ours
from seawall.ingestion.update import MESSAGE_BYTES_MAX, Event, Stage
from seawall.ingestion.uploads import UploadStream
from seawall.ingestion.watching import Watching, watched
from seawall.runtime.status import AnyContext, abort, refusal

EVENTS_APART_SECONDS: Final = 0.01
"""Least time between two messages of a stream that has much to tell."""


class IngestionServicer(ingestion_pb2_grpc.IngestionServiceServicer):
    """One site's way in, on the wire."""

    def __init__(
        self,
        settings: IngestionSettings,
        intake: Intake,
        receiving: Receiving,
        watching: Watching,
        shared: Shared,
    ) -> None:
        """Speak for these parts; `shared` counts the streams of every port."""
        self._settings = settings
        self._intake = intake
        self._receiving = receiving
        self._watching = watching
        self._shared = shared

    # --- small updates ---------------------------------------------------------------------------

    async def Submit(  # type: ignore[override]  # noqa: N802 - a coroutine that writes; gRPC's name
        self,
        request_iterator: AsyncIterator[pb.IngestionServiceSubmitRequest],
        context: AnyContext,
    ) -> None:
        """Take whole updates in, and tell what becomes of them."""
        outbox = Outbox(events_max=self._settings.events_max)
        failure: SeawallError | None = None
        try:
            async with self._shared.stream(context.peer()), asyncio.TaskGroup() as group:
                guard = group.create_task(outbox.guard(self._settings.stream_idle_seconds))
                writer = group.create_task(self._write_events(outbox, context))
                async for request in request_iterator:
                    outbox.touch()
                    await self._intake.take(self._wholes(request), outbox)
                outbox.sender_is_done()
                await writer
                guard.cancel()
        except PeerError as refused:
            failure = refused
        except ExceptionGroup as failures:
            failure = first_of_ours(failures)
        finally:
            outbox.closed = True
        if failure is not None:
            await abort(context, failure)

    async def _write_events(self, outbox: Outbox, context: AnyContext) -> None:
        """Write events as they come, those that follow each other closely in one message."""
        loop, written_at = asyncio.get_running_loop(), 0.0
        while events := await outbox.take():
            await context.write(pb.IngestionServiceSubmitResponse(events=map(_event, events)))
            since, written_at = loop.time() - written_at, loop.time()
            if since < EVENTS_APART_SECONDS:
                await asyncio.sleep(EVENTS_APART_SECONDS)

    def _wholes(self, request: pb.IngestionServiceSubmitRequest) -> list[Whole]:
        """Return the updates of a message.

        Raises:
            PeerError: SUBMIT_EMPTY, TOO_LARGE.

        """
        wholes = [
            Whole(one.number, one.envelope, one.provenance, one.payload) for one in request.updates
        ]
        if not wholes:
            raise PeerError("SUBMIT_EMPTY", "send at least one update a message", field="updates")
        size_bytes = sum(
            len(one.envelope) + len(one.provenance) + len(one.payload) for one in wholes
        )
        if size_bytes > MESSAGE_BYTES_MAX or len(wholes) > self._settings.message_updates_max:
            hint = (
                f"a message has at most {self._settings.message_updates_max} updates and "
                f"{MESSAGE_BYTES_MAX} bytes: send large payloads by Open, Upload and Finish"
            )
            raise PeerError("TOO_LARGE", hint, field="updates")
        return wholes

    # --- large payloads --------------------------------------------------------------------------

    async def Open(  # noqa: N802 - gRPC's name
        self, request: pb.OpenRequest, context: AnyContext
    ) -> pb.OpenResponse:
        """Start or resume an upload."""
        try:
            upload = await self._receiving.open(
                request.envelope, request.manifest, request.provenance
            )
        except SeawallError as failure:
            await abort(context, failure)
        return pb.OpenResponse(
            upload_id=upload.upload_id,
            missing=upload.bitmap(),
            idle_ms_max=int(self._settings.upload_idle_seconds * 1000),
        )

    async def Upload(  # type: ignore[override]  # noqa: N802 - a coroutine that writes; gRPC's name
        self, request_iterator: AsyncIterator[pb.UploadRequest], context: AnyContext
    ) -> None:
        """Take chunks, several at once, and answer each."""
        failure: SeawallError | None = None
        try:
            async with self._shared.stream(context.peer()):
                await self._take_chunks(request_iterator, context)
        except SeawallError as refused:
            failure = refused
        except ExceptionGroup as failures:
            failure = first_of_ours(failures)
        if failure is not None:
            await abort(context, failure)

    async def _take_chunks(
        self, requests: AsyncIterator[pb.UploadRequest], context: AnyContext
    ) -> None:
        stream = UploadStream()
        slots = asyncio.Semaphore(self._settings.chunks_in_flight_max)
        writing = asyncio.Lock()

        async def take(request: pb.UploadRequest) -> None:
            try:
                refused = await self._receiving.take_chunk(
                    stream, request.upload_id, request.index, request.data
                )
                answer = pb.UploadResponse(upload_id=request.upload_id, index=request.index)
                if refused is not None:
                    answer.refusal.CopyFrom(refusal(refused))
                async with writing:
                    await context.write(answer)
            finally:
                slots.release()

        chunks = aiter(requests)
        async with asyncio.TaskGroup() as group:
            while True:
                await slots.acquire()
                try:
                    async with asyncio.timeout(self._settings.upload_idle_seconds):
                        request = await anext(chunks, None)
                except TimeoutError:
                    hint = "send chunks without long pauses, or close the stream"
                    raise PeerError("DEADLINE", hint) from None
                if request is None:
                    break
                group.create_task(take(request))

    async def Finish(  # noqa: N802 - gRPC's name
        self, request: pb.FinishRequest, context: AnyContext
    ) -> pb.FinishResponse:
        """End an upload."""
        try:
            event = await self._receiving.finish(request.upload_id)
        except SeawallError as failure:
            await abort(context, failure)
        return pb.FinishResponse(event=_event((0, event)))

    # --- news ------------------------------------------------------------------------------------

    async def Watch(  # type: ignore[override]  # noqa: N802 - a coroutine that writes; gRPC's name
        self, request: pb.WatchRequest, context: AnyContext
    ) -> None:
        """Tell what becomes of updates, until each has come far enough."""
        # An unknown stage is one of a later version: the last that this one knows comes nearest.
        until = Stage(min(request.until or Stage.COMMITTED, Stage.AGGREGATED))
        outbox = Outbox(events_max=self._settings.events_max, until=until)
        failure: SeawallError | None = None
        update_ids: tuple[bytes, ...] = ()
        try:
            update_ids = watched(request.update_ids)
            async with self._shared.stream(context.peer()), asyncio.TaskGroup() as group:
                guard = group.create_task(outbox.guard(self._settings.stream_idle_seconds))
                group.create_task(self._watching.watch(update_ids, outbox, until))
                while events := await outbox.take():
                    await context.write(pb.WatchResponse(events=map(_event, events)))
                guard.cancel()
        except SeawallError as refused:
            failure = refused
        except ExceptionGroup as failures:
            failure = first_of_ours(failures)
        finally:
            outbox.closed = True
            self._watching.forget(update_ids, outbox)
        if failure is not None:
            await abort(context, failure)

    def register(self, server: grpc.aio.Server) -> None:
        """Add this servicer to a server."""
        ingestion_pb2_grpc.add_IngestionServiceServicer_to_server(self, server)


def _event(numbered: tuple[int, Event]) -> types_pb2.UpdateEvent:
    """Return an event as a message."""
    number, event = numbered
    message = types_pb2.UpdateEvent(
        update_id=event.update_id,
        number=number,
        stage=types_pb2.UpdateStage.ValueType(event.stage),
        entry_index=event.entry_index,
        version=event.version,
    )
    if event.refusal is not None:
        message.refusal.CopyFrom(refusal(event.refusal))
    return message
