"""Open uploads: which chunks of which payload are still missing.

Chunks go straight to the ledger's payload store, so an upload itself is small: what was signed, and
the positions that are missing. It is forgotten after a while without traffic; its chunks stay, and
opening it again goes on where it ended.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from seawall.errors import PeerError
from seawall.formats.admission import AdmittedUpdate
from seawall.formats.oms import CHUNK_SIZE
from seawall.ingestion.config import IngestionSettings

UPLOAD_ID_BYTES = 16
REFUSALS_CHUNK_MAX = 3
REFUSALS_LEAST = 3
REFUSALS_SHARE = 100
"""A stream ends at 3 refusals of one chunk, or above a hundredth of all chunks and at least 3."""


class Upload:
    """One open upload; `writing` are chunks on their way to the disk.

    `requests` stands for the stream that chunks do not come on when each is a request of its own.
    """

    __slots__ = ("admitted", "missing", "requests", "touched", "upload_id", "writing")

    def __init__(
        self, upload_id: bytes, admitted: AdmittedUpdate, missing: Sequence[int], now: float
    ) -> None:
        """Start with these chunks missing."""
        self.upload_id = upload_id
        self.admitted = admitted
        self.missing = dict.fromkeys(missing)
        self.writing: dict[int, None] = {}
        self.touched = now
        self.requests = UploadStream()

    @property
    def chunk_count(self) -> int:
        """Return how many chunks the payload has."""
        return len(self.admitted.chunk_digests)

    def chunk_refusal(self, index: int, size_bytes: int) -> PeerError | None:
        """Return what is wrong with a chunk's place or length: CHUNK_ORDER, CHUNK_LENGTH."""
        refusal = self.place_refusal(index)
        if refusal is None and (index not in self.missing or index in self.writing):
            return PeerError("CHUNK_ORDER", "this chunk is here already", field="index")
        return refusal or self.length_refusal(index, size_bytes)

    def place_refusal(self, index: int) -> PeerError | None:
        """Return why the payload has no such chunk: CHUNK_ORDER."""
        if index < self.chunk_count:
            return None
        hint = f"this payload has {self.chunk_count} chunks"
        return PeerError("CHUNK_ORDER", hint, field="index")

    def length_refusal(self, index: int, size_bytes: int) -> PeerError | None:
        """Return why a chunk has the wrong length: CHUNK_LENGTH."""
        expected = min(CHUNK_SIZE, self.admitted.submission.payload_size - index * CHUNK_SIZE)
        if size_bytes == expected:
            return None
        hint = f"this chunk has {expected} bytes"
        return PeerError("CHUNK_LENGTH", hint, field="data", offset=index * CHUNK_SIZE)

    def bitmap(self) -> bytes:
        """Return the missing chunks: bit i of byte i / 8, least significant first."""
        bits = sum(1 << index for index in self.missing)
        return bits.to_bytes(-(-self.chunk_count // 8), "little")


def gone_refusal() -> PeerError:
    """Return why a chunk of an upload that nobody knows is refused."""
    hint = "open the upload first, or again: it may have been idle for too long"
    return PeerError("CHUNK_ORDER", hint, field="upload_id")


def upload_refusal() -> PeerError:
    """Return why no further upload may be opened."""
    return PeerError("QUOTA_UPLOADS", "finish other uploads first, or use another site")


class Uploads:
    """All open uploads of one site."""

    def __init__(self, settings: IngestionSettings, entropy: Callable[[int], bytes]) -> None:
        """Start with none; `entropy` makes names that nobody guesses."""
        self._settings = settings
        self._entropy = entropy
        self._uploads: dict[bytes, Upload] = {}
        self._by_update: dict[bytes, bytes] = {}
        self._by_contributor: Counter[bytes] = Counter()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._uploads)

    def open(self, admitted: AdmittedUpdate, missing: Sequence[int], now: float) -> Upload:
        """Return the upload of an update, a new one or the one that is open.

        Raises:
            PeerError: QUOTA_UPLOADS.

        """
        known = self._by_update.get(admitted.update_id)
        if known is not None:
            upload = self._uploads[known]
            upload.missing = dict.fromkeys(missing)
            upload.requests = UploadStream()
            upload.touched = now
            return upload
        owner, settings = admitted.submission.contributor, self._settings
        if (
            len(self._uploads) >= settings.uploads_max
            or self._by_contributor[owner] >= settings.uploads_contributor_max
            or self._bytes + admitted.beside_size_bytes > settings.uploads_bytes_max
        ):
            raise upload_refusal()
        upload = Upload(self._entropy(UPLOAD_ID_BYTES), admitted, missing, now)
        self._uploads[upload.upload_id] = upload
        self._by_update[admitted.update_id] = upload.upload_id
        self._by_contributor[owner] += 1
        self._bytes += admitted.beside_size_bytes
        return upload

    def find(self, upload_id: bytes, now: float) -> Upload | None:
        """Return an open upload and keep it alive."""
        upload = self._uploads.get(upload_id)
        if upload is not None:
            upload.touched = now
        return upload

    def close(self, upload: Upload) -> None:
        """Forget an upload; its chunks stay."""
        if self._uploads.pop(upload.upload_id, None) is None:
            return
        admitted = upload.admitted
        owner = admitted.submission.contributor
        del self._by_update[admitted.update_id]
        self._bytes -= admitted.beside_size_bytes
        self._by_contributor[owner] -= 1
        if not self._by_contributor[owner]:
            del self._by_contributor[owner]

    def sweep(self, now: float) -> int:
        """Forget uploads without traffic; return how many."""
        idle = [
            upload
            for upload in self._uploads.values()
            if now - upload.touched > self._settings.upload_idle_seconds and not upload.writing
        ]
        for upload in idle:
            self.close(upload)
        return len(idle)


class UploadStream:
    """What one Upload stream has been refused so far, and whose chunks it carries."""

    def __init__(self) -> None:
        """Start with nothing refused."""
        self._owner: bytes | None = None
        self._by_chunk: Counter[tuple[bytes, int]] = Counter()
        self._refused = 0

    def check_owner(self, upload: Upload) -> None:
        """Accept chunks of one contributor only: an upload goes on under the key that began it.

        Raises:
            PeerError: OWNER.

        """
        owner = upload.admitted.submission.contributor
        if self._owner not in (None, owner):
            hint = "open a stream of its own for each contributor"
            raise PeerError("OWNER", hint, field="upload_id")
        self._owner = owner

    def count(self, upload: Upload | None, upload_id: bytes, index: int) -> None:
        """Count a refused chunk.

        Raises:
            PeerError: CHUNK_HASH when the stream has sent too many.

        """
        self._refused += 1
        self._by_chunk[upload_id, index] += 1
        share = upload.chunk_count // REFUSALS_SHARE if upload is not None else 0
        too_many = self._refused >= max(REFUSALS_LEAST, share + 1)
        if too_many or self._by_chunk[upload_id, index] >= REFUSALS_CHUNK_MAX:
            hint = "too many chunks did not match: check the connection, then open again"
            raise PeerError("CHUNK_HASH", hint, field="data", offset=index * CHUNK_SIZE)
