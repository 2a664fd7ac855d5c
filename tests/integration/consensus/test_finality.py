"""FINAL statements on their way from a replica to the services of its site."""

import asyncio
from pathlib import Path

import grpc
import pytest

from seawall.api.v1 import consensus_pb2, consensus_pb2_grpc
from seawall.codec import RECORD_BYTES
from seawall.runtime.channels import client_channel
from seawall.runtime.service import CONSENSUS
from seawall.runtime.status import error_from
from tests.integration.consensus.cluster import Cluster, cluster
from tests.integration.sites import make_sites

Request = consensus_pb2.FollowFinalityRequest


def counted(group: Cluster, site: int, name: str, **labels: str) -> float:
    """Return a metric of a site."""
    value = group.running[site].running.context.registry.get_sample_value(name, labels)
    return value or 0.0


async def test_every_site_says_what_is_final(tmp_path: Path) -> None:
    async with cluster(make_sites(tmp_path)) as group:
        await group.start(0, 1, 2, 3)
        calls = [
            consensus_pb2_grpc.ConsensusServiceStub(
                group.running[site].running.context.channels.to(CONSENSUS)
            ).FollowFinality(Request())
            for site in range(4)
        ]
        told = [asyncio.ensure_future(call.read()) for call in calls]
        await asyncio.sleep(0)
        batch = group.batch(0, 1)
        wanted = [
            batch.records[at + 32 : at + 64] for at in range(0, len(batch.records), RECORD_BYTES)
        ]
        assert await group.submit(0, 1) == [""]
        for answer in await asyncio.gather(*told):
            assert isinstance(answer, consensus_pb2.FollowFinalityResponse)
            (statement,) = answer.statements
            assert list(statement.update_ids) == wanted
            assert statement.block_round > 0
        total = "seawall_consensus_fast_path_total"
        while counted(group, 0, total, outcome="accepted") < len(wanted):
            await group.until_commits(len(group.memories[0].commits) + 1, (0,))
        assert counted(group, 0, total, outcome="final") == len(wanted)
        assert counted(group, 0, total, outcome="rejected") == 0
        timed = "seawall_consensus_finality_seconds_count"
        protocol = group.sites.genesis.consensus.protocol
        assert [counted(group, site, timed, protocol=protocol) for site in range(4)] == [1, 0, 0, 0]
        for call in calls:
            call.cancel()


async def test_only_the_own_site_may_follow(tmp_path: Path) -> None:
    async with cluster(make_sites(tmp_path)) as group:
        await group.start(0)
        async with client_channel(group.sites.genesis.sites[0]) as channel:
            call = consensus_pb2_grpc.ConsensusServiceStub(channel).FollowFinality(Request())
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call.read()
        assert error_from(refused.value).code == "CALLER_NOT_ALLOWED"
