"""What ingestion asks of other roles and sites: attestations, a place in a block, the log."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Final

import msgspec

from seawall.api.v1 import (
    consensus_pb2,
    consensus_pb2_grpc,
    integrity_pb2,
    integrity_pb2_grpc,
    ledger_pb2,
    ledger_pb2_grpc,
)
from seawall.domain.block import Attestation
from seawall.errors import PeerError
from seawall.formats import tlog_proof
from seawall.ingestion.batch import Batch, Word
from seawall.ingestion.config import IngestionSettings
from seawall.ingestion.following import Page
from seawall.ingestion.pipeline import inline_payload
from seawall.runtime.dialogue import Dialogue
from seawall.runtime.ledger_client import bounded
from seawall.runtime.service import CONSENSUS, INTEGRITY, LEDGER, Channels
from seawall.runtime.status import error_of

SUBMITS_OPEN_MAX: Final = 16
_PENDING: Final = ("RECEIPT_PENDING", "RECEIPT_UNKNOWN")

_Attestations = Dialogue[integrity_pb2.AttestRequest, integrity_pb2.AttestResponse]
_Submissions = Dialogue[
    consensus_pb2.ConsensusServiceSubmitRequest, consensus_pb2.ConsensusServiceSubmitResponse
]


class GrpcAttesters:
    """The integrity services of all sites; `run` keeps a stream to each that is asked."""

    def __init__(
        self, channels: Channels, sites: int, own_site: int, settings: IngestionSettings
    ) -> None:
        """Open nothing yet; a channel is opened when its site is first asked."""
        self._own = own_site
        self._seconds_max = settings.attest_seconds_max
        self.links: tuple[_Attestations, ...] = tuple(
            _attestations(channels, site, settings.batches_in_flight_max) for site in range(sites)
        )

    def offer(self, batch: Batch) -> "GrpcOffer":
        """Return the batch as a message; attesters see it as it is now."""
        request = integrity_pb2.AttestRequest(
            site=self._own, batch_number=batch.number, pinned_height=batch.pinned_height
        )
        for update, payload in zip(batch.updates, batch.payloads, strict=True):
            request.items.add(
                envelope=update.envelope,
                manifest=update.manifest,
                provenance=update.provenance,
                payload=inline_payload(update, payload),
            )
        return GrpcOffer(request, self.links, self._seconds_max)

    async def run(self) -> None:
        """Keep the streams until cancelled."""
        async with asyncio.TaskGroup() as group:
            for site, link in enumerate(self.links):
                group.create_task(link.run(), name=f"attester-{site}")


class GrpcOffer:
    """One batch as a message."""

    def __init__(
        self,
        request: integrity_pb2.AttestRequest,
        links: tuple[_Attestations, ...],
        seconds_max: float,
    ) -> None:
        """Keep the message for all sites."""
        self._request = request
        self._links = links
        self._seconds_max = seconds_max

    async def ask(self, site: int) -> Word:
        """Return what a site says of the batch."""
        async with bounded(self._seconds_max):
            answer = await self._links[site].ask(self._request.batch_number, self._request)
        count_max = len(self._request.items)
        refused = {
            one.item: error_of(one.refusal) for one in answer.refused if one.item < count_max
        }
        return Word(answer.signature, refused, answer.later)


class GrpcOrderer:
    """The own consensus, as far as batches go in; `run` keeps the stream."""

    def __init__(self, channels: Channels, own_site: int, seconds_max: float) -> None:
        """Open nothing yet."""
        self._own = own_site
        self._seconds_max = seconds_max
        self._numbers = count(1)
        stub = consensus_pb2_grpc.ConsensusServiceStub(channels.to(CONSENSUS))
        self._link: _Submissions = Dialogue(
            stub.Submit, lambda answer: answer.number, open_max=SUBMITS_OPEN_MAX
        )

    @property
    def generation(self) -> int:
        """Return how many streams have broken: what was handed in before may be forgotten."""
        return self._link.generation

    async def submit(self, batch: Batch, attestations: tuple[Attestation, ...]) -> None:
        """Hand in a certified batch."""
        number = next(self._numbers)
        request = consensus_pb2.ConsensusServiceSubmitRequest(number=number)
        certified = request.batches.add(
            site=self._own,
            batch_number=batch.number,
            pinned_height=batch.pinned_height,
            records=batch.records,
        )
        for one in attestations:
            certified.attestations.add(author=one.author, signature=one.signature)
        async with bounded(self._seconds_max):
            answer = await self._link.ask(number, request)
        if answer.HasField("refusal"):
            raise error_of(answer.refusal)

    async def run(self) -> None:
        """Keep the stream until cancelled."""
        await self._link.run()


class OwnFinality:
    """The own consensus, as far as it says what is FINAL."""

    def __init__(self, channels: Channels) -> None:
        """Open nothing yet."""
        self._stub = consensus_pb2_grpc.ConsensusServiceStub(channels.to(CONSENSUS))

    async def follow(self) -> AsyncIterator[list[bytes]]:
        """Yield the ids of updates that become FINAL, many at a time, for ever.

        Raises:
            grpc.RpcError: consensus ended the stream.

        """
        request = consensus_pb2.FollowFinalityRequest()
        async for message in self._stub.FollowFinality(request):
            yield [update_id for one in message.statements for update_id in one.update_ids]


class _Proven(msgspec.Struct, frozen=True):
    entry: str
    proof: str


class _Entries(msgspec.Struct, frozen=True):
    entries: tuple[_Proven, ...]


class _Receipt(msgspec.Struct, frozen=True):
    spec: _Entries


_decode_receipt: Final = msgspec.json.Decoder(_Receipt).decode


class OwnLog:
    """The own ledger's log: where it stands, what follows, what became of an update."""

    def __init__(self, channels: Channels, seconds_max: float) -> None:
        """Bound every question by `seconds_max`; following has no end."""
        self._seconds_max = seconds_max
        self._stub = ledger_pb2_grpc.LedgerServiceStub(channels.to(LEDGER))

    async def certified(self) -> tuple[int, int]:
        """Return how many entries a checkpoint of quorum stake covers, and its commit index.

        Raises:
            OperationalError: RPC_*, DEADLINE.

        """
        note, height = await self.checkpoint()
        lines = note.split("\n", 2)
        # Before the first certificate there is no note, and following begins with entry 0.
        return (int(lines[1]), height) if len(lines) > 1 else (0, 0)

    async def checkpoint(self) -> tuple[str, int]:
        """Return the newest checkpoint of quorum stake as a note, and its commit index.

        The note is empty before the first.

        Raises:
            OperationalError: RPC_*, DEADLINE.

        """
        async with bounded(self._seconds_max):
            answer = await self._stub.Checkpoint(ledger_pb2.CheckpointRequest())
        return answer.note, answer.commit_index

    async def receipt(self, update_id: bytes, wait_ms: int, *, aggregated: bool) -> bytes:
        """Return an update's receipt, waiting for it to exist.

        Raises:
            PeerError: RECEIPT_PENDING, RECEIPT_UNKNOWN, or why the update was refused.
            OperationalError: RPC_*, DEADLINE.

        """
        request = ledger_pb2.ReceiptRequest(
            update_id=update_id, wait_ms=wait_ms, aggregated=aggregated
        )
        async with bounded(self._seconds_max + wait_ms / 1000):
            return (await self._stub.Receipt(request)).document

    async def follow(self, start: int) -> AsyncIterator[Page]:
        """Yield certified entries from an index on, for ever.

        Raises:
            grpc.RpcError: the ledger ended the stream.

        """
        request = ledger_pb2.EntriesRequest(start=start, follow=True)
        async for message in self._stub.Entries(request):
            yield Page(
                start=message.start,
                entries=tuple(message.entries),
                commit_index=message.commit_index,
                refused=tuple([(one.update_id, error_of(one.refusal)) for one in message.refused]),
            )

    async def entry_of(self, update_id: bytes) -> int | None:
        """Return the index of a committed update's entry, None when it is not committed.

        Raises:
            PeerError: the code with which the order of blocks refused the update.
            OperationalError: RPC_*, DEADLINE.

        """
        proven = await self._receipt(update_id, aggregated=False)
        return tlog_proof.parse(proven[0].proof.encode()).index if proven else None

    async def decision_on(self, update_id: bytes) -> bytes | None:
        """Return the last entry that decides on a committed update: a cut or a version.

        None while no cut has decided, or its version is not usable.
        """
        proven = await self._receipt(update_id, aggregated=True)
        return proven[-1].entry.encode() if proven else None

    async def _receipt(self, update_id: bytes, *, aggregated: bool) -> tuple[_Proven, ...]:
        """Return the entries of an update's receipt, none when it does not exist yet."""
        request = ledger_pb2.ReceiptRequest(update_id=update_id, aggregated=aggregated)
        try:
            async with bounded(self._seconds_max):
                answer = await self._stub.Receipt(request)
        except PeerError as failure:
            if failure.code in _PENDING:
                return ()
            raise
        return _decode_receipt(answer.document).spec.entries


def _attestations(channels: Channels, site: int, open_max: int) -> _Attestations:
    """Return a dialogue with the integrity service of a site."""

    def attest(
        requests: AsyncIterator[integrity_pb2.AttestRequest],
    ) -> AsyncIterator[integrity_pb2.AttestResponse]:
        stub = integrity_pb2_grpc.IntegrityServiceStub(channels.to(INTEGRITY, site))
        return aiter(stub.Attest(requests))

    return Dialogue(attest, lambda answer: answer.batch_number, open_max=open_max)
