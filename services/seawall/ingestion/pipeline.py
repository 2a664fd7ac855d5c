"""From admitted updates to a batch that consensus has taken: judge, store, attest, hand over.

Updates that arrive within a few milliseconds of each other become one batch: one judgement, one
write, one signature a site, one message to consensus. Several batches are under way at once. What
cannot be finished within its time is refused with a code that says so; nothing waits for ever.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from seawall.domain.block import Attestation
from seawall.errors import OperationalError, PeerError, SeawallError
from seawall.formats.admission import AdmittedUpdate, hash_refusal
from seawall.ingestion.batch import Batch, Certified, Dropped, Orderer, Silent
from seawall.ingestion.certifier import Certifier
from seawall.ingestion.config import IngestionSettings
from seawall.ingestion.numbers import BatchNumbers
from seawall.ingestion.progress import Progress
from seawall.ingestion.state_rules import AGAIN_SECONDS, StateRules
from seawall.ingestion.update import Stage, Update
from seawall.runtime.ledger_client import LedgerClient
from seawall.runtime.service import Context
from seawall.telemetry.metrics import IngestMetrics

WIRE_BYTES_MAX: Final = 1 << 20
"""What one batch carries to an attester; the message has room for it."""

INLINE_BYTES_MAX: Final = 256 << 10
"""Larger payloads are pulled by attesters, and so are those with long statements."""

UNDECIDED_TRIES_MAX: Final = 3
"""How often an update is batched anew after a verdict that decided nothing."""

RETRY_SECONDS_MIN: Final = 0.05
RETRY_SECONDS_MAX: Final = 2.0
SWEEP_SECONDS: Final = 1.0


def wire_size_bytes(admitted: AdmittedUpdate, payload: bytes) -> int:
    """Return what an update adds to the message that asks for attestations."""
    return admitted.beside_size_bytes + len(inline_payload(admitted, payload))


def inline_payload(admitted: AdmittedUpdate, payload: bytes) -> bytes:
    """Return the payload if it travels with the batch, else nothing."""
    fits = len(payload) + admitted.beside_size_bytes <= INLINE_BYTES_MAX
    return payload if fits else b""


class Handed(msgspec.Struct):
    """A certified batch that consensus took in while its stream had this generation."""

    batch: Batch
    attestations: tuple[Attestation, ...]
    updates: tuple[Update, ...]
    generation: int


class Pipeline:
    """The batches of one site on their way."""

    def __init__(
        self,
        context: Context,
        settings: IngestionSettings,
        progress: Progress,
        ledger: LedgerClient,
        state: StateRules,
        certifier: Certifier,
        orderer: Orderer,
        metrics: IngestMetrics,
    ) -> None:
        """Start with nothing under way.

        Raises:
            OperationalError: BATCH_NUMBERS.

        """
        self._context = context
        self._settings = settings
        self._progress = progress
        self._ledger = ledger
        self._certifier = certifier
        self._orderer = orderer
        self._state = state
        self._metrics = metrics
        self._numbers = BatchNumbers(context.data_dir, context.worker)
        self._updates_max = context.genesis.admission.batch_updates_max
        self._pending: deque[Update] = deque()
        metrics.queue_depth.set_function(lambda: len(self._pending))
        self._pending_bytes = 0
        self._arrived = asyncio.Event()
        self._full = asyncio.Event()
        self._due = asyncio.Event()
        self._due.set()
        self._under_way = 0
        self._slots = asyncio.Semaphore(settings.batches_in_flight_max)
        self._handed: dict[int, Handed] = {}
        self._formed_at = 0.0

    def add(self, update: Update) -> None:
        """Take an update that is in flight; its payload is checked, or stored and checked."""
        assert update.admitted is not None, "an update in flight was admitted"
        self._pending.append(update)
        self._pending_bytes += wire_size_bytes(update.admitted, update.payload)
        self._arrived.set()
        self._look()

    def add_again(self, update: Update, reason: PeerError) -> None:
        """Batch an update anew whose place in a block came to nothing, a bounded number of times.

        It is judged and attested again, unless it has expired by now.
        """
        if not update.is_open:
            return
        if update.tries >= UNDECIDED_TRIES_MAX:
            self._refuse(update, reason)
            return
        update.tries += 1
        self.add(update)

    async def run(self) -> None:
        """Form batches and see them through until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sweep(), name="resubmit")
            while True:
                await self._arrived.wait()
                await self._gather()
                await self._slots.acquire()
                self._formed_at = asyncio.get_running_loop().time()
                updates = self._take()
                self._under_way += 1
                self._look()
                group.create_task(self._see_through(updates, group))

    def _look(self) -> None:
        """Note whether a batch is due: there is enough for one, or nothing to wait for."""
        enough = (
            self._pending_bytes >= self._settings.flush_bytes
            or len(self._pending) >= self._updates_max
        )
        for event, is_due in ((self._full, enough), (self._due, enough or not self._under_way)):
            if is_due:
                event.set()
            else:
                event.clear()

    async def _gather(self) -> None:
        """Wait for company: a moment, longer after the last batch, or while one is under way.

        A batch costs every site the same whatever it holds, so a busy site forms larger ones.

        Source: Nagle, RFC 896.
        """
        settings, now = self._settings, asyncio.get_running_loop().time()
        apart = self._formed_at + settings.flush_apart_ms / 1000 - now
        for seconds, enough in (
            (max(settings.flush_ms / 1000, apart), self._full),
            (settings.flush_busy_ms / 1000, self._due),
        ):
            try:
                async with asyncio.timeout(seconds):
                    await enough.wait()
            except TimeoutError:
                continue
            return

    def _take(self) -> list[Update]:
        """Return the updates of the next batch; as many as attesters take at once."""
        updates: list[Update] = []
        size_bytes = 0
        while self._pending and len(updates) < self._updates_max:
            update = self._pending[0]
            admitted = update.admitted
            added = wire_size_bytes(admitted, update.payload) if admitted is not None else 0
            if updates and size_bytes + added > WIRE_BYTES_MAX:
                break
            self._pending.popleft()
            if admitted is not None:
                updates.append(update)
                size_bytes += added
        self._pending_bytes = max(0, self._pending_bytes - size_bytes)
        if not self._pending:
            self._pending_bytes = 0
            self._arrived.clear()
        return updates

    async def _see_through(self, updates: Sequence[Update], group: asyncio.TaskGroup) -> None:
        """See one batch through; whatever goes wrong ends its updates with a code."""
        try:
            async with asyncio.timeout(self._settings.batch_seconds_max):
                await self._work(updates, group)
        except SeawallError as failure:
            self._refuse_all(updates, failure)
        except TimeoutError:
            hint = "too few sites answer: the update stays valid, send it again"
            self._refuse_all(updates, OperationalError("BATCH_TIMEOUT", hint))
        finally:
            self._slots.release()
            self._under_way -= 1
            self._look()

    def _refuse_all(self, updates: Sequence[Update], failure: SeawallError) -> None:
        open_updates = [update for update in updates if update.is_open]
        if open_updates:
            self._context.log.error(
                "batch_failed", updates=len(open_updates), code=failure.code, hint=failure.hint
            )
        for update in open_updates:
            self._refuse(update, failure)

    def _refuse(self, update: Update, refusal: SeawallError) -> None:
        self._metrics.updates.labels(outcome="refused").inc()
        self._progress.refuse(update, refusal)

    async def _work(self, updates: Sequence[Update], group: asyncio.TaskGroup) -> None:
        """Judge, store and attest until the batch is certified or nothing of it is left."""
        pause = RETRY_SECONDS_MIN
        stored = False
        while True:
            height, updates = await self._judge(updates, group)
            if updates and not stored:
                updates = await self._store(updates)
                stored = True
            pairs = _open_pairs(updates)
            if not pairs:
                return
            outcome = await self._attest(height, pairs)
            if isinstance(outcome, Certified):
                return
            if isinstance(outcome, Dropped):
                for position, refusal in outcome.refused.items():
                    self._refuse(pairs[position][0], refusal)
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, RETRY_SECONDS_MAX)

    async def _judge(
        self, updates: Sequence[Update], group: asyncio.TaskGroup
    ) -> tuple[int, list[Update]]:
        """Return the height at which state was read, and the updates that it does not refuse."""
        pairs = _open_pairs(updates)
        if not pairs:
            return 0, []
        verdicts = await self._state.judge([one for _, one in pairs])
        left: list[Update] = []
        for position, (update, one) in enumerate(pairs):
            refusal = verdicts.refused.get(position)
            if refusal is None:
                left.append(update)
            elif update.stage < Stage.RECEIVED and self._state.is_ahead(
                one, refusal, update.arrived_us
            ):
                group.create_task(self._again(update))
            elif not await self._state.is_committed(one, refusal):
                self._refuse(update, refusal)
        return verdicts.height, left

    async def _again(self, update: Update) -> None:
        """Judge an update again a little later."""
        await asyncio.sleep(AGAIN_SECONDS)
        if update.is_open:
            self.add(update)

    async def _store(self, updates: Sequence[Update]) -> list[Update]:
        """Make updates durable that are not yet; return those whose bytes were signed for."""
        pairs = [pair for pair in _open_pairs(updates) if pair[0].stage < Stage.RECEIVED]
        whole = [(one, update.payload) for update, one in pairs if update.payload]
        owners = [update for update, _ in pairs if update.payload]
        refused: tuple[int, ...] = ()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ledger.put_submissions([one for _, one in pairs]))
                if whole:
                    refused = await self._ledger.put_whole(whole)
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        for position in refused:
            self._refuse(owners[position], hash_refusal())
        received = [update for update, _ in pairs if update.is_open]
        held = [one for update, one in pairs if update.is_open]
        self._context.admission.note_held(held)
        self._context.crash_points.reach("ingestion.before_received")
        self._progress.advance(received, Stage.RECEIVED)
        for one in held:
            self._metrics.update_size_bytes.observe(one.submission.payload_size)
        self._count("received", received)
        return [update for update, _ in _open_pairs(updates)]

    async def _attest(
        self, height: int, pairs: list[tuple[Update, AdmittedUpdate]]
    ) -> Certified | Dropped | Silent:
        """Have one batch certified, and hand it over when it is."""
        payloads = [(one, update.payload) for update, one in pairs]
        batch = Batch.of(self._numbers.take(), height, payloads)
        self._context.crash_points.reach("ingestion.before_attest")
        outcome = await self._certifier.certify(batch)
        if isinstance(outcome, Certified):
            self._context.crash_points.reach("ingestion.after_attest")
            self._metrics.batch_updates.observe(len(pairs))
            updates = [update for update, _ in pairs]
            self._count("attested", [one for one in updates if one.stage < Stage.ATTESTED])
            self._progress.advance(updates, Stage.ATTESTED)
            # Before the answer: a verdict may be read earlier, and one that decided nothing has to
            # find its update handed, or nobody batches that anew.
            for update in updates:
                update.handed = True
            await self._hand_over(batch, outcome.attestations)
            self._progress.release(updates)
            light = Batch(batch.number, height, (), (), batch.records, batch.root)
            self._handed[batch.number] = Handed(
                light, outcome.attestations, tuple(updates), self._orderer.generation
            )
        return outcome

    async def _hand_over(self, batch: Batch, attestations: tuple[Attestation, ...]) -> None:
        """Hand a batch to consensus, again while it has no room or cannot be reached."""
        pause = RETRY_SECONDS_MIN
        while True:
            try:
                await self._orderer.submit(batch, attestations)
            except PeerError as refusal:
                if refusal.code != "QUOTA_CONSENSUS":
                    raise
            except OperationalError as failure:
                self._context.log.warning("consensus_silent", code=failure.code)
            else:
                self._context.crash_points.reach("ingestion.after_submit")
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, RETRY_SECONDS_MAX)

    async def _sweep(self) -> None:
        """Forget batches that are through; hand in again what consensus may have forgotten."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for number, handed in tuple(self._handed.items()):
                if not any(update.is_open for update in handed.updates):
                    del self._handed[number]
                elif handed.generation != self._orderer.generation:
                    await self._hand_in_again(handed)

    async def _hand_in_again(self, handed: "Handed") -> None:
        generation = self._orderer.generation
        try:
            await self._orderer.submit(handed.batch, handed.attestations)
        except SeawallError as failure:
            self._context.log.warning("resubmit_failed", code=failure.code)
        else:
            handed.generation = generation

    def _count(self, outcome: str, updates: Sequence[Update]) -> None:
        """Count a step once per batch; its duration is that of the oldest update."""
        if updates:
            self._metrics.updates.labels(outcome=outcome).inc(len(updates))
            oldest = min(update.arrived_us for update in updates)
            seconds = (self._context.clock.elapsed_us() - oldest) / 1_000_000
            self._metrics.duration.labels(outcome=outcome).observe(seconds)


def _open_pairs(updates: Sequence[Update]) -> list[tuple[Update, AdmittedUpdate]]:
    """Return the updates that are still in flight, with what was admitted."""
    return [(update, update.admitted) for update in updates if update.admitted is not None]
