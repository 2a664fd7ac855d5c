"""Several workers of one site: what one began another ends, and Redis may fail at any time."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc.aio
import pytest

from seawall.api.v1 import ingestion_pb2, types_pb2
from seawall.client.links import PASSING, PASSING_AREAS
from seawall.runtime.status import error_from
from tests.cases.authors import WIDE, Signed
from tests.cases.redis_server import RedisServer, needs_redis, redis_server
from tests.integration.ingestion.workers import (
    FIRST_KEY,
    WORKERS,
    entries_of,
    open_workers,
    outcome,
    worker_of,
)
from tests.integration.ingestion.world import World, missing, once, refusal_of, whole

pytestmark = [needs_redis, pytest.mark.timeout(600)]

KEYS = tuple(range(FIRST_KEY, FIRST_KEY + WORKERS))
FIRST, SECOND = KEYS
RECEIVED = types_pb2.UPDATE_STAGE_RECEIVED
COMMITTED = types_pb2.UPDATE_STAGE_COMMITTED
TRIES_MAX = 200


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis") as running:
        yield running


async def test_an_upload_goes_on_at_another_worker(tmp_path: Path, server: RedisServer) -> None:
    async with open_workers(tmp_path, server) as world:
        update = world.authors[0].update(WIDE)
        opened = await world.open(update, FIRST)
        assert missing(opened, update) == [0, 1, 2]
        chunks = list(enumerate(update.chunks))
        assert await world.send(opened.upload_id, chunks[:1], FIRST) == [(0, "")]
        assert await world.send(opened.upload_id, chunks[:2], SECOND) == [
            (0, "CHUNK_ORDER"),
            (1, ""),
        ]
        assert (await refusal_of(world.finish(opened.upload_id, FIRST))).code == "INCOMPLETE"
        again = await world.open(update, SECOND)
        assert again.upload_id == opened.upload_id
        assert missing(again, update) == [2]
        # What Redis loses is asked of the ledger again: no chunk is sent twice.
        server.ask("FLUSHALL")
        assert (await refusal_of(world.finish(opened.upload_id, SECOND))).code == "UPLOAD_UNKNOWN"
        resumed, sent = await world.upload(update, FIRST)
        assert sent == [2]
        assert (await world.finish(resumed, SECOND)).stage == RECEIVED
        *_, seen = await world.watch([update.update_id], FIRST)
        assert seen.stage == COMMITTED


async def test_workers_take_a_number_and_a_payload_once(
    tmp_path: Path, server: RedisServer
) -> None:
    async with open_workers(tmp_path, server) as world:
        owner = world.authors[0]
        first = owner.update(seq=9)
        same_seq, same_payload = owner.update(seq=9), owner.signed(first.payload)
        async with asyncio.TaskGroup() as group:
            # The same update at both is one update.
            both = [group.create_task(world.submit([whole(first)], key)) for key in KEYS]
        ends = [task.result()[-1] for task in both]
        assert [one.stage for one in ends] == [COMMITTED, COMMITTED]
        assert ends[0].entry_index == ends[1].entry_index
        for key in KEYS:
            for other, code in ((same_seq, "REPLAY_SEQ"), (same_payload, "REPLAY_PAYLOAD")):
                assert outcome(await world.submit([whole(other)], key)) == code
        assert [one["updateId"] for one in await entries_of(world, 0)] == [first.update_id.hex()]


async def test_one_port_is_served_by_all_workers(tmp_path: Path, server: RedisServer) -> None:
    async with open_workers(tmp_path, server, same_port=True) as world:
        # The kernel deals connections out: in 64 of them, each worker gets one.
        for _ in range(64):
            await commit_by_a_new_connection(world)
            if len(dict.fromkeys(map(worker_of, await entries_of(world, 0)))) == WORKERS:
                break
        else:
            raise AssertionError("one worker got everything")
        # One leaves; the port goes on.
        await world.stop(SECOND)
        for _ in range(3):
            await commit_by_a_new_connection(world)


async def commit_by_a_new_connection(world: World) -> None:
    """Dial anew, so that another worker may answer, and have an update committed."""
    await world.channel(FIRST).close()
    world.dial(FIRST, world.addresses[FIRST])
    update = world.authors[0].update()
    for _ in range(TRIES_MAX):
        try:
            assert outcome(await world.submit([whole(update)], FIRST)) == "COMMITTED"
        except grpc.aio.AioRpcError as failure:
            # A busy machine may not greet within the short time that a dialler waits.
            if error_from(failure).code != "RPC_UNAVAILABLE":
                raise
        else:
            return
    raise AssertionError("nobody answers at the port")


def passes(code: str) -> bool:
    return code in PASSING or code.startswith(PASSING_AREAS)


class Load:
    """Contributors that send each update until it is committed, here or at the other worker."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._stop = asyncio.Event()
        self.acknowledged: list[Signed] = []
        self.refused: Counter[str] = Counter()
        self.felt = asyncio.Event()

    def stop(self) -> None:
        """Let contributors end their last updates."""
        self._stop.set()

    async def contribute(self, index: int) -> None:
        """Send updates one after the other."""
        author, turn = self._world.authors[index], index
        while not self._stop.is_set():
            update = author.update()
            for _ in range(TRIES_MAX):
                turn += 1
                events = await self._world.submit([whole(update)], KEYS[turn % WORKERS])
                ended = outcome(events)
                if ended == "COMMITTED":
                    self.acknowledged.append(update)
                    break
                assert passes(ended), ended
                self.refused[ended] += 1
                self.felt.set()
                await asyncio.sleep(0.02)
            else:
                raise AssertionError("an update never got in")


async def both_at_once(world: World, rivals: list[Signed]) -> list[bool]:
    """Send one update to each worker at the same time; return whether each was received."""
    async with asyncio.TaskGroup() as group:
        sent = [
            group.create_task(is_received(world, one, key))
            for one, key in zip(rivals, KEYS, strict=True)
        ]
    return [task.result() for task in sent]


async def is_received(world: World, update: Signed, key: int) -> bool:
    """Send an update, and return whether it was received; what becomes of it the ledger says."""
    request = ingestion_pb2.IngestionServiceSubmitRequest(updates=[whole(update)])
    call = world.ingestion(key).Submit(once(request))
    async for response in call:
        for event in response.events:
            if event.stage == types_pb2.UPDATE_STAGE_REFUSED:
                return False
            if event.stage >= RECEIVED:
                call.cancel()
                return True
    return False


async def test_workers_that_agree_on_nothing_still_accept_a_number_once(
    tmp_path: Path, server: RedisServer
) -> None:
    async with open_workers(tmp_path, server, apart=True) as world:
        cheat, honest = world.authors[4], world.authors[0]
        pairs = []
        for seq in range(1, 5):
            pair = [cheat.update(seq=seq), cheat.update(seq=seq)]
            if all(await both_at_once(world, pair)):
                pairs.append(pair)
        assert pairs, "each worker took one of two updates under one number"
        update = honest.update()
        assert outcome(await world.submit([whole(update)], FIRST)) == "COMMITTED"
        # Each worker tells what became of its own, and one of two at least is refused.
        for pair in pairs:
            async with asyncio.timeout(120):
                ended = [
                    outcome(await world.watch([one.update_id], key))
                    for one, key in zip(pair, KEYS, strict=True)
                ]
            assert ended.count("COMMITTED") <= 1, ended
        specs = await entries_of(world, 0)
        numbers = Counter((one["contributor"], one["seq"]) for one in specs)
        assert max(numbers.values()) == 1


async def test_a_redis_that_is_emptied_and_killed_costs_nobody_anything(
    tmp_path: Path, server: RedisServer
) -> None:
    async with open_workers(tmp_path, server) as world:
        load = Load(world)
        cheat = world.authors[4]
        async with asyncio.TaskGroup() as group:
            for index in range(4):
                group.create_task(load.contribute(index))
            for seq in range(1, 7):
                pair = [cheat.update(seq=seq), cheat.update(seq=seq)]
                async with asyncio.TaskGroup() as losing:
                    emptying = losing.create_task(empty_often(server))
                    await both_at_once(world, pair)
                    emptying.cancel()
                if seq % 3 == 0:
                    await asyncio.to_thread(server.kill)
                    await until_refused(load)
                    await asyncio.to_thread(server.start)
            load.stop()
        wanted = [one.update_id for one in load.acknowledged]
        for site in range(4):
            async with asyncio.timeout(60):
                await world.watch(wanted[-1000:], site or FIRST)
            specs = await entries_of(world, site)
            numbers = Counter((one["contributor"], one["seq"]) for one in specs)
            assert max(numbers.values()) == 1, "no number is accepted twice"
            there = {bytes.fromhex(one["updateId"]) for one in specs}
            lost = [one.hex() for one in wanted if one not in there]
            assert lost == [], "what was acknowledged is there"
        assert load.refused, "Redis was away, and updates were refused for it"
        assert any(code.startswith("SHARED_") for code in load.refused)


async def empty_often(server: RedisServer) -> None:
    """Empty Redis as often as there is a turn."""
    while True:
        await asyncio.to_thread(server.ask, "FLUSHALL")


async def until_refused(load: Load) -> None:
    """Wait until contributors have felt that Redis is away."""
    async with asyncio.timeout(120):
        for _ in range(2):
            load.felt.clear()
            await load.felt.wait()
