"""Commits larger than a gRPC message reach a ledger in another process, over a socket."""

import asyncio
from pathlib import Path

import grpc.aio

from seawall.consensus.commits import CommitLog
from seawall.consensus.config import ConsensusSettings
from seawall.consensus.engine import Rooted
from seawall.consensus.feed import LedgerFeed
from seawall.consensus.messages import encode_commit
from seawall.domain.block import VerifiedBlock
from seawall.domain.commit import Commit
from seawall.ledger.config import LedgerSettings
from seawall.ledger.log import Log
from seawall.ledger.service import build
from seawall.runtime.channels import DIALLING_OPTIONS, MESSAGE_SIZE_BYTES_MAX, SERVING_OPTIONS
from seawall.telemetry.logs import open_log
from tests.unit.consensus.dag.drawing import draw_block, genesis, own_first
from tests.unit.ledger.chain import (
    accepting,
    append,
    block,
    delivery,
    make_genesis,
    origin_of,
    record,
)
from tests.unit.ledger.memory_store import MemoryStore
from tests.unit.ledger.site import Points, at_work, context_of

GENESIS = make_genesis()
ORIGIN = origin_of(GENESIS)
TRANSACTION_BYTES = 16_000


def blocks_of(index: int, count: int) -> tuple[VerifiedBlock, ...]:
    """Return blocks of nearly a megabyte each; their transactions mean nothing to a ledger."""
    committee = GENESIS.committee(ORIGIN)
    return tuple(
        draw_block(
            index,
            author,
            own_first(genesis(committee), author),
            time_ms=number,
            transactions=(b"x" * TRANSACTION_BYTES,) * 60,
        )
        for number in range(count)
        for author in (number % committee.size,)
    )


def made(index: int, count: int) -> Commit:
    """Return a commit with so many large blocks, and a verdict on an update of an earlier one."""
    blocks = blocks_of(index, count)
    like = delivery(index, verdicts=accepting(block(0, [record(0, index)])))
    return Commit(
        index=index,
        previous_digest=like.previous_digest,
        digest=like.digest,
        leader=like.leader,
        clock_ms=like.clock_ms,
        gc_round=0,
        blocks=blocks,
        verdicts=like.verdicts,
        finality_digest=like.finality_digest,
    )


async def test_commits_of_several_megabytes_reach_a_ledger_behind_a_socket(tmp_path: Path) -> None:
    commits = [made(1, 0), made(2, 5), made(3, 1), made(4, 9)]
    assert encode_commit(commits[1]).ByteSize() > 4 * MESSAGE_SIZE_BYTES_MAX
    assert encode_commit(commits[3]).ByteSize() > 7 * MESSAGE_SIZE_BYTES_MAX
    expected = Log(MemoryStore(), GENESIS, ORIGIN)
    for commit in commits:
        blocks = [one.block for one in commit.blocks]
        append(expected, delivery(commit.index, *blocks, verdicts=commit.verdicts))
    assert expected.head.row.updates == len(commits)
    answers: asyncio.Queue[Rooted] = asyncio.Queue()
    service = build(context_of(GENESIS, tmp_path), LedgerSettings())
    server = grpc.aio.server(options=SERVING_OPTIONS)
    service.register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    log = CommitLog(tmp_path / "commits", size_bytes_max=64 << 20)
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=DIALLING_OPTIONS)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        role = group.create_task(service.run())
        await at_work(service)
        feed = LedgerFeed(
            lambda: channel,
            log,
            answers.put_nowait,
            ConsensusSettings(),
            Points(),
            open_log("error"),
        )
        feeding = group.create_task(feed.run())
        for commit in commits:
            log.append(commit)
        feed.deliver(tuple(commits))
        for commit in commits:
            row = expected.row(commit.index)
            assert row is not None
            assert await answers.get() == Rooted(commit.index, row.tree_size, row.root)
        feeding.cancel()
        await channel.close()
        await server.stop(0)
        role.cancel()
    log.close()
