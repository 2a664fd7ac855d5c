"""Faults on the links, the disk, the clock and the tongue of one of four replicas.

Three others are a quorum, so the order goes on whatever happens to one; and when the fault is over
the one that had it has the same order.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from seawall.api.v1 import fault_plane_pb2 as pb
from seawall.api.v1 import fault_plane_pb2_grpc
from seawall.runtime.channels import peer_channel
from tests.integration.chaos.test_fault_plane import pair
from tests.integration.consensus.cluster import Cluster, cluster
from tests.integration.sites import TestSites, make_sites

VICTIM = 3
MORE = 8
"""Commits that everybody makes under each fault, and after it."""

LINKS = pb.FaultLinks(peers=[0, 1, 2], direction=pb.PARTITION_DIRECTION_BOTH)
DISK = pb.DiskFault(sync_add_us=2_000, sync_sigma=0.5)

FAULTS = (
    pb.FaultSpec(delay=pb.DelayFault(links=LINKS, add_us=5_000, jitter_us=5_000)),
    pb.FaultSpec(loss=pb.LossFault(links=LINKS, share=0.05)),
    pb.FaultSpec(gray=pb.GrayFault(links=LINKS, add_us=5_000, jitter_us=5_000, loss=0.02)),
    pb.FaultSpec(duplicate=pb.DuplicateFault(links=LINKS, share=0.5)),
    pb.FaultSpec(bandwidth=pb.BandwidthFault(links=LINKS, kbit_per_second=2_000)),
    pb.FaultSpec(slow=pb.SlowFault(links=LINKS, pause_us=2_000)),
    pb.FaultSpec(corrupt=pb.CorruptFault(links=LINKS, share=0.05)),
    pb.FaultSpec(reset=pb.ResetFault(links=LINKS, interval_us=500_000)),
    pb.FaultSpec(disk=DISK),
    pb.FaultSpec(clock=pb.ClockFault(offset_us=-100_000_000, drift_ppm=1_000)),
    pb.FaultSpec(disk=pb.DiskFault(lying=True)),
    pb.FaultSpec(byzantine=pb.ByzantineFault(behaviour="delay", rounds=2)),
)


@pytest.fixture
def sites(tmp_path: Path) -> TestSites:
    """Make a chain of four sites."""
    return make_sites(tmp_path)


@asynccontextmanager
async def plane(sites: TestSites) -> AsyncIterator[Any]:
    """Have a stub of the victim's fault plane."""
    async with peer_channel(sites.genesis.sites[VICTIM], *pair(sites, VICTIM)) as channel:
        await channel.channel_ready()
        yield fault_plane_pb2_grpc.FaultPlaneServiceStub(channel)


async def more(group: Cluster, sites: tuple[int, ...] = (0, 1, 2, 3)) -> None:
    """Wait until these sites have made some more commits."""
    most = max(len(memory.commits) for memory in group.memories)
    await group.until_commits(most + MORE, sites)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("frames", [True, False], ids=["frames", "grpc"])
async def test_the_order_goes_on_under_every_fault_and_each_strikes(
    sites: TestSites, *, frames: bool
) -> None:
    consensus = {"frame_address": "127.0.0.1:0"} if frames else {}
    async with cluster(sites, 280) as group:
        await group.start(0, 1, 2, 3, chaos={"enabled": True}, consensus=consensus)
        await more(group)
        async with plane(sites) as stub:
            for number, fault in enumerate(FAULTS):
                fault.id, fault.lease_seconds = f"{number}", 300
                await stub.Apply(pb.ApplyRequest(fault=fault))
                strikes = 0
                while not strikes:
                    await more(group, (0, 1, 2))
                    (strikes,) = (await stub.List(pb.ListRequest())).strikes
                await stub.Revert(pb.RevertRequest(id=fault.id))
                await more(group)
        assert group.agree()


@pytest.mark.timeout(120)
async def test_a_site_behind_all_kinds_of_links_at_once_catches_up(sites: TestSites) -> None:
    async with cluster(sites, 100) as group:
        await group.start(0, 1, 2, 3, chaos={"enabled": True})
        await more(group)
        async with plane(sites) as stub:
            for number, fault in enumerate(FAULTS[:6]):
                fault.id, fault.lease_seconds = f"{number}", 300
                await stub.Apply(pb.ApplyRequest(fault=fault))
            await more(group, (0, 1, 2))
            strikes = (await stub.List(pb.ListRequest())).strikes
            for fault in FAULTS[:6]:
                await stub.Revert(pb.RevertRequest(id=fault.id))
        assert any(strikes)
        await more(group)
        assert group.agree()
