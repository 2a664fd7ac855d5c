"""Certified batches on their way into consensus, when consensus is not as it should be."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio

from seawall.api.v1 import consensus_pb2, consensus_pb2_grpc, ingestion_pb2, types_pb2
from seawall.config import RoleName, Settings
from seawall.errors import PeerError
from seawall.runtime.serve import Role
from seawall.runtime.service import CONSENSUS
from seawall.runtime.status import AnyContext, refusal
from tests.cases.authors import Signed
from tests.integration.ingestion.world import World, open_world, read, stages, whole

Submit = consensus_pb2.ConsensusServiceSubmitRequest
Submitted = consensus_pb2.ConsensusServiceSubmitResponse


class StubbornConsensus(consensus_pb2_grpc.ConsensusServiceServicer):
    """Takes batches in when it likes to, and commits none."""

    name = CONSENSUS

    def __init__(self) -> None:
        self.refusals: list[str] = []
        self.breaks = 0
        self.taken: list[int] = []
        self.changed = asyncio.Event()

    async def Submit(  # noqa: N802 - gRPC's name
        self, request_iterator: AsyncIterator[Submit], context: AnyContext
    ) -> AsyncIterator[Submitted]:
        """Take in, refuse, or break the stream."""
        async for request in request_iterator:
            answer = Submitted(number=request.number)
            if self.refusals:
                code = self.refusals.pop(0)
                answer.refusal.CopyFrom(refusal(PeerError(code, "not now")))
            elif self.breaks:
                self.breaks -= 1
                await context.abort(grpc.StatusCode.UNAVAILABLE, "restarting")
            else:
                self.taken += [batch.batch_number for batch in request.batches]
            yield answer
            self.changed.set()

    async def until_taken(self, count: int) -> None:
        """Wait until so many batches were taken in."""
        while len(self.taken) < count:
            self.changed.clear()
            await self.changed.wait()

    def register(self, server: grpc.aio.Server) -> None:
        """Serve."""
        consensus_pb2_grpc.add_ConsensusServiceServicer_to_server(self, server)

    async def run(self) -> None:
        """Do nothing until cancelled."""
        await asyncio.Event().wait()

    def ready(self) -> bool:
        """Say yes."""
        return True


def stubborn() -> tuple[StubbornConsensus, dict[RoleName, Role]]:
    """Return a consensus, and how to serve it in the place of the real one."""
    consensus = StubbornConsensus()  # type: ignore[abstract]  # Submit is enough here
    return consensus, {"consensus": Role(settings=Settings, build=lambda _, __: consensus)}


async def until_stage(world: World, update: Signed, last: str) -> list[str]:
    """Send one update and return its stages up to `last`."""
    call = world.ingestion().Submit()
    await call.write(ingestion_pb2.IngestionServiceSubmitRequest(updates=[whole(update)]))
    events: list[types_pb2.UpdateEvent] = []
    while last not in stages(events, 1):
        events.extend(await read(call))
    call.cancel()
    return stages(events, 1)


async def test_a_batch_waits_for_room_in_consensus(tmp_path: Path) -> None:
    consensus, roles = stubborn()
    consensus.refusals = ["QUOTA_CONSENSUS"] * 3
    async with open_world(tmp_path, count=1, running=(0,), replaced=roles) as world:
        update = world.authors[0].update()
        assert await until_stage(world, update, "ATTESTED") == ["RECEIVED", "ATTESTED"]
        await consensus.until_taken(1)
        assert consensus.taken == [1]


async def test_a_batch_that_consensus_refuses_is_refused(tmp_path: Path) -> None:
    consensus, roles = stubborn()
    consensus.refusals = ["BATCH_LIMIT"]
    async with open_world(tmp_path, count=1, running=(0,), replaced=roles) as world:
        update = world.authors[0].update()
        got = await until_stage(world, update, "BATCH_LIMIT")
        assert got == ["RECEIVED", "ATTESTED", "BATCH_LIMIT"]


async def test_a_consensus_that_never_has_room_ends_in_a_refusal(tmp_path: Path) -> None:
    consensus, roles = stubborn()
    consensus.refusals = ["QUOTA_CONSENSUS"] * 1000
    limits = {"batch_seconds_max": 0.5}
    async with open_world(
        tmp_path, count=1, running=(0,), replaced=roles, ingestion=limits
    ) as world:
        update = world.authors[0].update()
        assert (await until_stage(world, update, "BATCH_TIMEOUT"))[-1] == "BATCH_TIMEOUT"


async def test_what_consensus_may_have_forgotten_is_handed_in_again(tmp_path: Path) -> None:
    consensus, roles = stubborn()
    async with open_world(tmp_path, count=1, running=(0,), replaced=roles) as world:
        await until_stage(world, world.authors[0].update(), "ATTESTED")
        await consensus.until_taken(1)
        # The stream breaks at the next batch, which is handed in again at once; the first one
        # follows, because nobody has seen it committed.
        consensus.breaks = 1
        await until_stage(world, world.authors[1].update(), "ATTESTED")
        await consensus.until_taken(3)
        assert sorted(consensus.taken) == [1, 1, 2]
