"""The way to the ledger: where it starts, what it repeats, how it ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from seawall.api.v1 import ledger_pb2, ledger_pb2_grpc
from seawall.consensus.commits import CommitLog
from seawall.consensus.config import ConsensusSettings
from seawall.consensus.engine import Rooted
from seawall.consensus.feed import LedgerFeed
from seawall.domain.commit import CertifiedCheckpoint, Commit
from seawall.errors import OperationalError, PeerError
from seawall.runtime import status
from seawall.runtime.local import LocalServer
from seawall.telemetry.logs import open_log
from tests.unit.consensus.cluster import Cluster
from tests.unit.consensus.test_journal import Points


@pytest.fixture(scope="module")
def run() -> Cluster:
    """Return a run with certified commits."""
    cluster = Cluster()
    for number in range(1, 9):
        cluster.submit(number % 4, number)
        cluster.run(100_000)
    return cluster


class Ledger(ledger_pb2_grpc.LedgerServiceServicer):
    """Notes what it gets; breaks when told to."""

    def __init__(self, stored: int = 0) -> None:
        self.stored = stored
        self.commits: list[int] = []
        self.certificates: list[int] = []
        self.breaks_at = 0
        self.refuses: PeerError | None = None
        self.streams = 0
        self.got = asyncio.Event()
        self.hold = asyncio.Event()
        self.hold.set()

    async def Append(  # noqa: N802 - the contract's name
        self, request_iterator: AsyncIterator[ledger_pb2.AppendRequest], context: status.AnyContext
    ) -> AsyncIterator[ledger_pb2.AppendResponse]:
        """Note and answer."""
        self.streams += 1
        yield ledger_pb2.AppendResponse(index=self.stored)
        async for request in request_iterator:
            if request.HasField("certificate"):
                self.certificates.append(request.certificate.index)
                continue
            index = request.commit.index
            self.commits.append(index)
            self.got.set()
            if index == self.breaks_at:
                self.breaks_at = 0
                raise OSError("broken by the test")
            if self.refuses is not None:
                await status.abort(context, self.refuses)
            await self.hold.wait()
            self.stored = max(self.stored, index)
            yield ledger_pb2.AppendResponse(index=index, tree_size=index, root=bytes([index]))


class Running:
    """A feed at work."""

    def __init__(self, commits: CommitLog, ledger: Ledger, server: LocalServer) -> None:
        self.commits = commits
        self.ledger = ledger
        self.roots: asyncio.Queue[Rooted] = asyncio.Queue()
        self.feed = LedgerFeed(
            server.channel,
            commits,
            self.roots.put_nowait,
            ConsensusSettings(
                reconnect_seconds_min=0.001, reconnect_seconds_max=0.002, ledger_window_commits=4
            ),
            Points(),
            open_log("error"),
        )

    def deliver(self, *commits: Commit) -> None:
        """Deliver as the host does."""
        for commit in commits:
            self.commits.append(commit)
        self.feed.deliver(commits)

    async def until(self, index: int) -> None:
        """Wait for the answer to a commit."""
        while (await self.roots.get()).index != index:
            pass


@asynccontextmanager
async def running(path: Path, stored: int = 0) -> AsyncIterator[Running]:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, __: None)  # a handler that breaks is the test's own
    ledger = Ledger(stored)  # type: ignore[abstract]  # Append is enough here
    async with asyncio.timeout(20), LocalServer() as server:
        ledger_pb2_grpc.add_LedgerServiceServicer_to_server(ledger, server)
        one = Running(CommitLog(path, size_bytes_max=1 << 20), ledger, server)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(one.feed.run())
            yield one
            task.cancel()


async def test_commits_go_in_order_and_answers_come_back(tmp_path: Path, run: Cluster) -> None:
    commits = run.sites[0].commits
    async with running(tmp_path) as one:
        one.deliver(*commits[:2])
        one.deliver(*commits[2:20])
        answers = [await one.roots.get() for _ in range(20)]
        assert answers == [Rooted(index, index, bytes([index])) for index in range(1, 21)]
        assert one.ledger.commits == list(range(1, 21))
        assert (one.feed.lag, one.feed.connected, one.feed.stored) == (0, True, 20)


async def test_certificates_follow_the_commits_that_they_cover(
    tmp_path: Path, run: Cluster
) -> None:
    site = run.sites[0]

    def checkpoint(index: int) -> CertifiedCheckpoint:
        return CertifiedCheckpoint(index, bytes(32), 0, bytes(32), ())

    async with running(tmp_path) as one:
        one.feed.certify(checkpoint(3))
        one.deliver(*site.commits[:2])
        await one.until(2)
        assert one.ledger.certificates == []
        one.deliver(site.commits[2], site.commits[3])
        await one.until(4)
        assert one.ledger.certificates == [3]
        one.feed.certify(checkpoint(4))
        one.deliver(site.commits[4])
        await one.until(5)
        assert one.ledger.certificates == [3, 4]


async def test_a_stream_that_breaks_is_opened_again_where_the_ledger_is(
    tmp_path: Path, run: Cluster
) -> None:
    commits = run.sites[0].commits
    async with running(tmp_path) as one:
        one.ledger.breaks_at = 5
        one.deliver(*commits[:10])
        await one.until(10)
        assert one.ledger.commits == [1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10]
        assert one.ledger.streams == 2


async def test_commits_delivered_again_are_sent_again(tmp_path: Path, run: Cluster) -> None:
    commits = run.sites[0].commits
    async with running(tmp_path, stored=8) as one:
        for commit in commits[:5]:
            one.commits.append(commit)
        one.deliver(*commits[5:10])  # the replica wants roots from commit 6 on
        await one.until(10)
        assert one.ledger.commits == [6, 7, 8, 9, 10]


async def test_a_ledger_that_is_behind_gets_old_commits(tmp_path: Path, run: Cluster) -> None:
    commits = run.sites[0].commits
    async with running(tmp_path) as one:
        for commit in commits[:9]:
            one.commits.append(commit)
        one.deliver(*commits[9:12])
        await one.until(12)
        assert one.ledger.commits == list(range(1, 13))


async def test_unanswered_commits_are_bounded(tmp_path: Path, run: Cluster) -> None:
    commits = run.sites[0].commits
    async with running(tmp_path) as one:
        one.ledger.hold.clear()
        one.deliver(*commits[:20])
        await one.ledger.got.wait()
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(one.ledger.commits) <= 4
        assert one.feed.lag == 20
        one.ledger.hold.set()
        await one.until(20)
        assert one.feed.lag == 0


async def test_commits_that_are_gone_stop_the_site(tmp_path: Path, run: Cluster) -> None:
    commits = run.sites[0].commits

    async def work() -> None:
        async with running(tmp_path) as one:
            one.deliver(*commits[10:12])
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as raised:
        await work()
    assert raised.group_contains(OperationalError, match="LEDGER_GAP")


async def test_another_chain_stops_the_site(tmp_path: Path, run: Cluster) -> None:
    commits = run.sites[0].commits

    async def work() -> None:
        async with running(tmp_path) as one:
            one.ledger.refuses = PeerError("LOG_FORK", "another chain")
            one.deliver(*commits[:2])
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as raised:
        await work()
    assert raised.group_contains(OperationalError, match="LEDGER_FORK")
