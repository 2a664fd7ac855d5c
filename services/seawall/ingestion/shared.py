"""What the workers of one site's ingestion have in common, and how one worker alone has it.

Nothing here is what anybody was promised: an update that was acknowledged is in the ledger and its
payload store before the acknowledgement, and a number is accepted once because the order of blocks
says so. This state refuses early what would be refused later, holds contributors to their quotas,
and lets an upload go on at another worker. All of it may be lost at any time, and is rebuilt.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from seawall.errors import PeerError, SeawallError
from seawall.formats.admission import AdmittedUpdate
from seawall.ingestion.claims import Claim, Claims
from seawall.ingestion.config import IngestionSettings
from seawall.ingestion.streams import StreamQuota
from seawall.ingestion.uploads import Upload, Uploads
from seawall.telemetry.logs import Log


class Sessions(Protocol):
    """Open uploads. An `Upload` says how one stood when it was opened or found.

    Every method raises OperationalError SHARED_* when the state cannot be reached; then nothing
    was changed that matters, and the caller may try again.
    """

    async def open(self, admitted: AdmittedUpdate, missing: Sequence[int]) -> Upload:
        """Return the upload of an update, a new one or the one that is open.

        Raises:
            PeerError: QUOTA_UPLOADS.

        """
        ...

    async def find(self, upload_id: bytes) -> Upload | None:
        """Return an open upload and keep it alive; None when it was closed or idle for too long."""
        ...

    async def begin(self, upload: Upload, index: int, size_bytes: int) -> PeerError | None:
        """Take a missing chunk for writing; return why not: CHUNK_ORDER, CHUNK_LENGTH."""
        ...

    async def end(self, upload: Upload, index: int, *, stored: bool) -> None:
        """Give a chunk back that was begun; it is missing until it was stored."""
        ...

    async def refill(self, upload: Upload, missing: Sequence[int]) -> None:
        """Note which chunks the payload store lacks after all."""
        ...

    async def close(self, upload: Upload) -> None:
        """Forget an upload; its chunks stay."""
        ...


class Shared(Protocol):
    """The state that all workers of one site's ingestion see.

    The end of a claim is told to the other workers by itself.
    """

    @property
    def claims(self) -> Claims:
        """Return the claims of this worker."""
        ...

    @property
    def sessions(self) -> Sessions:
        """Return the uploads of all workers."""
        ...

    async def claim(self, claims: Sequence[Claim]) -> list[SeawallError | None]:
        """Take claims before their updates are admitted; return why not, for each.

        PeerError REPLAY_SEQ, REPLAY_PAYLOAD, QUOTA_CONTRIBUTOR; OperationalError SHARED_*. The same
        update may be claimed by several workers, and by one several times.
        """
        ...

    def stream(self, peer: str) -> AbstractAsyncContextManager[None]:
        """Count one stream of a peer, `ipv4:address:port`, while it is open.

        Raises:
            PeerError: QUOTA_STREAMS.

        """
        ...

    def ready(self) -> bool:
        """Say whether the state can be reached."""
        ...

    async def run(self) -> None:
        """Keep the state until cancelled."""
        ...


class OwnSessions:
    """Open uploads of a process that is alone."""

    def __init__(self, uploads: Uploads, now: Callable[[], float]) -> None:
        """Keep them in `uploads`."""
        self._uploads = uploads
        self._now = now

    async def open(self, admitted: AdmittedUpdate, missing: Sequence[int]) -> Upload:
        """Return the upload of an update."""
        return self._uploads.open(admitted, missing, self._now())

    async def find(self, upload_id: bytes) -> Upload | None:
        """Return an open upload."""
        return self._uploads.find(upload_id, self._now())

    async def begin(self, upload: Upload, index: int, size_bytes: int) -> PeerError | None:
        """Take a missing chunk for writing."""
        refusal = upload.chunk_refusal(index, size_bytes)
        if refusal is None:
            upload.writing[index] = None
        return refusal

    async def end(self, upload: Upload, index: int, *, stored: bool) -> None:
        """Give a chunk back."""
        del upload.writing[index]
        if stored:
            upload.missing.pop(index, None)

    async def refill(self, upload: Upload, missing: Sequence[int]) -> None:
        """Note what is missing."""
        upload.missing = dict.fromkeys(missing)

    async def close(self, upload: Upload) -> None:
        """Forget an upload."""
        self._uploads.close(upload)


class Alone:
    """The state of a worker that is the only one: its own memory."""

    def __init__(
        self,
        settings: IngestionSettings,
        entropy: Callable[[int], bytes],
        now: Callable[[], float],
        log: Log,
    ) -> None:
        """Share nothing with anybody; `now` are seconds of a clock that only rises."""
        self.claims = Claims(settings.in_flight_contributor_max)
        self._uploads = Uploads(settings, entropy)
        self.sessions = OwnSessions(self._uploads, now)
        self._quota = StreamQuota(settings)
        self._idle_seconds = settings.upload_idle_seconds
        self._now = now
        self._log = log

    async def claim(self, claims: Sequence[Claim]) -> list[SeawallError | None]:
        """Take claims."""
        return [taken(self.claims, one) for one in claims]

    @asynccontextmanager
    async def stream(self, peer: str) -> AsyncIterator[None]:
        """Count a stream."""
        with self._quota.stream(peer):
            yield

    def ready(self) -> bool:
        """Say yes: memory is there."""
        return True

    async def run(self) -> None:
        """Forget idle uploads until cancelled."""
        while True:
            await asyncio.sleep(min(1.0, self._idle_seconds / 2))
            forgotten = self._uploads.sweep(self._now())
            if forgotten:
                self._log.info("uploads_forgotten", uploads=forgotten)


def taken(claims: Claims, claim: Claim) -> SeawallError | None:
    """Take a claim in a table of this process; return why not."""
    try:
        claims.take(claim)
    except SeawallError as refusal:
        return refusal
    return None
