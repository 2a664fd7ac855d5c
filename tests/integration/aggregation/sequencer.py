"""Sites with a real ledger and a real aggregation role, ordered by a sequencer that tests drive.

The sequencer stands where consensus stands: it queues votes, and commits what a test tells it to,
to every ledger alike, each commit with its certificate.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np

from seawall.aggregation.config import AggregationSettings
from seawall.aggregation.service import AggregationService
from seawall.aggregation.service import build as build_aggregation
from seawall.api.v1 import (
    aggregation_pb2_grpc,
    consensus_pb2,
    consensus_pb2_grpc,
    ledger_pb2,
    ledger_pb2_grpc,
    types_pb2,
)
from seawall.codec import encode_block, encode_records
from seawall.crypto.signing import SigningKey, key_id
from seawall.domain.block import (
    Batch,
    Block,
    BlockFlags,
    CoinShares,
    UpdateKind,
    UpdateRecord,
)
from seawall.domain.cut import CutPolicy
from seawall.domain.genesis import Contributor, RuleSpec, Task, TensorSpec
from seawall.formats.admission import Admission
from seawall.formats.checkpoint import Checkpoint
from seawall.formats.cosignature import cosign
from seawall.formats.task_payload import Layout, header_size_for
from seawall.ledger.config import LedgerSettings
from seawall.ledger.service import build as build_ledger
from seawall.runtime.admission_cache import AdmissionCache
from seawall.runtime.local import LocalChannel, LocalServer
from seawall.runtime.service import LEDGER, Context, Service, SiteKeys
from seawall.runtime.status import AnyContext
from seawall.runtime.tls import FrameTarget
from seawall.telemetry.logs import open_log
from seawall.telemetry.metrics import open_registry
from tests.integration.sites import TestSites, make_sites, seed

TENSORS = (TensorSpec(name="w", shape=(5,)),)
LAYOUT = Layout(TENSORS, header_size_for(TENSORS))
ZERO = LAYOUT.encode(np.zeros(5, dtype=np.int32))
PEOPLE = 3
START_MS = 1_700_000_000_000
QUICK = AggregationSettings(
    chunk_seconds_max=0.3,
    retry_seconds_min=0.01,
    retry_seconds_max=0.05,
    vote_seconds=0.2,
    vote_attempts_max=3,
)


def digest(data: bytes) -> bytes:
    return sha256(data).digest()


def person(at: int) -> SigningKey:
    return SigningKey.from_seed(seed(f"person {at}"))


def make_task() -> Task:
    """Return a task that takes a cut of one update as soon as it is there."""
    return Task(
        name="line",
        rule=RuleSpec(name="fedavg", version=1, parameters=()),
        grid_bits=10,
        tensors=TENSORS,
        header_size_bytes=header_size_for(TENSORS),
        payload_size_bytes=LAYOUT.payload_size_bytes,
        base_payload_digest=digest(ZERO),
        cut=CutPolicy(interval_ms=1000, k=1, k_min=1, staleness_max=50),
    )


@dataclass
class Points:
    """Crash points of one site; ends its aggregation role at `armed`."""

    armed: str = ""
    passed: list[str] = field(default_factory=list)
    killed: asyncio.Event = field(default_factory=asyncio.Event)

    def reach(self, point: str) -> None:
        """Pass a point, or end what passes it."""
        self.passed.append(point)
        if point == self.armed:
            self.killed.set()
            raise asyncio.CancelledError


class Voting(consensus_pb2_grpc.ConsensusServiceServicer):
    """Queues votes of one site."""

    def __init__(self) -> None:
        self.votes: list[bytes] = []
        self.arrived = asyncio.Event()

    async def Submit(  # noqa: N802 - the contract's name
        self,
        request_iterator: AsyncIterator[consensus_pb2.ConsensusServiceSubmitRequest],
        context: AnyContext,
    ) -> AsyncIterator[consensus_pb2.ConsensusServiceSubmitResponse]:
        """Take votes."""
        del context
        async for request in request_iterator:
            self.votes.extend(request.transactions)
            self.arrived.set()
            yield consensus_pb2.ConsensusServiceSubmitResponse(number=request.number)

    async def vote(self) -> bytes:
        """Return the next vote, and take it away."""
        while not self.votes:
            self.arrived.clear()
            await self.arrived.wait()
        return self.votes.pop(0)


class Site:
    """One site: its servers outlive its roles, as addresses do."""

    def __init__(self, town: "Town", index: int) -> None:
        self.town = town
        self.index = index
        self.server = LocalServer()
        self.voting = Voting()  # type: ignore[abstract]  # the other calls are never made
        self.points = Points()
        self.aggregation: AggregationService | None = None
        self.metrics = open_registry("test")
        self._tasks: dict[str, asyncio.Task[None]] = {}
        consensus_pb2_grpc.add_ConsensusServiceServicer_to_server(self.voting, self.server)

    @property
    def ledger(self) -> "ledger_pb2_grpc.LedgerServiceAsyncStub":
        """Return a stub of the ledger role."""
        return ledger_pb2_grpc.LedgerServiceStub(self.server.channel())

    @property
    def heads(self) -> "aggregation_pb2_grpc.AggregationServiceAsyncStub":
        """Return a stub of the aggregation role."""
        return aggregation_pb2_grpc.AggregationServiceStub(self.server.channel())

    def context(self, role: str) -> Context:
        """Return what a role gets."""
        town = self.town
        data_dir = town.sites_made.directory / f"site-{self.index}" / "data" / role
        data_dir.mkdir(parents=True, exist_ok=True)
        genesis, origin = town.sites_made.genesis, town.sites_made.origin
        return Context(
            genesis=genesis,
            origin=origin,
            committee=genesis.committee(origin),
            site=self.index,
            keys=SiteKeys(
                consensus=town.sites_made.key(self.index),
                cosigner=SigningKey.from_seed(seed(f"cosigner-{self.index}")),
                log=SigningKey.from_seed(seed("log")),
            ),
            data_dir=data_dir,
            channels=Channels(town, self.index),
            clock=Still(),
            entropy=bytes,
            registry=self.metrics,
            log=open_log("error"),
            crash_points=self.points,
            admission=AdmissionCache(Admission(genesis, origin)),
        )

    def start_ledger(self) -> None:
        """Start the ledger role."""
        role = build_ledger(self.context(LEDGER), LedgerSettings())
        self._start(LEDGER, role)

    def start_aggregation(self) -> AggregationService:
        """Start the aggregation role on what an earlier one left."""
        self.metrics = open_registry("test")
        self.points = Points()
        self.aggregation = build_aggregation(self.context("aggregation"), QUICK)
        self._start("aggregation", self.aggregation)
        return self.aggregation

    def _start(self, name: str, role: Service) -> None:
        role.register(self.server)
        self._tasks[name] = self.town.group.create_task(role.run(), name=f"{name}-{self.index}")

    async def stop(self, name: str) -> None:
        """End a role without warning."""
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def put(self, payload: bytes) -> None:
        """Store a payload in this site's ledger."""
        chunk = ledger_pb2.Chunk(
            payload_digest=digest(payload),
            chunk_digest=digest(payload),
            data=payload,
            payload_size_bytes=len(payload),
        )

        async def requests() -> AsyncIterator[ledger_pb2.PutPayloadRequest]:
            yield ledger_pb2.PutPayloadRequest(chunks=[chunk])

        async for answer in self.ledger.PutPayload(requests()):
            assert not answer.refused

    async def has(self, payload_digest: bytes) -> bool:
        """Say whether this site's ledger holds a payload."""
        request = ledger_pb2.HasPayloadRequest(
            payload_digest=payload_digest, payload_size_bytes=len(ZERO)
        )
        return (await self.ledger.HasPayload(request)).complete


class Liar(ledger_pb2_grpc.LedgerServiceServicer):
    """A ledger that serves any payload as pieces of its own making, or never answers."""

    def __init__(self, pieces: Sequence[bytes] | None) -> None:
        self.pieces = pieces
        self.asked = 0
        self.server = LocalServer()
        ledger_pb2_grpc.add_LedgerServiceServicer_to_server(self, self.server)

    async def GetPayload(  # noqa: N802 - the contract's name
        self, request: ledger_pb2.GetPayloadRequest, context: AnyContext
    ) -> AsyncIterator[ledger_pb2.GetPayloadResponse]:
        """Serve nonsense."""
        del context
        self.asked += 1
        if self.pieces is None:
            await asyncio.get_running_loop().create_future()
            return
        for index, piece in enumerate(self.pieces):
            yield ledger_pb2.GetPayloadResponse(
                chunk=ledger_pb2.Chunk(
                    payload_digest=request.payload_digest, index=index, data=piece
                )
            )


class Still:
    """A clock that stands still."""

    def elapsed_us(self) -> int:
        """Return 0."""
        return 0

    def wall_ms(self) -> int:
        """Return a moment."""
        return START_MS


class Channels:
    """Channels between the sites of a town."""

    def __init__(self, town: "Town", own: int) -> None:
        self._town = town
        self._own = own

    def to(self, role: str, site: int | None = None) -> LocalChannel:
        """Return a channel to a site."""
        del role
        index = self._own if site is None else site
        if index != self._own and index in self._town.liars:
            return self._town.liars[index].server.channel()
        return self._town.sites[index].server.channel()

    def client_server_tls(self) -> ssl.SSLContext:
        """Refuse: there are no sockets."""
        raise AssertionError

    def frame_server_tls(self) -> ssl.SSLContext:
        """Refuse: there are no sockets."""
        raise AssertionError

    def frame_target(self, site: int) -> FrameTarget:
        """Refuse: there are no sockets."""
        raise AssertionError(site)


class Town:
    """Four sites and the sequencer."""

    def __init__(self, sites_made: TestSites, group: asyncio.TaskGroup) -> None:
        self.sites_made = sites_made
        self.group = group
        self.liars: dict[int, Liar] = {}
        self.index = 0
        self.seq = 0
        self._previous = bytes(32)
        self.sites = [Site(self, at) for at in range(4)]

    async def lie(self, site: int, pieces: Sequence[bytes] | None) -> Liar:
        """Let others meet a liar in the place of a site's ledger."""
        liar = Liar(pieces)  # type: ignore[abstract]  # the other calls are never made
        await liar.server.start()
        self.liars[site] = liar
        return liar

    async def commit(
        self,
        *,
        records: Sequence[UpdateRecord] = (),
        votes: dict[int, bytes] | None = None,
        certified: bool = True,
    ) -> None:
        """Commit updates (in a batch of site 0) and votes of sites, one second later."""
        self.index += 1
        blocks = []
        batch = (Batch(0, self.index, 0, encode_records(records), ()),) if records else ()
        for author in sorted({0, *(votes or {})}):
            transactions = (votes[author],) if votes and author in votes else ()
            blocks.append(_block(self.index, author, batch if author == 0 else (), transactions))
        name = digest(b"commit %d" % self.index)
        commit = types_pb2.Commit(
            index=self.index,
            previous_digest=self._previous,
            digest=name,
            leader=types_pb2.BlockRef(round=self.index, author=0, digest=name),
            clock_ms=START_MS + 1000 * self.index,
            blocks=[encode_block(block) + bytes(64) for block in blocks],
        )
        self._previous = name
        for one in batch:  # accepted at once
            commit.judged_batches.add(
                site=one.site, batch_number=one.number, records=one.records_bytes
            )
            commit.verdicts.add(
                block=commit.leader,
                positions=range(len(records)),
                judgement=types_pb2.JUDGEMENT_ACCEPT,
                rule=1,
            )
        for site in self.sites:
            await self._append(site, commit, certified=certified)

    async def update(self, value: int, *, holders: Sequence[int] = (0, 1, 2, 3)) -> UpdateRecord:
        """Return the record of a new update whose payload these sites hold."""
        self.seq += 1
        payload = LAYOUT.encode(np.full(5, value, dtype=np.int32))
        for at in holders:
            await self.sites[at].put(payload)
        head = (await self.sites[0].ledger.LedgerStatus(ledger_pb2.LedgerStatusRequest())).versions
        return UpdateRecord(
            contributor=key_id(person(self.seq % PEOPLE).public),
            update_id=digest(b"update %d" % self.seq),
            payload_digest=digest(payload),
            task=0,
            kind=UpdateKind.DELTA,
            seq=self.seq,
            base_version=head[0],
            expires_height=10_000,
            payload_size_bytes=len(payload),
            num_examples=1,
        )

    async def _append(self, site: Site, commit: types_pb2.Commit, *, certified: bool) -> None:
        answered: asyncio.Queue[ledger_pb2.AppendResponse] = asyncio.Queue()
        origin = self.sites_made.origin

        async def requests() -> AsyncIterator[ledger_pb2.AppendRequest]:
            yield ledger_pb2.AppendRequest(commit=commit)
            answer = await answered.get()
            if not certified:
                return
            body = Checkpoint(origin, answer.tree_size, answer.root).body()
            certificate = types_pb2.CertifiedCheckpoint(
                index=answer.index,
                commit_digest=commit.digest,
                tree_size=answer.tree_size,
                root=answer.root,
            )
            for at in range(3):
                blob = cosign(SigningKey.from_seed(seed(f"cosigner-{at}")), body, 1_700_000_000)
                certificate.cosignatures.add(author=at, blob=blob)
            yield ledger_pb2.AppendRequest(certificate=certificate)

        async for answer in site.ledger.Append(requests()):
            if answer.index == commit.index:
                answered.put_nowait(answer)


def _block(
    index: int, author: int, batches: tuple[Batch, ...], transactions: tuple[bytes, ...]
) -> Block:
    return Block(
        epoch=0,
        round=index,
        author=author,
        timestamp_ms=START_MS,
        flags=BlockFlags.NONE,
        parents=(),
        batches=batches,
        transactions=transactions,
        rejects=(),
        vote_cutoff=0,
        coin_shares=CoinShares(),
        commit_votes=(),
    )


@asynccontextmanager
async def town(path: Path) -> AsyncIterator[Town]:
    """Make sites and start their ledgers, each with the base model."""
    people = tuple(
        Contributor(name=f"person-{at}", public_key=person(at).public, roles=("contributor",))
        for at in range(PEOPLE)
    )
    made = make_sites(path, tasks=(make_task(),), contributors=people)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        made_town = Town(made, group)
        for site in made_town.sites:
            await site.server.start()
            site.start_ledger()
        await asyncio.sleep(0)
        for site in made_town.sites:
            await site.put(ZERO)
        await made_town.commit()  # the time of tasks begins with the first commit
        yield made_town
        for liar in made_town.liars.values():
            await liar.server.stop(None)
        for site in made_town.sites:
            await site.stop("aggregation")
            await site.server.stop(None)
            await site.stop(LEDGER)
