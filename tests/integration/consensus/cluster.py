"""Sites that run the consensus role beside a ledger that only remembers, over loopback mTLS."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from hashlib import sha256

import grpc
import grpc.aio

from seawall.api.v1 import consensus_pb2, consensus_pb2_grpc, ledger_pb2, ledger_pb2_grpc, types_pb2
from seawall.chaos import service as chaos_service
from seawall.chaos.config import ChaosSettings
from seawall.codec import encode_records
from seawall.config import Settings
from seawall.consensus import service as consensus_service
from seawall.consensus.config import ConsensusSettings
from seawall.consensus.host import ConsensusHost
from seawall.domain.block import Batch, UpdateKind, UpdateRecord
from seawall.runtime.channels import client_channel
from seawall.runtime.serve import Ports, Role, serve
from seawall.runtime.service import CHAOS, CONSENSUS, LEDGER, Context
from seawall.runtime.status import AnyContext
from seawall.telemetry.logs import open_log
from tests.integration.sites import TestSites
from tests.unit.consensus.cluster import attested


class Memory:
    """What a test ledger keeps; outlives the process that serves it."""

    def __init__(self) -> None:
        self.commits: list[types_pb2.Commit] = []
        self.certified = 0
        self.changed = asyncio.Event()

    def root(self, index: int) -> bytes:
        """Return a root that depends on every commit so far."""
        return sha256(b"".join(one.digest for one in self.commits[:index])).digest()

    def digests(self) -> list[bytes]:
        """Return the digests of all commits."""
        return [one.digest for one in self.commits]

    def answer(self, index: int) -> ledger_pb2.AppendResponse:
        """Return the answer to a commit."""
        return ledger_pb2.AppendResponse(index=index, tree_size=3 * index, root=self.root(index))


class MemoryLedger(ledger_pb2_grpc.LedgerServiceServicer):
    """Serves Append alone."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def Append(  # noqa: N802 - the contract's name
        self, request_iterator: AsyncIterator[ledger_pb2.AppendRequest], context: AnyContext
    ) -> AsyncIterator[ledger_pb2.AppendResponse]:
        """Remember commits; answer each."""
        del context
        memory = self._memory
        yield memory.answer(len(memory.commits))
        async for request in request_iterator:
            if request.HasField("certificate"):
                memory.certified = max(memory.certified, request.certificate.index)
                memory.changed.set()
                continue
            index = request.commit.index
            assert index <= len(memory.commits) + 1, "LOG_GAP"
            if index == len(memory.commits) + 1:
                memory.commits.append(request.commit)
                memory.changed.set()
            yield memory.answer(index)


class MemoryService:
    """The ledger role."""

    name = LEDGER

    def __init__(self, memory: Memory) -> None:
        self._servicer = MemoryLedger(memory)  # type: ignore[abstract]  # Append is enough here

    def register(self, server: grpc.aio.Server) -> None:
        """Add the servicer."""
        ledger_pb2_grpc.add_LedgerServiceServicer_to_server(self._servicer, server)

    async def run(self) -> None:
        """Do nothing until cancelled."""
        await asyncio.Event().wait()

    def ready(self) -> bool:
        """Say yes."""
        return True


class RunningSite:
    """One site's process inside the test."""

    def __init__(self, sites: TestSites, index: int, memory: Memory) -> None:
        self.sites = sites
        self.index = index
        self.memory = memory
        self.stop = asyncio.Event()
        self.started: asyncio.Future[Ports] = asyncio.get_running_loop().create_future()
        self.host: ConsensusHost | None = None
        self.ended = asyncio.Event()

    async def run(self, **members: object) -> None:
        """Serve until `stop`."""
        roles = {
            LEDGER: Role(settings=Settings, build=lambda _, __: MemoryService(self.memory)),
            CONSENSUS: Role(settings=ConsensusSettings, build=self._build),
            CHAOS: Role(settings=ChaosSettings, build=chaos_service.build),
        }
        config = self.sites.config(self.index, roles=(LEDGER, CONSENSUS), **members)
        try:
            await serve(
                config,
                roles,
                log=open_log("error"),
                stop=self.stop,
                on_started=self.started.set_result,
            )
        finally:
            self.ended.set()

    def _build(
        self, context: Context, settings: ConsensusSettings
    ) -> consensus_service.ConsensusService:
        service = consensus_service.build(context, settings)
        self.host = service.host
        return service

    @property
    def running(self) -> ConsensusHost:
        """Return the host, which must be there."""
        assert self.host is not None
        return self.host


class Cluster:
    """Sites of one chain, started and stopped by name."""

    def __init__(self, sites: TestSites, group: asyncio.TaskGroup) -> None:
        self.sites = sites
        self.memories = [Memory() for _ in sites.genesis.sites]
        self.running: dict[int, RunningSite] = {}
        self._group = group

    async def start(self, *indices: int, **members: object) -> None:
        """Start sites."""
        for index in indices:
            site = RunningSite(self.sites, index, self.memories[index])
            self.running[index] = site
            self._group.create_task(site.run(**members), name=f"site-{index}")
        for index in indices:
            await self.running[index].started

    async def stop(self, *indices: int) -> None:
        """Stop sites in good order."""
        for index in indices:
            self.running[index].stop.set()
        for index in indices:
            await self.running.pop(index).ended.wait()

    async def until_commits(self, count: int, indices: Iterable[int] | None = None) -> None:
        """Wait until these sites' ledgers (all by default) have so many commits."""
        for index in indices if indices is not None else range(len(self.memories)):
            memory = self.memories[index]
            while len(memory.commits) < count:
                memory.changed.clear()
                await memory.changed.wait()

    async def until_certified(self, index: int, sites: Iterable[int] | None = None) -> None:
        """Wait until these sites' ledgers know a certificate for this index or a later one."""
        for site in sites if sites is not None else range(len(self.memories)):
            memory = self.memories[site]
            while memory.certified < index:
                memory.changed.clear()
                await memory.changed.wait()

    def batch(self, site: int, number: int, updates: int = 3) -> consensus_pb2.CertifiedBatch:
        """Return a batch of a site, attested by the first sites of stake V."""
        committee = self.sites.genesis.committee(self.sites.origin)
        records = encode_records(
            UpdateRecord(
                contributor=sha256(f"{site}/{number}/{at}".encode()).digest(),
                update_id=sha256(f"update {site}/{number}/{at}".encode()).digest(),
                payload_digest=bytes(32),
                task=0,
                kind=UpdateKind.DELTA,
                seq=1,
                base_version=0,
                expires_height=1_000_000,
                payload_size_bytes=1,
                num_examples=1,
            )
            for at in range(updates)
        )
        made = attested(
            committee,
            Batch(site, number, 0, records, ()),
            range(committee.validity),
            self.sites.key,
        )
        attestations = [
            consensus_pb2.BatchAttestation(author=one.author, signature=one.signature)
            for one in made.certificate
        ]
        return consensus_pb2.CertifiedBatch(
            site=site, batch_number=number, records=records, attestations=attestations
        )

    async def submit(self, site: int, *numbers: int) -> list[str]:
        """Hand in batches at a site; return the refusal code of each, or an empty string."""

        async def requests() -> AsyncIterator[consensus_pb2.ConsensusServiceSubmitRequest]:
            for number in numbers:
                yield consensus_pb2.ConsensusServiceSubmitRequest(
                    number=number, batches=[self.batch(site, number)]
                )

        channel = self.running[site].running.context.channels.to(CONSENSUS)
        stub = consensus_pb2_grpc.ConsensusServiceStub(channel)
        return [answer.refusal.code async for answer in stub.Submit(requests())]

    async def hand_in(
        self,
        site: int,
        batches: Iterable[consensus_pb2.CertifiedBatch] = (),
        transactions: Iterable[bytes] = (),
    ) -> str:
        """Hand in one message at a site; return the refusal code, or an empty string."""

        async def requests() -> AsyncIterator[consensus_pb2.ConsensusServiceSubmitRequest]:
            yield consensus_pb2.ConsensusServiceSubmitRequest(
                number=1, batches=batches, transactions=transactions
            )

        channel = self.running[site].running.context.channels.to(CONSENSUS)
        stub = consensus_pb2_grpc.ConsensusServiceStub(channel)
        codes = [answer.refusal.code async for answer in stub.Submit(requests())]
        return codes[0]

    async def status(self, site: int) -> consensus_pb2.ConsensusStatusResponse:
        """Ask a site over its client port."""
        async with client_channel(self.sites.genesis.sites[site]) as channel:
            stub = consensus_pb2_grpc.ConsensusServiceStub(channel)
            return await stub.ConsensusStatus(
                consensus_pb2.ConsensusStatusRequest(), timeout=10, wait_for_ready=True
            )

    def agree(self) -> bool:
        """Say whether every ledger is a prefix of the longest one."""
        chains = [memory.digests() for memory in self.memories]
        longest = max(chains, key=len)
        return all(longest[: len(chain)] == chain for chain in chains)


@asynccontextmanager
async def cluster(sites: TestSites, seconds_max: float = 60) -> AsyncIterator[Cluster]:
    """Give a cluster with nothing started; stop everything at the end."""
    async with asyncio.timeout(seconds_max), asyncio.TaskGroup() as group:
        made = Cluster(sites, group)
        yield made
        await made.stop(*tuple(made.running))
