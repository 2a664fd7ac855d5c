"""What becomes of updates that verdicts reject, or leave undecided."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from hashlib import sha256
from pathlib import Path

import grpc.aio
import pytest

from seawall.api.v1 import consensus_pb2, consensus_pb2_grpc, ledger_pb2, ledger_pb2_grpc, types_pb2
from seawall.codec import RECORD_BYTES
from seawall.config import RoleName, Settings
from seawall.formats.checkpoint import Checkpoint
from seawall.formats.cosignature import cosign
from seawall.runtime.serve import Role
from seawall.runtime.service import CONSENSUS, LEDGER, Context
from seawall.runtime.status import AnyContext
from tests.integration.ingestion.world import open_world, stages, whole

Submit = consensus_pb2.ConsensusServiceSubmitRequest
Submitted = consensus_pb2.ConsensusServiceSubmitResponse

ACCEPT, REJECT = types_pb2.JUDGEMENT_ACCEPT, types_pb2.JUDGEMENT_REJECT


class JudgingConsensus(consensus_pb2_grpc.ConsensusServiceServicer):
    """The consensus of a chain of one site: a commit for each batch, judged as it was told.

    `rules` are those of the finaliser, one for each batch: 1 accepts, the others reject.
    """

    name = CONSENSUS

    def __init__(self, rules: Sequence[int]) -> None:
        self.rules = list(rules)
        self.context: Context | None = None
        self.index = 0
        self.previous = bytes(32)
        self.batches: asyncio.Queue[consensus_pb2.CertifiedBatch] = asyncio.Queue()

    async def Submit(  # noqa: N802 - gRPC's name
        self, request_iterator: AsyncIterator[Submit], context: AnyContext
    ) -> AsyncIterator[Submitted]:
        """Take everything in."""
        del context
        async for request in request_iterator:
            for batch in request.batches:
                self.batches.put_nowait(batch)
            yield Submitted(number=request.number)

    async def run(self) -> None:
        """Judge batches as they come."""
        while True:
            batch = await self.batches.get()
            await self.append(self.commit(batch, self.rules.pop(0)))

    def commit(self, batch: consensus_pb2.CertifiedBatch, rule: int) -> types_pb2.Commit:
        """Return the next commit, which judges all of a batch."""
        self.index += 1
        digest = sha256(b"commit %d" % self.index).digest()
        leader = types_pb2.BlockRef(round=self.index, author=0, digest=digest)
        commit = types_pb2.Commit(
            index=self.index,
            previous_digest=self.previous,
            digest=digest,
            leader=leader,
            clock_ms=1_700_000_000_000 + self.index,
        )
        commit.judged_batches.add(
            site=batch.site, batch_number=batch.batch_number, records=batch.records
        )
        commit.verdicts.add(
            block=leader,
            positions=range(len(batch.records) // RECORD_BYTES),
            judgement=ACCEPT if rule == 1 else REJECT,
            rule=rule,
        )
        self.previous = digest
        return commit

    async def append(self, commit: types_pb2.Commit) -> None:
        """Hand a commit and its certificate to the ledger."""
        assert self.context is not None
        context, answered = self.context, asyncio.Event()
        roots: list[ledger_pb2.AppendResponse] = []

        async def requests() -> AsyncIterator[ledger_pb2.AppendRequest]:
            yield ledger_pb2.AppendRequest(commit=commit)
            await answered.wait()
            head = roots[-1]
            body = Checkpoint(context.origin, head.tree_size, head.root).body()
            certificate = types_pb2.CertifiedCheckpoint(
                index=head.index,
                commit_digest=commit.digest,
                tree_size=head.tree_size,
                root=head.root,
            )
            certificate.cosignatures.add(author=0, blob=cosign(context.keys.cosigner, body, 1))
            yield ledger_pb2.AppendRequest(certificate=certificate)

        stub = ledger_pb2_grpc.LedgerServiceStub(context.channels.to(LEDGER))
        async for answer in stub.Append(requests()):
            if answer.index == commit.index:
                roots.append(answer)
                answered.set()

    def register(self, server: grpc.aio.Server) -> None:
        """Serve."""
        consensus_pb2_grpc.add_ConsensusServiceServicer_to_server(self, server)

    def ready(self) -> bool:
        """Say yes."""
        return True


def judging(*rules: int) -> tuple[JudgingConsensus, dict[RoleName, Role]]:
    """Return a consensus that judges by these rules, and how to serve it."""
    made = JudgingConsensus(rules)  # type: ignore[abstract]  # Submit is enough here

    def build(context: Context, settings: Settings) -> JudgingConsensus:
        del settings
        made.context = context
        return made

    return made, {"consensus": Role(settings=Settings, build=build)}


@pytest.mark.parametrize(
    ("rules", "last", "left"),
    [
        ((4, 4, 1), "COMMITTED", []),
        ((4, 4, 4, 4, 1), "VERDICT_UNDECIDED", [1]),
        ((2, 1), "VERDICT_OUTVOTED", [1]),
        ((4, 3, 1), "VERDICT_CONTESTED", [1]),
    ],
)
async def test_an_undecided_update_is_batched_anew_and_no_other(
    tmp_path: Path, rules: tuple[int, ...], last: str, left: list[int]
) -> None:
    consensus, roles = judging(*rules)
    async with open_world(tmp_path, count=1, running=(0,), replaced=roles) as world:
        update = world.authors[0].update()
        events = await world.submit([whole(update)])
        assert stages(events, 1) == ["RECEIVED", "ATTESTED", last]
        assert consensus.rules == left
        if left:
            # The same bytes may come again, whatever the verdict was.
            assert stages(await world.submit([whole(update)]), 1)[-1] == "COMMITTED"


async def test_an_undecided_update_is_not_batched_anew_once_it_has_expired(tmp_path: Path) -> None:
    consensus, roles = judging(4, 1)
    async with open_world(tmp_path, count=1, running=(0,), replaced=roles) as world:
        update = world.authors[0].update(expires_height=1)
        events = await world.submit([whole(update)])
        assert stages(events, 1) == ["RECEIVED", "ATTESTED", "REPLAY_EXPIRED"]
        assert consensus.rules == [1]
