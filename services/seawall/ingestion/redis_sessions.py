"""Open uploads in Redis: begun at one worker, continued and finished at another.

What was signed is kept beside the session, and checked again by each worker that has not seen it,
so that nothing is believed because Redis says so.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from seawall.errors import PeerError
from seawall.formats.admission import AdmittedUpdate
from seawall.ingestion import redis_scripts as scripts
from seawall.ingestion.config import IngestionSettings
from seawall.ingestion.redis_link import RedisLink
from seawall.ingestion.uploads import (
    UPLOAD_ID_BYTES,
    Upload,
    UploadStream,
    gone_refusal,
    upload_refusal,
)
from seawall.runtime.admission_cache import AdmissionCache

WRITING_MS_MAX: Final = 30_000
"""After which a chunk that some worker was writing may be sent again."""

_BEGUN, _NOT_MISSING = 0, 1


class RedisSessions:
    """Uploads of all workers of a site."""

    def __init__(
        self,
        link: RedisLink,
        settings: IngestionSettings,
        admission: AdmissionCache,
        entropy: Callable[[int], bytes],
    ) -> None:
        """Keep sessions behind `link`; `entropy` makes names that nobody guesses."""
        self._link = link
        self._settings = settings
        self._admission = admission
        self._entropy = entropy
        self._idle_ms = int(settings.upload_idle_seconds * 1000)
        self._seen: OrderedDict[bytes, tuple[AdmittedUpdate, UploadStream]] = OrderedDict()
        self._seen_bytes = 0

    async def open(self, admitted: AdmittedUpdate, missing: Sequence[int]) -> Upload:
        """Return the upload of an update; QUOTA_UPLOADS."""
        settings = self._settings
        name = await self._link.ask(
            scripts.SESSION_OPEN,
            self._entropy(UPLOAD_ID_BYTES).hex(),
            self._idle_ms,
            settings.uploads_max,
            settings.uploads_contributor_max,
            settings.uploads_bytes_max,
            admitted.update_id.hex(),
            admitted.submission.contributor.hex(),
            _bitmap(missing, len(admitted.chunk_digests)),
            admitted.envelope,
            admitted.manifest,
            admitted.provenance,
        )
        if name is None:
            raise upload_refusal()
        upload_id = bytes.fromhex(name.decode())
        self._note(upload_id, admitted)
        return Upload(upload_id, admitted, missing, 0.0)

    async def find(self, upload_id: bytes) -> Upload | None:
        """Return an open upload as all workers left it."""
        if len(upload_id) != UPLOAD_ID_BYTES:
            return None
        seen = self._seen.get(upload_id)
        wanted = 0 if seen is not None else 1
        found = await self._link.ask(scripts.SESSION_FIND, upload_id.hex(), self._idle_ms, wanted)
        if found is None:
            self._forget(upload_id)
            return None
        if seen is None:
            try:
                admitted = self._admission.check_envelope(*(one or b"" for one in found[2]))
            except PeerError:
                # Somebody else wrote to this Redis: what is not signed is no upload.
                return None
            seen = self._note(upload_id, admitted)
        admitted, requests = seen
        upload = Upload(upload_id, admitted, _positions(found[0], len(admitted.chunk_digests)), 0.0)
        upload.writing = dict.fromkeys(int(index) for index in found[1])
        upload.requests = requests
        return upload

    async def begin(self, upload: Upload, index: int, size_bytes: int) -> PeerError | None:
        """Take a missing chunk for writing, unless another stream or worker has it."""
        refusal = upload.place_refusal(index) or upload.length_refusal(index, size_bytes)
        if index >= upload.chunk_count:
            return refusal
        answer = await self._link.ask(
            scripts.SESSION_BEGIN,
            upload.upload_id.hex(),
            self._idle_ms,
            index,
            WRITING_MS_MAX,
            0 if refusal is not None else 1,
        )
        if answer == _BEGUN:
            return refusal
        if answer == _NOT_MISSING:
            return PeerError("CHUNK_ORDER", "this chunk is here already", field="index")
        return gone_refusal()

    async def end(self, upload: Upload, index: int, *, stored: bool) -> None:
        """Give a chunk back."""
        name = upload.upload_id.hex()
        await self._link.ask(scripts.SESSION_END, name, self._idle_ms, index, 1 if stored else 0)

    async def refill(self, upload: Upload, missing: Sequence[int]) -> None:
        """Note what is missing."""
        name, bitmap = upload.upload_id.hex(), _bitmap(missing, upload.chunk_count)
        await self._link.ask(scripts.SESSION_REFILL, name, self._idle_ms, bitmap)
        upload.missing = dict.fromkeys(missing)

    async def close(self, upload: Upload) -> None:
        """Forget an upload."""
        self._forget(upload.upload_id)
        await self._link.ask(scripts.SESSION_CLOSE, upload.upload_id.hex())

    def _note(
        self, upload_id: bytes, admitted: AdmittedUpdate
    ) -> tuple[AdmittedUpdate, UploadStream]:
        """Remember what was signed, and count refused requests anew.

        The oldest goes when that is more than all uploads may have.
        """
        self._forget(upload_id)
        seen = self._seen[upload_id] = (admitted, UploadStream())
        self._seen_bytes += admitted.beside_size_bytes
        while len(self._seen) > 1 and (
            len(self._seen) > self._settings.uploads_max
            or self._seen_bytes > self._settings.uploads_bytes_max
        ):
            self._forget(next(iter(self._seen)))
        return seen

    def _forget(self, upload_id: bytes) -> None:
        seen = self._seen.pop(upload_id, None)
        if seen is not None:
            self._seen_bytes -= seen[0].beside_size_bytes


def _bitmap(missing: Sequence[int], chunk_count: int) -> bytes:
    """Return positions as Redis numbers bits: most significant first."""
    bits = bytearray(-(-chunk_count // 8))
    for index in missing:
        bits[index // 8] |= 0x80 >> index % 8
    return bytes(bits)


def _positions(bitmap: bytes, chunk_count: int) -> list[int]:
    """Return the positions of a bitmap, which Redis may have cut or lost: then all is missing."""
    if len(bitmap) != -(-chunk_count // 8):
        return list(range(chunk_count))
    return [at for at in range(chunk_count) if bitmap[at // 8] & 0x80 >> at % 8]
