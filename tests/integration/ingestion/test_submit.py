from pathlib import Path

from tests.integration.ingestion.world import open_world, stages


async def test_updates_are_committed_at_every_site(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        updates = [author.update() for author in world.authors[:5] for _ in range(4)]
        events = await world.submit([one.whole(at) for at, one in enumerate(updates, 1)])
        for number in range(1, len(updates) + 1):
            assert stages(events, number) == ["RECEIVED", "ATTESTED", "COMMITTED"]
        for site in range(4):
            seen = await world.watch([one.update_id for one in updates], site)
            assert len(seen) == len(updates)
