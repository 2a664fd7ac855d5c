"""Judging one batch: every check again, from the bytes, then a signature over what is left.

Order: envelope and statements, state at the pinned height, payload, storage, signature. An update
that fails is named with its code and the batch is not signed; what this site cannot find out now
(it is behind, or a payload does not arrive) is no refusal.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final, Protocol

import msgspec

from seawall.codec import attestation_message, batch_root
from seawall.errors import OperationalError, PeerError
from seawall.formats.admission import AdmittedUpdate, hash_refusal
from seawall.integrity.config import IntegritySettings
from seawall.runtime.ledger_client import LedgerClient, Piece
from seawall.runtime.service import Context
from seawall.telemetry.metrics import IntegrityMetrics

LATER_PAUSE_SECONDS: Final = 0.02
YIELD_EVERY: Final = 32
"""Updates that are verified before other work gets its turn; about 3 ms."""


class Offered(msgspec.Struct, frozen=True):
    """One update of a batch as its bytes; `payload` is empty when it has to be pulled."""

    envelope: bytes
    manifest: bytes
    provenance: bytes
    payload: bytes


class OfferedBatch(msgspec.Struct, frozen=True):
    """A batch that `site` asks to have attested."""

    site: int
    number: int
    pinned_height: int
    updates: tuple[Offered, ...]


class Outcome(msgspec.Struct, frozen=True):
    """What this site says of a batch: a signature, refused positions, or ask again."""

    signature: bytes = b""
    refused: dict[int, PeerError] = {}
    later: bool = False


class Source(Protocol):
    """Where payloads come from that did not travel with the batch."""

    def pull(self, update: AdmittedUpdate, site: int) -> AsyncGenerator[Piece, None]:
        """Yield the verified chunks of a payload at a site, in order."""
        ...


class Attester:
    """One site's word on batches."""

    def __init__(
        self,
        context: Context,
        ledger: LedgerClient,
        source: Source,
        settings: IntegritySettings,
        metrics: IntegrityMetrics,
    ) -> None:
        """Speak for the site of `context` with its consensus key."""
        self._site = context.site
        self._committee = context.committee
        self._key = context.keys.consensus
        self._admission = context.admission
        self._crash_points = context.crash_points
        self._log = context.log
        self._ledger = ledger
        self._source = source
        self._settings = settings
        self._metrics = metrics
        self._pulls = asyncio.Semaphore(settings.pulls_max)

    async def attest(self, batch: OfferedBatch) -> Outcome:
        """Return what this site says of a batch; never raises for what the batch holds."""
        try:
            outcome = await self._attest(batch)
        except OperationalError as failure:
            self._log.warning(
                "attest_later", batch=batch.number, asker=batch.site, code=failure.code
            )
            return Outcome(later=True)
        for position, refusal in outcome.refused.items():
            self._log.info(
                "update_refused",
                batch=batch.number,
                asker=batch.site,
                position=position,
                code=refusal.code,
                field=refusal.field,
            )
        return outcome

    async def _attest(self, batch: OfferedBatch) -> Outcome:
        updates, refused = await self._check_envelopes(batch)
        if refused:
            return Outcome(refused=refused)
        judged = await self._judge(batch, updates)
        if judged is None or judged:
            return Outcome(refused=judged or {}, later=judged is None)
        refused = await self._check_payloads(batch, updates)
        if refused:
            return Outcome(refused=refused)
        if batch.site != self._site:
            await self._ledger.put_submissions(updates)
        self._crash_points.reach("integrity.before_attest")
        return Outcome(signature=self._sign(batch, updates))

    async def _check_envelopes(
        self, batch: OfferedBatch
    ) -> tuple[list[AdmittedUpdate], dict[int, PeerError]]:
        """Return the updates, or every position that fails without state."""
        updates: list[AdmittedUpdate] = []
        refused: dict[int, PeerError] = {}
        with self._metrics.verification_duration.labels(check="signature").time():
            for position, offered in enumerate(batch.updates):
                if position and not position % YIELD_EVERY:
                    await asyncio.sleep(0)
                try:
                    update = self._admission.check_envelope(
                        offered.envelope, offered.manifest, offered.provenance
                    )
                except PeerError as refusal:
                    refused[position] = refusal
                else:
                    updates.append(update)
        self._count("signature", len(updates), len(refused))
        return updates, refused

    async def _judge(
        self, batch: OfferedBatch, updates: Sequence[AdmittedUpdate]
    ) -> dict[int, PeerError] | None:
        """Return the positions that the state rules refuse; None when this site stays behind."""
        height = batch.pinned_height
        own = batch.site == self._site
        if own and height and all(self._admission.judged(height, update) for update in updates):
            return {}
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.later_wait_seconds
        while True:
            try:
                verdicts = await self._ledger.judge(height, updates)
            except PeerError as refusal:
                return dict.fromkeys(range(len(updates)), refusal)
            if not verdicts.later:
                break
            if loop.time() >= deadline:
                return None
            await asyncio.sleep(LATER_PAUSE_SECONDS)
        refused = len(verdicts.refused)
        self._count("replay", len(updates) - refused, refused)
        return verdicts.refused

    async def _check_payloads(
        self, batch: OfferedBatch, updates: Sequence[AdmittedUpdate]
    ) -> dict[int, PeerError]:
        """Check and store every payload that is not held yet; return the refused positions."""
        refused: dict[int, PeerError] = {}
        inline: list[int] = []
        absent: list[int] = []
        for position, update in enumerate(updates):
            if self._admission.holds(update):
                continue
            (inline if batch.updates[position].payload else absent).append(position)
        await self._take_inline(batch, updates, inline, refused)
        await self._pull_all(batch.site, updates, absent, refused)
        checked = [at for at in (*inline, *absent) if at not in refused]
        self._admission.note_held(updates[at] for at in checked)
        self._count("hash", len(checked), len(refused))
        return refused

    async def _take_inline(
        self,
        batch: OfferedBatch,
        updates: Sequence[AdmittedUpdate],
        positions: Sequence[int],
        refused: dict[int, PeerError],
    ) -> None:
        """Check and store the payloads that travelled with the batch."""
        own = batch.site == self._site
        admission = self._admission.admission
        check = admission.check_payload if own else admission.check_unhashed
        passed: list[int] = []
        with self._metrics.verification_duration.labels(check="values").time():
            for turn, position in enumerate(positions, 1):
                if not turn % YIELD_EVERY:
                    await asyncio.sleep(0)
                try:
                    check(updates[position], batch.updates[position].payload)
                except PeerError as refusal:
                    refused[position] = refusal
                else:
                    passed.append(position)
        if passed and not own:  # what this site offers, its ingestion has stored
            payloads = [(updates[at], batch.updates[at].payload) for at in passed]
            for at in await self._ledger.put_whole(payloads):
                refused[passed[at]] = hash_refusal()

    async def _pull_all(
        self,
        site: int,
        updates: Sequence[AdmittedUpdate],
        positions: Sequence[int],
        refused: dict[int, PeerError],
    ) -> None:
        """Bring payloads that did not travel with the batch into the own ledger, checked.

        Raises:
            OperationalError: one of them did not arrive.

        """
        failures: list[OperationalError] = []

        async def pull(position: int) -> None:
            try:
                async with self._pulls, asyncio.timeout(self._settings.pull_seconds_max):
                    await self._pull(site, updates[position])
            except PeerError as refusal:
                refused[position] = refusal
            except OperationalError as failure:
                failures.append(failure)
            except TimeoutError:
                hint = "the asking site sends a payload too slowly: ask again"
                failures.append(OperationalError("DEADLINE", hint, field="payload"))

        async with asyncio.TaskGroup() as group:
            for position in positions:
                group.create_task(pull(position))
        if failures:
            raise failures[0]

    async def _pull(self, site: int, update: AdmittedUpdate) -> None:
        """Check one payload from its stored bytes, after bringing them here if need be."""
        scan = self._admission.admission.scan(update)
        if (await self._ledger.stored(update)).complete:
            async with aclosing(self._ledger.chunks(update.submission.payload_digest)) as chunks:
                async for data in chunks:
                    scan.feed(data)
        elif site == self._site:
            hint = "store the payload before asking for attestations"
            raise PeerError("INCOMPLETE", hint, field="payload")
        else:
            async with aclosing(self._source.pull(update, site)) as pieces:
                async for piece in pieces:
                    if await self._ledger.put((piece,)):
                        raise hash_refusal()
                    scan.feed(piece.data)
        scan.finish()

    def _sign(self, batch: OfferedBatch, updates: Sequence[AdmittedUpdate]) -> bytes:
        """Return the signature over a batch that passed."""
        root = batch_root(b"".join([update.record_bytes for update in updates]))
        committee = self._committee
        return self._key.sign(
            attestation_message(
                committee.origin,
                committee.epoch,
                batch.site,
                batch.number,
                batch.pinned_height,
                root,
            )
        )

    def _count(self, check: str, passed: int, failed: int) -> None:
        """Count verdicts, once per batch and check."""
        if passed:
            self._metrics.verdicts.labels(check=check, verdict="pass").inc(passed)
        if failed:
            self._metrics.verdicts.labels(check=check, verdict="fail").inc(failed)
