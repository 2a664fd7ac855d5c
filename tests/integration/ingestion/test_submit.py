"""Whole updates over Submit: what becomes of them, and of those that must not pass."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from seawall.api.v1 import ingestion_pb2, ingestion_pb2_grpc, ledger_pb2, types_pb2
from seawall.runtime.channels import client_channel
from tests.cases.authors import SMALL, Signed
from tests.cases.bad_input import all_cases
from tests.integration.ingestion.world import (
    World,
    once,
    open_world,
    read,
    refusal_of,
    stages,
    whole,
)

GOOD = ["RECEIVED", "ATTESTED", "FINAL", "COMMITTED"]
TRIES_MAX = 10
CASES = tuple(case for case in all_cases() if not case.name.startswith("manifest"))


async def collect(world: World, *requests: ingestion_pb2.IngestionServiceSubmitRequest) -> None:
    """Send messages and read until the stream ends."""
    async for _ in world.ingestion().Submit(once(*requests)):
        pass


def message(*updates: ingestion_pb2.WholeUpdate) -> ingestion_pb2.IngestionServiceSubmitRequest:
    """Return one message."""
    return ingestion_pb2.IngestionServiceSubmitRequest(updates=updates)


async def test_updates_are_committed_at_every_site(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        updates = [author.update() for author in world.authors[:5] for _ in range(4)]
        events = await world.submit([whole(one, at) for at, one in enumerate(updates, 1)])
        for number in range(1, len(updates) + 1):
            assert stages(events, number) == GOOD
        entries = {event.update_id: event.entry_index for event in events if event.entry_index}
        for site in range(4):
            seen = await world.watch([one.update_id for one in updates], site)
            assert {event.update_id: event.entry_index for event in seen} == entries


async def test_every_bad_update_gets_its_code_and_changes_nothing(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        author = world.authors[0]
        # A message of Submit has no manifest.
        cases = [case for case in CASES if case.name != "statements too long together"]
        sent = [whole(case.make(author), at) for at, case in enumerate(cases)]
        good = len(cases)
        events = await world.submit([*sent, whole(author.update(), good)])
        wrong = {}
        for at, case in enumerate(cases):
            refusal = next(event.refusal for event in events if event.number == at)
            if (
                refusal.code != case.code
                or case.field not in (None, refusal.field)
                or case.offset not in (None, refusal.offset_plus_one - 1)
                or not refusal.hint
            ):
                wrong[case.name] = (refusal.code, refusal.field, refusal.offset_plus_one)
        assert not wrong
        assert stages(events, good) == GOOD, "a refusal never ends the stream"
        assert await world.accepted() == 1


async def test_what_the_state_rules_refuse_changes_nothing(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        author, other = world.authors[0], world.authors[1]
        first = author.update()
        assert stages(await world.submit([whole(first)]), 1) == GOOD
        bad = {
            "REPLAY_SEQ": author.update(seq=1),
            "REPLAY_PAYLOAD": author.signed(first.payload),
            "REPLAY_BASE": author.update(base_digest=bytes(32)),
            "REPLAY_EXPIRED": author.update(expires_height=0),
            "REPLAY_EXPIRY_AHEAD": author.update(expires_height=(1 << 40)),
            "REPLAY_CHECKPOINT": author.update(checkpoint_size=1, checkpoint_root=bytes(32)),
        }
        far = author.update(seq=5000)
        events = await world.submit([whole(one, at) for at, one in enumerate((*bad.values(), far))])
        for at, code in enumerate((*bad, "REPLAY_SEQ")):
            assert stages(events, at) == [code]
        assert await world.accepted() == 1
        # Equal bytes of another contributor are legal.
        assert stages(await world.submit([whole(other.signed(first.payload))]), 1) == GOOD


async def test_a_contributor_may_have_seen_more_than_the_site(tmp_path: Path) -> None:
    async with open_world(tmp_path, running=(0, 1, 2)) as world:
        author, other = world.authors[0], world.authors[1]
        for _ in range(3):
            await world.submit([whole(other.update())])
        note = (await world.ledger().Checkpoint(ledger_pb2.CheckpointRequest())).note.split("\n")
        seen: dict[str, Any] = {
            "checkpoint_size": int(note[1]),
            "checkpoint_root": base64.b64decode(note[2]),
        }
        # A site that has just come back knows none of it, and catches up meanwhile.
        await world.start(3)
        events = await world.submit([whole(author.update(**seen))], 3)
        assert stages(events, 1)[-1] == "COMMITTED"


async def test_the_same_update_again_is_the_same_update(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        update = world.authors[0].update()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(world.submit([whole(update, 5)], site)) for site in (0, 0, 2)
            ]
        entries = set()
        for task in tasks:
            events = task.result()
            assert stages(events, 5)[-1] == "COMMITTED"
            entries.add(events[-1].entry_index)
        again = await world.submit([whole(update, 9)])
        assert stages(again, 9) == ["COMMITTED"]
        entries.add(again[-1].entry_index)
        # A site that was never asked finds it in its ledger.
        elsewhere = await world.submit([whole(update, 9)], 1)
        assert stages(elsewhere, 9)[-1] == "COMMITTED"
        entries.add(elsewhere[-1].entry_index)
        assert len(entries) == 1
        assert await world.accepted() == 1


async def test_one_of_two_updates_under_one_number_is_refused(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        author = world.authors[0]
        first, second = author.update(seq=1), author.update(seq=1)
        # At one site the second is refused before it costs anything.
        events = await world.submit([whole(first, 1), whole(second, 2)])
        assert stages(events, 1) == GOOD
        assert stages(events, 2) == ["REPLAY_SEQ"]
        # At two sites their votes decide: for one of them, or for neither.
        first, second = author.update(seq=2), author.update(seq=2)
        async with asyncio.TaskGroup() as group:
            one = group.create_task(world.submit([whole(first, 1)], 0))
            two = group.create_task(world.submit([whole(second, 1)], 3))
        last = sorted((stages(one.result(), 1)[-1], stages(two.result(), 1)[-1]))
        rival = ("REPLAY_EQUIVOCATION", "REPLAY_SEQ", "VERDICT_CONTESTED", "VERDICT_OUTVOTED")
        assert last[0] in ("COMMITTED", *rival)
        assert last[1] in rival
        assert await world.accepted() == 1 + last.count("COMMITTED")


async def test_a_message_without_updates_or_with_too_many_ends_the_stream(tmp_path: Path) -> None:
    async with open_world(tmp_path, ingestion={"message_updates_max": 3}) as world:
        author = world.authors[0]
        empty = await refusal_of(collect(world, message()))
        assert (empty.code, empty.field) == ("SUBMIT_EMPTY", "updates")
        four = message(*[whole(author.update(), at) for at in range(4)])
        many = await refusal_of(collect(world, four))
        assert (many.code, many.field) == ("TOO_LARGE", "updates")
        large = ingestion_pb2.WholeUpdate(envelope=b" " * (1 << 20), payload=bytes(70_000))
        assert (await refusal_of(collect(world, message(large)))).code == "TOO_LARGE"
        larger = ingestion_pb2.WholeUpdate(payload=bytes((1 << 20) + (300 << 10)))
        assert (await refusal_of(collect(world, message(larger)))).code == "RPC_TOO_LARGE"
        assert await world.accepted() == 0


async def test_nothing_compressed_is_unpacked(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        bomb = message(ingestion_pb2.WholeUpdate(payload=bytes(64 << 20)))
        channel = client_channel(
            world.sites.genesis.sites[0], options=[("grpc.max_send_message_length", -1)]
        )
        stub = ingestion_pb2_grpc.IngestionServiceStub(channel)
        call = stub.Submit(once(bomb), compression=grpc.Compression.Gzip)
        assert await call.code() is grpc.StatusCode.UNIMPLEMENTED
        await channel.close()
        assert stages(await world.submit([whole(world.authors[0].update())]), 1) == GOOD


async def test_streams_and_updates_in_flight_are_limited(tmp_path: Path) -> None:
    limits = {"streams_max": 1, "in_flight_contributor_max": 2, "flush_ms": 200.0}
    async with open_world(tmp_path, ingestion=limits) as world:
        author = world.authors[0]
        events = await world.submit([whole(author.update(), at) for at in range(3)])
        assert [stages(events, at)[-1] for at in range(3)] == [
            "COMMITTED",
            "COMMITTED",
            "QUOTA_CONTRIBUTOR",
        ]
        open_call = world.ingestion().Submit()
        await open_call.write(message(whole(author.update())))
        assert (await read(open_call))[0].stage == types_pb2.UPDATE_STAGE_RECEIVED
        assert (await refusal_of(collect(world, message()))).code == "QUOTA_STREAMS"
        assert (await refusal_of(world.send(b"", [(0, b"")]))).code == "QUOTA_STREAMS"
        assert (await refusal_of(world.watch([bytes(32)]))).code == "QUOTA_STREAMS"
        open_call.cancel()


async def test_a_full_site_holds_back_then_refuses(tmp_path: Path) -> None:
    limits = {"in_flight_max": 1, "patience_seconds": 0.05, "flush_ms": 0.0}
    async with open_world(tmp_path, running=(0,), ingestion=limits) as world:
        first, second = world.authors[0].update(), world.authors[1].update()
        call = world.ingestion().Submit()
        await call.write(message(whole(first, 1)))
        await call.write(message(whole(second, 2)))
        events: list[types_pb2.UpdateEvent] = []
        while not (stages(events, 1) and stages(events, 2)):
            events.extend(await read(call))
        assert stages(events, 1) == ["RECEIVED"]
        assert stages(events, 2) == ["QUOTA_IN_FLIGHT"]
        call.cancel()


async def test_an_idle_stream_ends(tmp_path: Path) -> None:
    async with open_world(tmp_path, running=(0,), ingestion={"stream_idle_seconds": 0.2}) as world:

        async def silence() -> AsyncIterator[ingestion_pb2.IngestionServiceSubmitRequest]:
            await asyncio.Event().wait()
            yield message()

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in world.ingestion().Submit(silence()):
                pass
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_updates_wait_for_sites_that_are_down_and_go_on(tmp_path: Path) -> None:
    async with open_world(tmp_path, running=(0, 1, 2)) as world:
        authors = world.authors
        assert stages(await world.submit([whole(authors[0].update())]), 1) == GOOD
        # Two of four: enough to attest, too few to commit.
        await world.stop(1)
        call = world.ingestion().Submit()
        await call.write(message(whole(authors[1].update(), 1), whole(authors[2].update(), 2)))
        await call.done_writing()
        events: list[types_pb2.UpdateEvent] = []
        while len(events) < 4:
            events.extend(await read(call))
        assert stages(events, 1) == ["RECEIVED", "ATTESTED"]
        await world.start(3)
        while more := await read(call):
            events.extend(more)
        assert stages(events, 1) == stages(events, 2) == GOOD


async def test_an_update_that_nobody_attests_is_refused_in_time(tmp_path: Path) -> None:
    limits = {"batch_seconds_max": 1.0, "hedge_seconds_max": 0.1}
    async with open_world(tmp_path, running=(0,), ingestion=limits) as world:
        update = world.authors[0].update()
        refused = ["RECEIVED", "BATCH_TIMEOUT"]
        assert stages(await world.submit([whole(update)]), 1) == refused
        await world.start(1, 2)
        # The second is short for sites that have just started: the answer says to send it again.
        found, tries = refused, 0
        while found == refused and tries < TRIES_MAX:
            found, tries = stages(await world.submit([whole(update)]), 1), tries + 1
        assert found == GOOD


async def test_a_payload_of_a_whole_chunk_is_pulled_by_attesters(tmp_path: Path) -> None:
    async with open_world(tmp_path, ingestion={"flush_bytes": 1}) as world:
        # Nothing travels inline when the statements are long: blanks are legal in an envelope.
        author = world.authors[0]
        update = author.update()
        padded = Signed(envelope=update.envelope.ljust(65_000), payload=update.payload)
        assert len(update.payload) == SMALL.payload_size_bytes
        assert stages(await world.submit([whole(padded)]), 1) == GOOD
