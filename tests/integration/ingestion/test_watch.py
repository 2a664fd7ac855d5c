"""News of updates, also of those that this process has never seen."""

from pathlib import Path

from seawall.api.v1 import types_pb2
from tests.integration.ingestion.world import open_world, refusal_of, stages, whole


async def test_news_come_from_memory_and_from_the_ledger(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        author = world.authors[0]
        update = author.update()
        assert stages(await world.submit([whole(update)]), 1)[-1] == "COMMITTED"
        (first,) = await world.watch([update.update_id, update.update_id])
        await world.stop(0)
        await world.start(0)
        (second,) = await world.watch([update.update_id])
        assert first == second
        again = await world.submit([whole(update)])
        assert stages(again, 1) == ["COMMITTED"]
        assert again[0].entry_index == first.entry_index
        assert await world.accepted() == 1


async def test_an_update_may_be_watched_before_it_is_sent(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        update = world.authors[0].update()
        request = [update.update_id]
        early = world.watch_call(request, 0)
        elsewhere = world.watch_call(request, 3)
        await world.submit([whole(update)])
        events = [event async for response in early for event in response.events]
        assert [event.stage for event in events][-1] == types_pb2.UPDATE_STAGE_COMMITTED
        foreign = [event async for response in elsewhere for event in response.events]
        # Each site says FINAL for itself; the others never saw the update before a block had it.
        assert stages(foreign, 0) == ["FINAL", "COMMITTED"]
        assert foreign[-1].entry_index == events[-1].entry_index


async def test_too_many_or_malformed_ids_are_refused(tmp_path: Path) -> None:
    async with open_world(tmp_path, running=(0,)) as world:
        many = [at.to_bytes(32, "big") for at in range(1025)]
        refused = await refusal_of(world.watch(many))
        assert (refused.code, refused.field) == ("WATCH_COUNT", "update_ids")
        assert (await refusal_of(world.watch([b"short"]))).code == "RPC_DIGEST"
        assert await world.watch([]) == []


async def test_a_stage_of_a_later_version_is_the_last_that_is_known(tmp_path: Path) -> None:
    async with open_world(tmp_path, running=(0,)) as world:
        call = world.watch_call([], 0, types_pb2.UpdateStage.ValueType(99))
        assert [response async for response in call] == []
