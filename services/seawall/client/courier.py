"""Brings signed updates to a site, keeps them until committed, goes elsewhere if needed.

Every update is held in a table with a time by which its next step is due. A site that lets that
time pass, or ends its stream, loses the update to the next site, which gets the very same bytes;
sites treat them as the same update, so sending too often is harmless.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import grpc

from seawall.api.v1 import ingestion_pb2, ledger_pb2, types_pb2
from seawall.client.chain import Chain
from seawall.client.limits import Limits
from seawall.client.links import Link, Links, is_passing
from seawall.client.pending import Pending
from seawall.client.receipts import fetch_receipt
from seawall.client.stream import MESSAGE_BYTES_MAX, SubmitStream, size_of
from seawall.client.upload import Upload
from seawall.client.values import Event, Prepared, Stage
from seawall.errors import OperationalError, PeerError, SeawallError
from seawall.formats.oms import CHUNK_SIZE
from seawall.runtime.status import error_from, error_of

TICK_SECONDS: Final = 0.2
"""How often the table is looked through for updates that are overdue."""

LOOK_SECONDS: Final = 20.0
"""How long one site is watched for an update whose stream has ended."""

PROOF_PAUSE_SECONDS_MAX: Final = 5.0
"""Longest pause between attempts to fetch a receipt in place of FINAL."""

PATIENCE_DOUBLINGS_MAX: Final = 3

MAYBE_OURS: Final = ("REPLAY_SEQ", "REPLAY_PAYLOAD", "REPLAY_EXPIRED")
"""Refusals that a site also gives when these very bytes have been committed already."""

MAYBE_BEHIND: Final = ("REPLAY_BASE", "REPLAY_CHECKPOINT")
"""Refusals that a site also gives when it has read less of the log than this client has seen."""

SITES_ASKED: Final = 2
"""Sites that must refuse in this way before it is believed."""


class Courier:
    """The table of updates on their way, and what moves them.

    `start` needs a task group that lives as long as the courier.
    """

    def __init__(self, links: Links, limits: Limits, chain: Chain) -> None:
        """Start empty; `chain` says whose word together makes an update FINAL."""
        self._chain = chain
        self._links = links
        self._limits = limits
        self._active: dict[bytes, Pending] = {}
        self._streams: dict[int, SubmitStream] = {}
        self._free = asyncio.Semaphore(limits.in_flight_max)
        self._uploads = asyncio.Semaphore(limits.uploads_max)
        self._group: asyncio.TaskGroup | None = None

    @property
    def in_flight(self) -> int:
        """Return how many updates are sent and neither committed nor refused."""
        return len(self._active)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Begin to look after what is sent."""
        self._group = group
        group.create_task(self._watch_over(), name="client-courier")

    async def send(
        self,
        prepared: Prepared,
        listener: Callable[[Event], None] | None = None,
        until: Stage = Stage.AGGREGATED,
    ) -> Pending:
        """Send an update and return its row; wait first while too many are on their way.

        Bytes that are on their way already get the row that they have; their listener stays.
        `until` is the last stage that anybody wants to hear of.
        """
        known = self._active.get(prepared.update_id)
        if known is not None:
            return known
        await self._free.acquire()
        pending = Pending(prepared, listener, until)
        self._active[prepared.update_id] = pending
        self._assign(pending)
        return pending

    async def reached(self, pending: Pending, stage: Stage) -> Event:
        """Return the event with which an update reaches a stage.

        Raises:
            SeawallError: why it was refused.

        """
        future = pending.future(stage)
        async with asyncio.TaskGroup() as group:
            witnesses: list[asyncio.Task[None]] = []
            if stage is Stage.FINAL and not future.done():
                asked = [self._witness(link, pending) for link in self._links.all]
                asked.append(self._prove(pending))
                witnesses = [group.create_task(one, name="client-witness") for one in asked]
            try:
                event = await self._settled(pending, stage, future)
            finally:
                for witness in witnesses:
                    witness.cancel()
        if event.stage is Stage.REFUSED:
            assert event.refusal is not None, "a refusal says why"
            raise event.refusal
        return event

    async def _settled(
        self, pending: Pending, stage: Stage, future: asyncio.Future[Event]
    ) -> Event:
        """Return what the future holds, once it does; look around where no site reports."""
        while not future.done():
            attached = pending.stream is not None and pending.stream.ended is None
            await asyncio.wait({future}, timeout=LOOK_SECONDS if attached else TICK_SECONDS)
            if not future.done() and pending.settled:
                await self._look(pending, stage)
        return future.result()

    # --- choosing a site --------------------------------------------------------------------

    def _assign(self, pending: Pending) -> None:
        """Give an update to the best site that has not had it, or to the one that had it least."""
        assert self._group is not None, "start comes first"
        link = self._links.ranked(pending.tried)[0]
        pending.tried.append(link.index)
        rounds = (len(pending.tried) - 1) // len(self._links)
        self._due_in(pending, self._limits.received_seconds, rounds)
        if len(pending.prepared.payload) > CHUNK_SIZE:
            pending.busy = True
            self._group.create_task(self._upload(link, pending), name=f"upload-{link.name}")
        elif size_of(pending.prepared) > MESSAGE_BYTES_MAX + CHUNK_SIZE // 16:
            self._refuse(pending, link.index, PeerError("TOO_LARGE", "send a smaller statement"))
        else:
            pending.stream = self._stream_to(link)
            pending.number = pending.stream.send(pending)

    def _stream_to(self, link: Link) -> SubmitStream:
        """Return the open stream to a site."""
        assert self._group is not None, "start comes first"
        stream = self._streams.get(link.index)
        if stream is None or stream.ended is not None:
            stream = SubmitStream(link, self._on_stream_event)
            self._streams[link.index] = stream
            self._group.create_task(self._run_stream(stream), name=f"submit-{link.name}")
        return stream

    async def _run_stream(self, stream: SubmitStream) -> None:
        """Run a stream, and pass on what it leaves behind."""
        await stream.run()
        orphans = [one for one in self._active.values() if one.stream is stream]
        if not orphans:
            return  # an idle stream may end at any time
        pause = self._links.failed(stream.link)
        later = asyncio.get_running_loop().time() + min(pause, self._limits.received_seconds)
        for pending in orphans:
            pending.stream = None
            pending.fault = stream.ended
            pending.due = 0.0 if len(self._links) > 1 else later

    # --- what sites say ---------------------------------------------------------------------

    def _on_stream_event(self, link: Link, sent: object, event: types_pb2.UpdateEvent) -> None:
        assert isinstance(sent, Pending), "streams carry rows of this table"
        self._on_event(link, sent, event)

    def _on_event(self, link: Link, pending: Pending, event: types_pb2.UpdateEvent) -> None:
        """Take an event of the contract."""
        if event.stage == types_pb2.UPDATE_STAGE_UNSPECIFIED:
            return
        refusal = error_of(event.refusal) if event.HasField("refusal") else None
        if event.stage == types_pb2.UPDATE_STAGE_REFUSED:
            fault = refusal or PeerError("RPC_FAILED", "the site refused and did not say why")
            self._on_refusal(link, pending, fault)
            return
        stage = Stage(event.stage)
        if stage >= Stage.FINAL and not pending.is_final:
            self._count_final(link, pending, stage)
        if stage is Stage.FINAL:
            return
        placed = stage >= Stage.COMMITTED
        news = Event(
            pending.prepared.update_id,
            stage,
            link.index,
            refusal,
            event.entry_index if placed else None,
            event.version or None if stage is Stage.AGGREGATED else None,
        )
        self._advance(pending, news)

    def _count_final(self, link: Link, pending: Pending, stated: Stage) -> None:
        """Count a site that states FINAL, or more; one site alone may lie."""
        pending.finals[link.index] = None
        news = Event(pending.prepared.update_id, Stage.FINAL, link.index)
        committee = self._chain.committee
        if committee.stake_of(pending.finals) >= committee.validity:
            self._confirm(pending, news)
        elif stated is Stage.FINAL:
            pending.overhear(news)

    def _confirm(self, pending: Pending, news: Event) -> None:
        """Take an update as FINAL."""
        self._advance(pending, news)
        pending.confirm()

    def _on_refusal(self, link: Link, pending: Pending, fault: SeawallError) -> None:
        """Believe a refusal, unless it may pass, or may be the echo of our own success."""
        assert self._group is not None, "start comes first"
        if pending.settled:
            return
        pending.fault = fault
        behind = fault.code in MAYBE_BEHIND and len(pending.tried) < min(
            SITES_ASKED, len(self._links)
        )
        if behind or is_passing(fault) or not isinstance(fault, PeerError):
            pending.stream = None
            pause = 0.0 if behind else self._links.failed(link)
            pending.due = asyncio.get_running_loop().time() + pause
        elif fault.code in MAYBE_OURS:
            pending.busy = True
            self._group.create_task(self._resolve(link, pending, fault), name="client-resolve")
        else:
            self._refuse(pending, link.index, fault)

    def _refuse(self, pending: Pending, site: int, fault: PeerError) -> None:
        self._advance(
            pending, Event(pending.prepared.update_id, Stage.REFUSED, site, refusal=fault)
        )

    def _advance(self, pending: Pending, event: Event) -> None:
        """Take an event, and let go of an update that needs no further care."""
        if not pending.advance(event):
            return
        if not pending.settled:
            self._due_in(pending, self._limits.committed_seconds, len(pending.tried) - 1)
            return
        if self._active.pop(pending.prepared.update_id, None) is not None:
            self._free.release()
        if event.stage >= pending.until and pending.stream is not None:
            pending.stream.forget(pending.number)

    def _due_in(self, pending: Pending, seconds: float, doublings: int) -> None:
        """Expect the next step of an update within some time, longer after every attempt."""
        patience = seconds * (1 << min(doublings, PATIENCE_DOUBLINGS_MAX))
        pending.due = asyncio.get_running_loop().time() + patience

    # --- looking after them -----------------------------------------------------------------

    async def _watch_over(self) -> None:
        """Send again what is overdue."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = loop.time()
            late = [one for one in self._active.values() if one.due <= now and not one.busy]
            for pending in late:
                if pending.stream is not None and pending.event.stage is Stage.SENT:
                    self._links.failed(pending.stream.link)
                self._assign(pending)

    async def _upload(self, link: Link, pending: Pending) -> None:
        """Bring a large payload to a site, then watch it there until it is committed."""
        pending.upload = upload = Upload(link, pending.prepared)
        fault: SeawallError
        try:
            async with self._uploads:
                limits = self._limits
                event = await upload.run(limits.rpc_seconds, limits.finish_seconds)
            self._on_event(link, pending, event)
            async with asyncio.timeout_at(pending.due):
                await self._watch(link, pending, types_pb2.UPDATE_STAGE_COMMITTED)
            fault = OperationalError("RPC_CANCELLED", "the site stopped watching: ask again")
        except TimeoutError:
            fault = OperationalError("RPC_DEADLINE", f"{link.name} did not answer in time")
        except grpc.RpcError as failure:
            fault = error_from(failure)
        except SeawallError as failure:
            fault = failure
        pending.busy = False
        if not pending.settled:
            self._on_refusal(link, pending, fault)

    async def _witness(self, link: Link, pending: Pending) -> None:
        """Ask one site whether an update is FINAL, until it says so; its refusals do not count."""
        update_id = pending.prepared.update_id
        until = types_pb2.UPDATE_STAGE_FINAL
        request = ingestion_pb2.WatchRequest(update_ids=[update_id], until=until)
        while link.index not in pending.finals:
            pause = TICK_SECONDS
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    async for answer in link.ingestion.Watch(request):
                        for event in answer.events:
                            if event.stage != types_pb2.UPDATE_STAGE_REFUSED:
                                self._on_event(link, pending, event)
            except TimeoutError:
                continue
            except grpc.RpcError:
                pause = max(pause, self._links.failed(link))
            await asyncio.sleep(pause)

    async def _prove(self, pending: Pending) -> None:
        """Fetch the receipt, which says more than FINAL and needs no second word."""
        pause = TICK_SECONDS
        while True:
            try:
                await fetch_receipt(self._chain, self._links, pending.prepared, aggregated=False)
            except SeawallError as fault:
                pending.fault = fault
            else:
                break
            await asyncio.sleep(pause)
            pause = min(2 * pause, PROOF_PAUSE_SECONDS_MAX)
        self._confirm(pending, Event(pending.prepared.update_id, Stage.FINAL, -1))

    async def _look(self, pending: Pending, stage: Stage) -> None:
        """Watch an update at some site for a while; events reach the table."""
        link = self._links.ranked()[0]
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._watch(link, pending, types_pb2.UpdateStage.ValueType(stage))
        except TimeoutError:
            return
        except grpc.RpcError:
            self._links.failed(link)

    async def _watch(
        self, link: Link, pending: Pending, until: types_pb2.UpdateStage.ValueType
    ) -> None:
        request = ingestion_pb2.WatchRequest(update_ids=[pending.prepared.update_id], until=until)
        async for answer in link.ingestion.Watch(request):
            for event in answer.events:
                self._on_event(link, pending, event)

    async def _resolve(self, link: Link, pending: Pending, fault: PeerError) -> None:
        """Find out whether a refusal as a repetition means that these bytes are in the log."""
        update_id = pending.prepared.update_id

        async def ask(asked: Link) -> bool:
            try:
                await asked.ledger.Receipt(ledger_pb2.ReceiptRequest(update_id=update_id))
            except grpc.RpcError as failure:
                found = error_from(failure)
                if found.code in ("RECEIPT_PENDING", "RECEIPT_UNKNOWN"):
                    return False
                raise found from failure
            return True

        try:
            committed = await self._links.ask(ask, seconds=self._limits.rpc_seconds)
        except SeawallError as failure:
            pending.fault = failure
            pending.due = asyncio.get_running_loop().time() + self._links.failed(link)
            return
        finally:
            pending.busy = False
        if committed:
            self._advance(pending, Event(update_id, Stage.COMMITTED, link.index))
        else:
            self._refuse(pending, link.index, fault)
