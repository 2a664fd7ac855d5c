"""Large payloads: open, take chunks, finish."""

import asyncio
from contextlib import aclosing

from seawall.errors import PeerError
from seawall.formats.admission import AdmittedUpdate, hash_refusal
from seawall.formats.oms import CHUNK_SIZE
from seawall.ingestion.config import IngestionSettings
from seawall.ingestion.intake import Intake
from seawall.ingestion.progress import Progress
from seawall.ingestion.shared import Sessions
from seawall.ingestion.state_rules import AGAIN_SECONDS, StateRules
from seawall.ingestion.streams import Outbox, settled
from seawall.ingestion.update import Event, Stage
from seawall.ingestion.uploads import Upload, UploadStream, gone_refusal
from seawall.runtime.ledger_client import LedgerClient, Piece
from seawall.runtime.service import Context


class Receiving:
    """Uploads of one site, from their opening to the pipeline."""

    def __init__(
        self,
        context: Context,
        settings: IngestionSettings,
        progress: Progress,
        intake: Intake,
        state: StateRules,
        ledger: LedgerClient,
        sessions: Sessions,
    ) -> None:
        """Keep uploads in `sessions`."""
        self._admission = context.admission
        self._clock = context.clock
        self._settings = settings
        self._progress = progress
        self._intake = intake
        self._state = state
        self._ledger = ledger
        self._sessions = sessions

    async def open(self, envelope: bytes, manifest: bytes, provenance: bytes) -> Upload:
        """Return the upload of an update, after every check that needs no tensor byte.

        Raises:
            PeerError: the code of the first failed check, QUOTA_UPLOADS.
            OperationalError: LEDGER_BEHIND, RPC_*, SHARED_*, DEADLINE.

        """
        admitted = self._admission.check_envelope(envelope, manifest, provenance)
        missing: tuple[int, ...] = ()
        if self._intake.known(admitted.update_id) is None:
            self._progress.check_conflict(admitted)
            if not await self._judge(admitted):
                missing = (await self._ledger.stored(admitted)).missing
        return await self._sessions.open(admitted, missing)

    async def take_chunk(
        self, stream: UploadStream, upload_id: bytes, index: int, data: bytes
    ) -> PeerError | None:
        """Store one chunk; return why it is refused, None when it is durable.

        Raises:
            PeerError: OWNER, CHUNK_HASH; the stream has to end.
            OperationalError: STORE_*, RPC_*, SHARED_*, DEADLINE.

        """
        upload = await self._sessions.find(upload_id)
        return await self._take(upload, stream, upload_id, index, data)

    async def _take(
        self,
        upload: Upload | None,
        stream: UploadStream,
        upload_id: bytes,
        index: int,
        data: bytes,
    ) -> PeerError | None:
        """Store one chunk of an upload, None when nobody knows it; count what is refused."""
        refusal: PeerError | None = gone_refusal()
        if upload is not None:
            stream.check_owner(upload)
            refusal = await self._sessions.begin(upload, index, len(data))
            if refusal is None:
                refusal = await self._store(upload, index, data)
        if refusal is not None:
            stream.count(upload, upload_id, index)
        return refusal

    async def take_single(self, upload_id: bytes, index: int, data: bytes) -> None:
        """Store one chunk that came in a request of its own; all such of an upload are one stream.

        Raises:
            PeerError: why the chunk is refused: CHUNK_*.
            OperationalError: STORE_*, RPC_*, SHARED_*, DEADLINE.

        """
        upload = await self._sessions.find(upload_id)
        stream = UploadStream() if upload is None else upload.requests
        refusal = await self._take(upload, stream, upload_id, index, data)
        if refusal is not None:
            raise refusal

    async def finish(self, upload_id: bytes) -> Event:
        """Return the event RECEIVED, or a later one, of an update whose chunks are all here.

        Raises:
            PeerError: UPLOAD_UNKNOWN, INCOMPLETE, ST_*, VAL_*, REPLAY_*, QUOTA_*.
            OperationalError: STORE_*, RPC_*, SHARED_*, DEADLINE, BATCH_TIMEOUT.

        """
        upload = await self._sessions.find(upload_id)
        if upload is None:
            hint = "open the upload again: it may have been idle for too long"
            raise PeerError("UPLOAD_UNKNOWN", hint, field="upload_id")
        update = self._intake.known(upload.admitted.update_id)
        if update is None:
            await self._check_whole(upload)
            update = await self._intake.enter(upload.admitted)
        outbox = Outbox(events_max=len(Stage), until=Stage.RECEIVED)
        self._progress.attach(update, outbox, 0)
        try:
            event = await settled(outbox, self._settings.batch_seconds_max)
        except PeerError:
            await self._sessions.close(upload)
            raise
        # Whoever did not hear the answer may ask once more until then.
        await self._sessions.close(upload)
        return event

    async def _judge(self, admitted: AdmittedUpdate) -> bool:
        """Judge an update before its bytes come; return whether it is committed already.

        Raises:
            PeerError: REPLAY_*, KEY_*.

        """
        since_us = self._clock.elapsed_us()
        while True:
            verdicts = await self._state.judge((admitted,))
            refusal = verdicts.refused.get(0)
            if refusal is None:
                return False
            if await self._state.is_committed(admitted, refusal):
                return True
            if not self._state.is_ahead(admitted, refusal, since_us):
                raise refusal
            await asyncio.sleep(AGAIN_SECONDS)

    async def _store(self, upload: Upload, index: int, data: bytes) -> PeerError | None:
        """Store a chunk whose place fits; the store compares its hash with the signed one."""
        admitted = upload.admitted
        claim = admitted.submission
        piece = Piece(
            claim.payload_digest, claim.payload_size, index, admitted.chunk_digests[index], data
        )
        stored = False
        try:
            stored = not await self._ledger.put((piece,))
        finally:
            await self._sessions.end(upload, index, stored=stored)
        if stored:
            return None
        # It may also be that the whole does not have the signed hash: then all chunks are gone.
        await self._sessions.refill(upload, (await self._ledger.stored(admitted)).missing)
        return hash_refusal(index)

    async def _check_whole(self, upload: Upload) -> None:
        """Check a stored payload, chunk by chunk.

        Raises:
            PeerError: INCOMPLETE, ST_*, VAL_*.

        """
        admitted = upload.admitted
        if not upload.missing and not upload.writing:
            stored = await self._ledger.stored(admitted)
            if not stored.complete:
                await self._sessions.refill(upload, stored.missing)
        if upload.missing or upload.writing:
            first = min((*upload.missing, *upload.writing))
            hint = f"send chunk {first} and {len(upload.missing) - 1} more, or open again"
            raise PeerError("INCOMPLETE", hint, field="upload_id", offset=first * CHUNK_SIZE)
        if self._admission.holds(admitted):
            return
        scan = self._admission.admission.scan(admitted)
        try:
            async with aclosing(self._ledger.chunks(admitted.submission.payload_digest)) as chunks:
                async for data in chunks:
                    scan.feed(data)
                    await asyncio.sleep(0)
            scan.finish()
        except PeerError:
            await self._sessions.close(upload)
            raise
