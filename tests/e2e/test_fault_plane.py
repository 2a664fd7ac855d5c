"""Faults in real processes, and what is left of them when whoever asked for them has died."""

import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.faults.network import FaultNetwork, running
from bench.faults.table import CHAOS, VICTIM
from seawall.api.v1 import fault_plane_pb2 as pb

LIMIT_SECONDS = 300
SECONDS_MAX = 90.0
LEASE_SECONDS = 3
NAME = f"site-{VICTIM}"
OTHERS = tuple(f"site-{site}" for site in range(VICTIM))
LINKS = pb.FaultLinks(peers=range(VICTIM), direction=pb.PARTITION_DIRECTION_BOTH)

RUNNER = f"""
import asyncio, sys
from pathlib import Path
from seawall.api.v1 import fault_plane_pb2 as pb, fault_plane_pb2_grpc
from seawall.client import Chain
from seawall.runtime.channels import peer_channel

async def main(genesis, keys, *faults):
    site = Chain.read(Path(genesis)).genesis.sites[{VICTIM}]
    pair = [(Path(keys) / name).read_bytes() for name in ("tls.key", "tls.crt")]
    async with peer_channel(site, *pair) as channel:
        stub = fault_plane_pb2_grpc.FaultPlaneServiceStub(channel)
        for fault in faults:
            spec = pb.FaultSpec.FromString(bytes.fromhex(fault))
            await stub.Apply(pb.ApplyRequest(fault=spec), wait_for_ready=True)
        print("applied", flush=True)
        await asyncio.sleep(3600)

asyncio.run(main(*sys.argv[1:]))
"""
"""A caller of the fault plane in a process of its own, which never reverts anything."""


async def apply(network: FaultNetwork, fault: pb.FaultSpec) -> None:
    """Apply a fault to the victim."""
    async with network.fault_plane(VICTIM) as plane:
        await plane.Apply(pb.ApplyRequest(fault=fault), wait_for_ready=True)


async def listed(network: FaultNetwork) -> pb.ListResponse:
    """Return what the victim's plane lists."""
    async with network.fault_plane(VICTIM) as plane:
        answer: pb.ListResponse = await plane.List(pb.ListRequest(), wait_for_ready=True)
        return answer


async def until_logged(network: FaultNetwork, name: str, event: str, more_than: int) -> None:
    """Wait until a site has logged an event more often than that."""
    await network.until(lambda _: network.logged(name, event) > more_than, SECONDS_MAX)


async def until_listed(network: FaultNetwork, holds: Callable[[pb.ListResponse], bool]) -> None:
    """Wait until something holds of what the victim's plane lists."""
    async with asyncio.timeout(SECONDS_MAX):
        while not holds(await listed(network)):
            await network.look()


@pytest.fixture
def settings() -> dict[str, tuple[str, ...]]:
    """Return the settings of the site that has faults."""
    return {NAME: CHAOS}


@pytest.mark.timeout(LIMIT_SECONDS)
async def test_a_killed_caller_leaves_no_fault_after_the_lease(
    tmp_path: Path, settings: dict[str, tuple[str, ...]]
) -> None:
    specs = [
        pb.FaultSpec(partition=pb.PartitionFault(peers=[0, 1], direction=LINKS.direction)),
        pb.FaultSpec(delay=pb.DelayFault(links=LINKS, add_us=50_000)),
        pb.FaultSpec(call=pb.CallFault(refuse=True, methods=["LedgerService"])),
        pb.FaultSpec(disk=pb.DiskFault(sync_add_us=20_000)),
        pb.FaultSpec(clock=pb.ClockFault(offset_us=60_000_000)),
        pb.FaultSpec(byzantine=pb.ByzantineFault(behaviour="withhold")),
    ]
    for number, spec in enumerate(specs):
        spec.id, spec.lease_seconds = f"{number}", LEASE_SECONDS
    async with running(tmp_path, settings=settings) as network:
        keys = network.directory.keys(NAME)
        caller = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            RUNNER,
            str(network.directory.genesis),
            str(keys),
            *(spec.SerializeToString().hex() for spec in specs),
            stdout=asyncio.subprocess.PIPE,
        )
        assert caller.stdout is not None
        async with asyncio.timeout(SECONDS_MAX):
            assert await caller.stdout.readline() == b"applied\n"
            caller.send_signal(signal.SIGKILL)
            await caller.wait()
        await until_logged(network, NAME, "fault_changed", 2 * len(specs) - 1)
        assert list((await listed(network)).faults) == []
        log = network.directory.log(NAME).read_text("utf-8")
        assert log.count('"reason":"lease"') == len(specs)
        await network.level(SECONDS_MAX)


@pytest.mark.timeout(LIMIT_SECONDS)
async def test_a_frozen_process_answers_nothing_and_thaws_by_itself(
    tmp_path: Path, settings: dict[str, tuple[str, ...]]
) -> None:
    freeze = pb.FaultSpec(id="f", lease_seconds=60, freeze=pb.FreezeFault(duration_us=12_000_000))
    async with running(tmp_path, settings=settings) as network:
        await apply(network, freeze)
        await network.until(lambda views: not views[VICTIM].up, SECONDS_MAX)
        await network.until(lambda views: views[VICTIM].up, SECONDS_MAX)
        await until_listed(network, lambda answer: not answer.faults)
        assert '"reason":"over"' in network.directory.log(NAME).read_text("utf-8")
        await network.level(SECONDS_MAX)
        # One process all along.
        assert network.supervisor.child(NAME).starts == 1


@pytest.mark.timeout(LIMIT_SECONDS)
async def test_a_full_disk_ends_the_process_and_the_next_one_goes_on(
    tmp_path: Path, settings: dict[str, tuple[str, ...]]
) -> None:
    async with running(tmp_path, settings=settings) as network:
        full = pb.FaultSpec(id="f", lease_seconds=60, disk=pb.DiskFault(full=True))
        starts = network.supervisor.child(NAME).starts
        await apply(network, full)
        async with asyncio.timeout(SECONDS_MAX):
            await network.supervisor.started(NAME, more_than=starts)
        log = network.directory.log(NAME).read_text("utf-8")
        assert '"code":"JOURNAL_FULL"' in log or '"code":"STORE_FULL"' in log
        await network.level(SECONDS_MAX)


@pytest.mark.timeout(LIMIT_SECONDS)
async def test_a_site_notices_what_a_lying_disk_has_lost(
    tmp_path: Path, settings: dict[str, tuple[str, ...]]
) -> None:
    async with running(tmp_path, settings=settings) as network:
        lost = network.logged(NAME, "disk_lost")
        lying = pb.FaultSpec(id="l", lease_seconds=300, disk=pb.DiskFault(lying=True))
        await apply(network, lying)
        await until_listed(network, lambda answer: sum(answer.strikes) > 20)
        network.supervisor.kill(NAME, hold=True)
        await network.supervisor.ended(NAME)
        network.supervisor.release(NAME)
        await until_logged(network, NAME, "disk_lost", lost)
        await network.level(SECONDS_MAX)


@pytest.mark.timeout(LIMIT_SECONDS)
async def test_a_site_that_is_told_to_equivocate_is_reported_by_all_others(
    tmp_path: Path, settings: dict[str, tuple[str, ...]]
) -> None:
    async with running(tmp_path, settings=settings, liar=VICTIM) as network:
        assert not [name for name in OTHERS if network.logged(name, "equivocation")]
        lie = pb.ByzantineFault(behaviour="equivocate", peers=[1])
        await apply(network, pb.FaultSpec(id="b", lease_seconds=300, byzantine=lie))
        for name in OTHERS:
            await until_logged(network, name, "equivocation", 0)
        (strikes,) = (await listed(network)).strikes
        assert strikes > 0
