"""Scripted sites that speak for one log, over the in-process channels."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Self

import grpc.aio

from seawall.api.v1 import (
    aggregation_pb2,
    aggregation_pb2_grpc,
    ingestion_pb2,
    ingestion_pb2_grpc,
    ledger_pb2,
    ledger_pb2_grpc,
    types_pb2,
)
from seawall.domain.genesis import GenesisSite
from seawall.errors import PeerError, SeawallError
from seawall.formats import dsse, submission
from seawall.formats import entry as entries
from seawall.runtime.local import LocalServer
from seawall.runtime.status import AnyContext, abort, refusal
from tests.unit.client.town_log import GENESIS, SITES, TownLog


@dataclass
class Manner:
    """How a scripted site behaves; tests change it as they go.

    `stages` are reported for each update; `refuse` says why it is refused instead. `tamper` damages
    chunks on arrival that many times for each index. `gate` holds back COMMITTED.
    """

    stages: tuple[int, ...] = (1, 2, 4)
    refuse: SeawallError | None = None
    refuse_times: int = 1 << 30
    end: SeawallError | None = None
    silent: bool = False
    fault: SeawallError | None = None
    alter_head: Callable[[aggregation_pb2.GetHeadResponse], None] | None = None
    alter_payload: Callable[[bytes], bytes] | None = None
    alter_receipt: Callable[[bytes], bytes] | None = None
    tamper: dict[int, int] = field(default_factory=dict)
    lose: list[int] = field(default_factory=list)
    gate: asyncio.Event | None = None
    aggregate: asyncio.Event | None = None


class Site(
    ingestion_pb2_grpc.IngestionServiceServicer,
    aggregation_pb2_grpc.AggregationServiceServicer,
    ledger_pb2_grpc.LedgerServiceServicer,
):
    """One scripted site."""

    def __init__(self, log: TownLog, index: int) -> None:
        self.log = log
        self.index = index
        self.manner = Manner()
        self.server = LocalServer()
        self.seen: list[bytes] = []
        self.calls: list[str] = []
        self.called = asyncio.Event()
        self.chunks: dict[bytes, dict[int, bytes]] = {}
        self.opened: dict[bytes, ingestion_pb2.OpenRequest] = {}
        ingestion_pb2_grpc.add_IngestionServiceServicer_to_server(self, self.server)
        aggregation_pb2_grpc.add_AggregationServiceServicer_to_server(self, self.server)
        ledger_pb2_grpc.add_LedgerServiceServicer_to_server(self, self.server)

    async def enter(self, name: str, context: AnyContext) -> None:
        """Note a call; fail or hang as scripted."""
        self.calls.append(name)
        self.called.set()
        if self.manner.fault is not None:
            await abort(context, self.manner.fault)
        if self.manner.silent:
            await asyncio.get_running_loop().create_future()

    async def until_called(self, name: str, count: int) -> None:
        """Wait until so many calls of a name have come."""
        while self.calls.count(name) < count:
            self.called.clear()
            await self.called.wait()

    def events(self, envelope: bytes, number: int) -> list[types_pb2.UpdateEvent]:
        """Return the events that an update causes at once."""
        update_id = submission.update_id(dsse.decode(envelope, size_max=65_536).payload)
        manner = self.manner
        if manner.refuse is not None and manner.refuse_times > 0:
            manner.refuse_times -= 1
            return [
                types_pb2.UpdateEvent(
                    update_id=update_id,
                    number=number,
                    stage=types_pb2.UPDATE_STAGE_REFUSED,
                    refusal=refusal(manner.refuse),
                )
            ]
        found = []
        for stage in manner.stages:
            index = self.log.accept(envelope) if stage >= types_pb2.UPDATE_STAGE_COMMITTED else 0
            found.append(
                types_pb2.UpdateEvent(
                    update_id=update_id,
                    number=number,
                    stage=types_pb2.UpdateStage.ValueType(stage),
                    entry_index=index,
                    version=7 if stage == types_pb2.UPDATE_STAGE_AGGREGATED else 0,
                )
            )
        return found

    async def Submit(  # noqa: N802 - the contract's name
        self,
        request_iterator: AsyncIterator[ingestion_pb2.IngestionServiceSubmitRequest],
        context: AnyContext,
    ) -> AsyncIterator[ingestion_pb2.IngestionServiceSubmitResponse]:
        """Answer updates as scripted."""
        self.calls.append("Submit")
        if self.manner.fault is not None:
            await abort(context, self.manner.fault)
        async for request in request_iterator:
            self.seen.extend(update.envelope for update in request.updates)
            if self.manner.end is not None:
                await abort(context, self.manner.end)
            if self.manner.silent:
                continue
            answer = ingestion_pb2.IngestionServiceSubmitResponse()
            for update in request.updates:
                answer.events.extend(self.events(update.envelope, update.number))
            yield answer

    async def Open(  # noqa: N802 - the contract's name
        self, request: ingestion_pb2.OpenRequest, context: AnyContext
    ) -> ingestion_pb2.OpenResponse:
        """Open an upload."""
        await self.enter("Open", context)
        if self.manner.refuse is not None:
            await abort(context, self.manner.refuse)
        claim = submission.from_payload(dsse.decode(request.envelope, size_max=65_536).payload)
        name = claim.payload_digest
        self.seen.append(request.envelope)
        self.opened[name] = request
        held = self.chunks.setdefault(name, {})
        for index in self.manner.lose:
            held.pop(index, None)
        count = -(-claim.payload_size // (1 << 20))
        bits = sum(1 << at for at in range(count) if at not in held)
        return ingestion_pb2.OpenResponse(
            upload_id=name, missing=bits.to_bytes(-(-count // 8), "little"), idle_ms_max=1000
        )

    async def Upload(  # noqa: N802 - the contract's name
        self, request_iterator: AsyncIterator[ingestion_pb2.UploadRequest], context: AnyContext
    ) -> AsyncIterator[ingestion_pb2.UploadResponse]:
        """Take chunks; those that arrive damaged are refused."""
        await self.enter("Upload", context)
        async for request in request_iterator:
            left = self.manner.tamper.get(request.index, 0)
            answer = ingestion_pb2.UploadResponse(upload_id=request.upload_id, index=request.index)
            if left:
                self.manner.tamper[request.index] = left - 1
                answer.refusal.CopyFrom(refusal(PeerError("CHUNK_HASH", "send it again")))
            else:
                self.chunks[request.upload_id][request.index] = request.data
            yield answer

    async def Finish(  # noqa: N802 - the contract's name
        self, request: ingestion_pb2.FinishRequest, context: AnyContext
    ) -> ingestion_pb2.FinishResponse:
        """Check the whole payload."""
        await self.enter("Finish", context)
        held = self.chunks[request.upload_id]
        payload = b"".join(held[at] for at in sorted(held))
        if sha256(payload).digest() != request.upload_id:
            await abort(context, PeerError("INCOMPLETE", "send all", field="payload"))
        event = self.events(self.opened[request.upload_id].envelope, 0)[0]
        return ingestion_pb2.FinishResponse(event=event)

    async def Watch(  # noqa: N802 - the contract's name
        self, request: ingestion_pb2.WatchRequest, context: AnyContext
    ) -> AsyncIterator[ingestion_pb2.WatchResponse]:
        """Report updates that were seen here; hold back AGGREGATED while `aggregate` is unset."""
        await self.enter("Watch", context)
        for envelope in list(self.seen):
            events = self.events(envelope, 0)
            if events[0].update_id in request.update_ids:
                yield ingestion_pb2.WatchResponse(events=events)
        if request.until == types_pb2.UPDATE_STAGE_AGGREGATED and self.manner.aggregate:
            await self.manner.aggregate.wait()
            yield ingestion_pb2.WatchResponse(
                events=[
                    types_pb2.UpdateEvent(
                        update_id=request.update_ids[0],
                        stage=types_pb2.UPDATE_STAGE_AGGREGATED,
                        version=9,
                        entry_index=3,
                    )
                ]
            )

    async def GetHead(  # noqa: N802 - the contract's name
        self, request: aggregation_pb2.GetHeadRequest, context: AnyContext
    ) -> aggregation_pb2.GetHeadResponse:
        """Return the head, altered as scripted."""
        await self.enter("GetHead", context)
        answer = self.log.head(request.task)
        if self.manner.alter_head is not None:
            self.manner.alter_head(answer)
        return answer

    async def GetVersion(  # noqa: N802 - the contract's name
        self, request: aggregation_pb2.GetVersionRequest, context: AnyContext
    ) -> AsyncIterator[aggregation_pb2.GetVersionResponse]:
        """Return a payload, altered as scripted."""
        await self.enter("GetVersion", context)
        task = next(one for one in GENESIS.tasks if one.name == request.task)
        digest = task.base_payload_digest
        if request.version:
            entry = entries.parse(self.log.leaves[self.log.heads[request.task][1]])
            assert isinstance(entry, entries.VersionEntry)
            digest = bytes.fromhex(entry.payload)
        payload = self.log.payloads[digest]
        if self.manner.alter_payload is not None:
            payload = self.manner.alter_payload(payload)
        for index, start in enumerate(range(0, len(payload), 1 << 20)):
            yield aggregation_pb2.GetVersionResponse(
                index=index, data=payload[start : start + (1 << 20)]
            )

    async def Receipt(  # noqa: N802 - the contract's name
        self, request: ledger_pb2.ReceiptRequest, context: AnyContext
    ) -> ledger_pb2.ReceiptResponse:
        """Return a receipt."""
        await self.enter("Receipt", context)
        try:
            document = self.log.receipt(request.update_id)
        except PeerError as fault:
            await abort(context, fault)
        if self.manner.alter_receipt is not None:
            document = self.manner.alter_receipt(document)
        return ledger_pb2.ReceiptResponse(document=document)


class Town:
    """Four scripted sites over one log; a context manager."""

    def __init__(self) -> None:
        self.log = TownLog()
        self.sites = tuple(
            Site(self.log, at)  # type: ignore[abstract]  # the other calls are never made
            for at in range(SITES)
        )

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        for site in self.sites:
            await self._stack.enter_async_context(site.server)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def dial(self, site: GenesisSite, address: str) -> grpc.aio.Channel:
        """Return a channel to a scripted site."""
        del address
        return self.sites[int(site.name.removeprefix("site-"))].server.channel()
