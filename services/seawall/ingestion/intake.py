"""The first checks of an update, in order, and its way into the pipeline.

Cheap checks stand before dear ones: sizes, envelope, key, signature, claim; then whether the update
is known already; then its bytes; then room. State is judged for many updates at once, later.
"""

import asyncio
from typing import Final

import msgspec

from seawall.errors import PeerError, SeawallError
from seawall.formats import dsse, submission
from seawall.formats.admission import ENVELOPE_SIZE_BYTES_MAX, AdmittedUpdate
from seawall.ingestion.claims import Claim
from seawall.ingestion.config import IngestionSettings
from seawall.ingestion.pipeline import Pipeline
from seawall.ingestion.progress import Progress
from seawall.ingestion.shared import Shared
from seawall.ingestion.streams import Outbox
from seawall.ingestion.update import Event, Stage, Update
from seawall.runtime.service import Context
from seawall.telemetry.metrics import IngestMetrics

YIELD_EVERY: Final = 32
"""Updates that are verified before other work gets its turn; about 3 ms."""


class Whole(msgspec.Struct, frozen=True):
    """An update as it came, and the number that its sender gave it."""

    number: int
    envelope: bytes
    provenance: bytes
    payload: bytes


class Intake:
    """Where updates enter."""

    def __init__(
        self,
        context: Context,
        settings: IngestionSettings,
        progress: Progress,
        pipeline: Pipeline,
        metrics: IngestMetrics,
        shared: Shared,
    ) -> None:
        """Hand what passes to `pipeline`, once `shared` lets it."""
        self._admission = context.admission
        self._clock = context.clock
        self._log = context.log
        self._settings = settings
        self._progress = progress
        self._pipeline = pipeline
        self._metrics = metrics
        self._shared = shared

    async def take(self, wholes: list[Whole], outbox: Outbox) -> None:
        """Check the updates of one message; what becomes of each is told to the outbox."""
        await self._room()
        fresh: list[tuple[Whole, AdmittedUpdate]] = []
        for turn, whole in enumerate(wholes, 1):
            if not turn % YIELD_EVERY:
                await asyncio.sleep(0)
            update_id = b""
            try:
                admitted = self._admission.check_envelope(whole.envelope, b"", whole.provenance)
                update_id = admitted.update_id
                if not self._attached(admitted, whole, outbox):
                    self._check(admitted, whole)
                    fresh.append((whole, admitted))
            except PeerError as refusal:
                self._refuse(whole, update_id, refusal, outbox)
        answers = await self._shared.claim([Claim.of(admitted) for _, admitted in fresh])
        for (whole, admitted), answer in zip(fresh, answers, strict=True):
            try:
                # While claims were asked for, another stream may have brought the same update.
                if self._attached(admitted, whole, outbox):
                    self._shared.claims.withdraw(Claim.of(admitted))
                    continue
                self._pipeline.add(self._admit(admitted, whole.payload, answer))
                self._attached(admitted, whole, outbox)
            except SeawallError as refusal:
                self._refuse(whole, admitted.update_id, refusal, outbox)

    async def enter(self, admitted: AdmittedUpdate) -> Update:
        """Take in an update whose payload is stored and checked; it is under way already, or new.

        Raises:
            PeerError: REPLAY_SEQ, REPLAY_PAYLOAD, QUOTA_*.
            OperationalError: SHARED_*.

        """
        known = self.known(admitted.update_id)
        if known is not None:
            return known
        (answer,) = await self._shared.claim([Claim.of(admitted)])
        known = self.known(admitted.update_id)
        if known is not None:
            self._shared.claims.withdraw(Claim.of(admitted))
            return known
        update = self._admit(admitted, b"", answer)
        self._pipeline.add(update)
        return update

    def known(self, update_id: bytes) -> Update | None:
        """Return an update that is on its way or committed; a refused one may come again."""
        update = self._progress.find(update_id)
        return None if update is None or update.stage == Stage.REFUSED else update

    def _attached(self, admitted: AdmittedUpdate, whole: Whole, outbox: Outbox) -> bool:
        """Report an update that is known already; say whether it is.

        Raises:
            PeerError: QUOTA_SINKS.

        """
        known = self.known(admitted.update_id)
        if known is None:
            return False
        outbox.expect(admitted.update_id)
        self._progress.attach(known, outbox, whole.number)
        return True

    def _check(self, admitted: AdmittedUpdate, whole: Whole) -> None:
        """Check what needs no other worker: other updates on their way here, and the bytes."""
        self._progress.check_conflict(admitted)
        if not self._admission.holds(admitted):
            self._admission.admission.check_unhashed(admitted, whole.payload)

    def _admit(
        self, admitted: AdmittedUpdate, payload: bytes, answer: SeawallError | None
    ) -> Update:
        """Take an update in flight that was claimed, unless the answer says why not."""
        if answer is not None:
            raise answer
        return self._progress.admit(admitted, payload, self._clock.elapsed_us())

    async def _room(self) -> None:
        """Wait a while for room: a stream that is not read holds its sender back by itself."""
        try:
            async with asyncio.timeout(self._settings.patience_seconds):
                while self._progress.is_full:
                    self._progress.room.clear()
                    await self._progress.room.wait()
        except TimeoutError:
            return

    def _refuse(
        self, whole: Whole, update_id: bytes, refusal: SeawallError, outbox: Outbox
    ) -> None:
        self._metrics.updates.labels(outcome="refused").inc()
        self._log.debug("update_refused", code=refusal.code, field=refusal.field)
        named = update_id or update_id_in(whole.envelope)
        outbox.notify(whole.number, Event(named, Stage.REFUSED, refusal))


def update_id_in(envelope: bytes) -> bytes:
    """Return the id of the update that a refused envelope claims, empty when it has none."""
    try:
        return submission.update_id(dsse.decode(envelope, size_max=ENVELOPE_SIZE_BYTES_MAX).payload)
    except PeerError:
        return b""
