"""What becomes of committed updates: part of a version, or left out for good."""

from pathlib import Path

from seawall.api.v1 import ledger_pb2, types_pb2
from seawall.domain.cut import CutPolicy
from seawall.domain.genesis import TensorSpec
from tests.cases.authors import make_task
from tests.integration.ingestion.world import open_world, role, stages, whole

AGGREGATED = types_pb2.UPDATE_STAGE_AGGREGATED
QUICK = make_task(
    "quick",
    TensorSpec(name="weight", shape=(16, 16)),
    cut=CutPolicy(interval_ms=400, k=2, k_min=1, staleness_max=4),
)


async def test_a_version_is_reported_now_and_after_a_restart(tmp_path: Path) -> None:
    aggregation = role("aggregation")
    async with open_world(tmp_path, tasks=(QUICK,), replaced={"aggregation": aggregation}) as world:
        for site in range(4):
            await world.seed(site, QUICK)
        # Of two updates of one contributor in one cut, the later one stands.
        early, late = world.authors[0].update(QUICK), world.authors[0].update(QUICK)
        other = world.authors[1].update(QUICK)
        updates = {1: early, 2: late, 3: other}
        call = world.watch_call([one.update_id for one in updates.values()], 2, AGGREGATED)
        events = await world.submit([whole(one, at) for at, one in updates.items()])
        assert all(
            stages(events, at)[:4] == ["RECEIVED", "ATTESTED", "FINAL", "COMMITTED"]
            for at in updates
        )
        news = [event async for response in call for event in response.events]
        found = {
            event.update_id: (event.version, event.refusal.code)
            for event in news
            if event.stage == AGGREGATED
        }
        assert len(found) == 3
        assert found[other.update_id][0] >= 1
        status = await world.ledger(2).LedgerStatus(ledger_pb2.LedgerStatusRequest())
        assert status.versions[0] >= 1
        await world.stop(2)
        await world.start(2)
        again = await world.watch([one.update_id for one in updates.values()], 2, AGGREGATED)
        assert {
            event.update_id: (event.version, event.refusal.code)
            for event in again
            if event.stage == AGGREGATED
        } == found
