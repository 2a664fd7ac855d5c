"""What this process has verified already, so that no signature or payload is checked twice.

Ingestion and integrity of one site often share a process; an update that ingestion verified from
its bytes a moment ago need not be verified from the same bytes again. Every key covers all bytes
that the check read, so a different byte is a different key. Bounded: the oldest entries go.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from seawall.crypto.hashing import tagged
from seawall.formats.admission import Admission, AdmittedUpdate

ENTRIES_MAX: Final = 16_384
"""Updates remembered."""

BESIDE_BYTES_MAX: Final = 64 << 20
"""Bytes of envelopes and statements that are kept with them."""

HEIGHTS_MAX: Final = 64
"""Heights whose verdicts are remembered."""

_TAG: Final = b"seawall/admission-cache"


class AdmissionCache:
    """The stateless checks of `Admission`, remembered; and what else needs no second look."""

    def __init__(
        self,
        admission: Admission,
        *,
        entries_max: int = ENTRIES_MAX,
        beside_bytes_max: int = BESIDE_BYTES_MAX,
    ) -> None:
        """Remember up to `entries_max` updates with `beside_bytes_max` bytes in all."""
        self.admission = admission
        self._entries_max = entries_max
        self._beside_bytes_max = beside_bytes_max
        self._beside_bytes = 0
        self._admitted: OrderedDict[bytes, AdmittedUpdate] = OrderedDict()
        self._held: OrderedDict[tuple[int, bytes], None] = OrderedDict()
        self._judged: OrderedDict[int, set[bytes]] = OrderedDict()

    def check_envelope(
        self, envelope: bytes, manifest: bytes = b"", provenance: bytes = b""
    ) -> AdmittedUpdate:
        """Return the admitted update; see `Admission.check_envelope` for order and errors."""
        key = tagged(_TAG, envelope, manifest, provenance)
        known = self._admitted.get(key)
        if known is None:
            known = self.admission.check_envelope(envelope, manifest, provenance)
            self._admitted[key] = known
            self._beside_bytes += known.beside_size_bytes
            while (
                len(self._admitted) > self._entries_max
                or self._beside_bytes > self._beside_bytes_max
            ):
                _, oldest = self._admitted.popitem(last=False)
                self._beside_bytes -= oldest.beside_size_bytes
        return known

    def holds(self, update: AdmittedUpdate) -> bool:
        """Say whether the payload passed all checks and became durable here, in this process."""
        return (update.task_index, update.submission.payload_digest) in self._held

    def note_held(self, updates: Iterable[AdmittedUpdate]) -> None:
        """Note that these payloads passed all checks and are durable in the own ledger."""
        for update in updates:
            self._held[update.task_index, update.submission.payload_digest] = None
        while len(self._held) > self._entries_max:
            self._held.popitem(last=False)

    def judged(self, height: int, update: AdmittedUpdate) -> bool:
        """Say whether the own ledger accepted the update at this pinned height."""
        return update.update_id in self._judged.get(height, ())

    def note_judged(self, height: int, updates: Iterable[AdmittedUpdate]) -> None:
        """Note that the own ledger accepted these updates at a pinned height, above 0."""
        accepted = self._judged.setdefault(height, set())
        accepted.update(update.update_id for update in updates)
        if len(self._judged) > HEIGHTS_MAX:
            self._judged.popitem(last=False)
