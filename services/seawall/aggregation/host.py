"""What aggregation asks of others: entries and payloads of ledgers, an ear of consensus."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import Final

import grpc
import msgspec

from seawall.aggregation.config import AggregationSettings
from seawall.api.v1 import consensus_pb2, consensus_pb2_grpc, ledger_pb2, ledger_pb2_grpc
from seawall.crypto.hashing import sha256
from seawall.errors import OperationalError, PeerError, SeawallError
from seawall.formats.checkpoint import Checkpoint, parse_body
from seawall.formats.oms import CHUNK_SIZE
from seawall.formats.signed_note import parse as parse_note
from seawall.runtime.ledger_client import LedgerClient, Piece, bounded, read_chunks
from seawall.runtime.service import CONSENSUS, LEDGER, Context
from seawall.runtime.status import error_from, error_of

SILENT_SECONDS: Final = 5.0
"""How long a site that did not answer is asked last."""

LARGE_BYTES: Final = 1 << 18
"""Payloads from this size on are hashed in a thread."""


class EntryPage(msgspec.Struct, frozen=True):
    """Consecutive entries from `start` on; `commit` is the last that is complete with them."""

    start: int
    entries: tuple[bytes, ...]
    commit: int


class Shown(msgspec.Struct, frozen=True):
    """The newest certified checkpoint: its note, what it says, the commit that it covers."""

    note: str
    checkpoint: Checkpoint | None
    height: int


class OwnLog:
    """The certified log of the own ledger."""

    def __init__(self, context: Context, settings: AggregationSettings) -> None:
        """Open nothing yet."""
        self._stub = ledger_pb2_grpc.LedgerServiceStub(context.channels.to(LEDGER))
        self._settings = settings

    async def follow(self, start: int) -> AsyncIterator[EntryPage]:
        """Yield pages from an entry on, and new ones as they are certified, without end.

        Raises:
            SeawallError: the ledger ended the stream; follow again from where this stopped.

        """
        request = ledger_pb2.EntriesRequest(start=start, follow=True)
        call = self._stub.Entries(request)
        try:
            async for page in call:
                yield EntryPage(page.start, tuple(page.entries), page.commit_index)
        except grpc.RpcError as failure:
            raise error_from(failure) from failure
        finally:
            call.cancel()

    async def certified_height(self) -> int:
        """Return the last commit under a checkpoint of quorum stake."""
        async with bounded(self._settings.rpc_seconds_max):
            answer = await self._stub.LedgerStatus(ledger_pb2.LedgerStatusRequest())
        return answer.certified_height

    async def checkpoint(self) -> Shown:
        """Return the newest certified checkpoint; without a note before the first."""
        async with bounded(self._settings.rpc_seconds_max):
            answer = await self._stub.Checkpoint(ledger_pb2.CheckpointRequest())
        if not answer.note:
            return Shown("", None, 0)
        body = parse_body(parse_note(answer.note.encode()).text)
        return Shown(answer.note, body, answer.commit_index)

    async def proven(self, index: int, tree_size: int) -> tuple[bytes, tuple[bytes, ...]]:
        """Return an entry and its inclusion proof in a tree."""
        request = ledger_pb2.ProveInclusionRequest(index=index, tree_size=tree_size)
        async with bounded(self._settings.rpc_seconds_max):
            entry = await self._stub.GetEntry(ledger_pb2.GetEntryRequest(index=index))
            proof = await self._stub.ProveInclusion(request)
        return entry.entry, tuple(proof.hashes)

    async def entry(self, index: int) -> bytes:
        """Return one entry."""
        async with bounded(self._settings.rpc_seconds_max):
            answer = await self._stub.GetEntry(ledger_pb2.GetEntryRequest(index=index))
        return answer.entry


class PayloadSource:
    """Payloads by digest: from the own ledger, or from others, and then kept in the own one."""

    def __init__(self, context: Context, settings: AggregationSettings) -> None:
        """Open nothing yet; channels are opened when they are first used."""
        self._settings = settings
        self._own_site = context.site
        self._sites = len(context.genesis.sites)
        self._channels = context.channels
        self._own = LedgerClient(context.channels, seconds_max=settings.rpc_seconds_max)
        self._free = asyncio.Semaphore(settings.fetches_max)
        self._silent_until = dict.fromkeys(range(self._sites), 0.0)

    async def run(self) -> None:
        """Keep the stream into the own ledger until cancelled."""
        await self._own.run()

    async def get(self, digest: bytes, size_bytes: int) -> bytes:
        """Return a payload, verified; one that came from elsewhere is in the own ledger now.

        Every site is asked once, so the wait is bounded.

        Raises:
            OperationalError: AGG_PAYLOAD when nobody who answers has it; STORE_*, RPC_* of the
                own ledger.

        """
        async with self._free:
            for site in self._order(digest):
                try:
                    payload = await self._read(site, digest, size_bytes)
                except SeawallError as fault:
                    self._note(site, fault)
                    continue  # the next one may have it
                if site != self._own_site:
                    await self.store(digest, payload)
                return payload
        hint = "nobody who answers has a payload of a cut: it is asked for again"
        raise OperationalError("AGG_PAYLOAD", hint, field="payload")

    async def store(self, digest: bytes, payload: bytes) -> None:
        """Keep a payload in the own ledger; durable on return.

        Raises:
            OperationalError: STORE_*, RPC_*, DEADLINE.

        """
        for piece in _pieces(digest, payload):
            if await self._own.put([piece]):
                hint = "a chunk changed between its check and its storage"
                raise OperationalError("STORE_REFUSED", hint, field="payload")

    async def chunks(self, digest: bytes) -> AsyncGenerator[bytes, None]:
        """Yield the chunks of a payload of the own ledger."""
        async with aclosing(self._own.chunks(digest)) as chunks:
            async for data in chunks:
                yield data

    def _order(self, digest: bytes) -> list[int]:
        """Return all sites: the own one, others from where the digest points, silent ones last."""
        others = [site for site in range(self._sites) if site != self._own_site]
        turn = digest[0] % len(others) if others else 0
        others = [*others[turn:], *others[:turn]]
        now = asyncio.get_running_loop().time()
        others.sort(key=lambda site: self._silent_until[site] > now)
        return [self._own_site, *others]

    def _note(self, site: int, fault: SeawallError) -> None:
        """Ask a site last for a while when it did not answer; not having a payload is an answer."""
        if not isinstance(fault, PeerError):
            until = asyncio.get_running_loop().time() + SILENT_SECONDS
            self._silent_until[site] = until

    async def _read(self, site: int, digest: bytes, size_bytes: int) -> bytes:
        """Return a payload from one ledger, its bytes compared with the digest."""
        stub = ledger_pb2_grpc.LedgerServiceStub(self._channels.to(LEDGER, site))
        request = ledger_pb2.GetPayloadRequest(payload_digest=digest)
        parts: list[bytes] = []
        left = size_bytes
        async with aclosing(read_chunks(stub, request, self._settings.chunk_seconds_max)) as chunks:
            async for chunk in chunks:
                if len(chunk.data) != min(left, CHUNK_SIZE) or not chunk.data:
                    raise PeerError("CHUNK_LENGTH", "send chunks of 1 MiB", field="payload")
                parts.append(chunk.data)
                left -= len(chunk.data)
        payload = b"".join(parts)
        found = await asyncio.to_thread(sha256, payload) if size_bytes >= LARGE_BYTES else None
        if (found or sha256(payload)) != digest:
            raise PeerError("CHUNK_HASH", "send the payload that was asked for", field="payload")
        return payload


class Consensus:
    """The own site's consensus, as the place where votes are handed in."""

    def __init__(self, context: Context, settings: AggregationSettings) -> None:
        """Open nothing yet."""
        self._stub = consensus_pb2_grpc.ConsensusServiceStub(context.channels.to(CONSENSUS))
        self._settings = settings

    async def submit(self, transaction: bytes) -> None:
        """Hand in an ordered transaction; it is queued on return.

        Raises:
            PeerError: QUOTA_CONSENSUS, TX_*.
            OperationalError: RPC_*, DEADLINE.

        """
        request = consensus_pb2.ConsensusServiceSubmitRequest(number=1, transactions=[transaction])
        call = self._stub.Submit(_once(request))
        try:
            async with bounded(self._settings.rpc_seconds_max):
                answer = await anext(aiter(call), None)
        finally:
            call.cancel()
        if answer is None:
            raise OperationalError("RPC_CANCELLED", "consensus ended the stream: try again")
        if answer.HasField("refusal"):
            raise error_of(answer.refusal)


async def _once(
    request: consensus_pb2.ConsensusServiceSubmitRequest,
) -> AsyncIterator[consensus_pb2.ConsensusServiceSubmitRequest]:
    yield request


def _pieces(digest: bytes, payload: bytes) -> Iterator[Piece]:
    """Yield the chunks of a payload."""
    for index, start in enumerate(range(0, len(payload), CHUNK_SIZE)):
        data = payload[start : start + CHUNK_SIZE]
        name = digest if len(payload) <= CHUNK_SIZE else sha256(data)
        yield Piece(digest, len(payload), index, name, data)
