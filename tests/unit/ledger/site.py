"""A ledger role at work in this process, as its neighbours see it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import grpc.aio
from prometheus_client import CollectorRegistry

from seawall.api.v1 import ledger_pb2 as pb
from seawall.api.v1 import ledger_pb2_grpc, types_pb2
from seawall.codec import seal_block
from seawall.domain.commit import CertifiedCheckpoint
from seawall.domain.genesis import Genesis
from seawall.formats.admission import Admission
from seawall.ledger.config import LedgerSettings
from seawall.ledger.execution import Delivery
from seawall.ledger.service import build
from seawall.runtime.admission_cache import AdmissionCache
from seawall.runtime.local import LocalServer
from seawall.runtime.service import Context, Service, SiteKeys
from seawall.runtime.tls import FrameTarget
from seawall.telemetry.logs import open_log
from tests.unit.ledger.chain import LOG_KEY, key, origin_of

T = TypeVar("T")


class StillClock:
    """A clock that stands."""

    def elapsed_us(self) -> int:
        """Return 0."""
        return 0

    def wall_ms(self) -> int:
        """Return 0."""
        return 0


class NoChannels:
    """The ledger calls nobody."""

    def to(self, role: str, site: int | None = None) -> grpc.aio.Channel:
        """Refuse."""
        raise AssertionError((role, site))

    def client_server_tls(self) -> ssl.SSLContext:
        """Refuse: there are no sockets."""
        raise AssertionError

    def frame_server_tls(self) -> ssl.SSLContext:
        """Refuse: there are no sockets."""
        raise AssertionError

    def frame_target(self, site: int) -> FrameTarget:
        """Refuse: there are no sockets."""
        raise AssertionError(site)


class Points:
    """Crash points that call a function."""

    def __init__(self, reach: Callable[[str], None] | None = None) -> None:
        """Call `reach` at every point."""
        self._reach = reach

    def reach(self, point: str) -> None:
        """Pass the point."""
        if self._reach is not None:
            self._reach(point)


def context_of(
    genesis: Genesis,
    directory: Path,
    reach: Callable[[str], None] | None = None,
    registry: CollectorRegistry | None = None,
) -> Context:
    """Return what a process would give the role at site 0."""
    origin = origin_of(genesis)
    return Context(
        genesis=genesis,
        origin=origin,
        committee=genesis.committee(origin),
        site=0,
        keys=SiteKeys(consensus=key("consensus 0"), cosigner=key("cosigner 0"), log=LOG_KEY),
        data_dir=directory,
        channels=NoChannels(),
        clock=StillClock(),
        entropy=bytes,
        registry=registry or CollectorRegistry(),
        log=open_log("error", BytesIO()),
        crash_points=Points(reach),
        admission=AdmissionCache(Admission(genesis, origin)),
    )


async def at_work(service: Service) -> None:
    """Return once the role takes work; that needs a few turns of the loop, and no time."""
    for _ in range(100):
        if service.ready():
            return
        await asyncio.sleep(0)
    raise AssertionError


@asynccontextmanager
async def running(
    genesis: Genesis,
    directory: Path,
    settings: LedgerSettings | None = None,
    registry: CollectorRegistry | None = None,
) -> "AsyncIterator[ledger_pb2_grpc.LedgerServiceAsyncStub]":
    """Run the role and yield a stub of it."""
    service = build(context_of(genesis, directory, registry=registry), settings or LedgerSettings())
    server = LocalServer()
    service.register(server)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(service.run())
        async with server:
            await at_work(service)
            yield ledger_pb2_grpc.LedgerServiceStub(server.channel())
        task.cancel()


async def stream(*items: T) -> AsyncIterator[T]:
    """Yield the items."""
    for item in items:
        yield item


def commit_message(made: Delivery, origin: str) -> pb.AppendRequest:
    """Return a commit as consensus sends it."""
    blocks = [seal_block(block, origin, key(f"consensus {block.author}")) for block in made.blocks]
    leader = types_pb2.BlockRef(
        round=made.leader.round, author=made.leader.author, digest=made.leader.digest
    )
    commit = types_pb2.Commit(
        index=made.index,
        previous_digest=made.previous_digest,
        digest=made.digest,
        leader=leader,
        clock_ms=made.clock_ms,
        blocks=[sealed.raw for sealed in blocks],
        finality_digest=made.finality_digest,
    )
    for place, verdict in enumerate(made.verdicts):
        commit.judged_batches.add(
            site=verdict.batch.site,
            batch_number=verdict.batch.number,
            records=verdict.batch.records_bytes,
        )
        commit.verdicts.add(
            block=types_pb2.BlockRef(
                round=verdict.block.round, author=verdict.block.author, digest=verdict.block.digest
            ),
            batch=place,
            positions=verdict.positions,
            judgement=types_pb2.Judgement.ValueType(verdict.judgement),
            rule=verdict.rule,
        )
    for one in made.twins:
        first, second = [
            types_pb2.BlockRef(round=ref.round, author=ref.author, digest=ref.digest)
            for ref in (one.first, one.second)
        ]
        commit.twins.add(
            first=first,
            first_signature=one.first_signature,
            second=second,
            second_signature=one.second_signature,
        )
    return pb.AppendRequest(commit=commit)


def certificate_message(made: CertifiedCheckpoint) -> pb.AppendRequest:
    """Return a certificate as consensus sends it."""
    return pb.AppendRequest(
        certificate=types_pb2.CertifiedCheckpoint(
            index=made.index,
            commit_digest=made.commit_digest,
            tree_size=made.tree_size,
            root=made.root,
            cosignatures=[
                types_pb2.Cosignature(author=one.author, blob=one.blob) for one in made.cosignatures
            ],
        )
    )


async def append_all(
    stub: "ledger_pb2_grpc.LedgerServiceAsyncStub", requests: Iterable[pb.AppendRequest]
) -> list[tuple[int, int, bytes]]:
    """Return the answers to an append stream."""
    return [
        (answer.index, answer.tree_size, answer.root)
        async for answer in stub.Append(stream(*requests))
    ]
