"""Whatever kills a site, an acknowledged update is in every ledger afterwards."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seawall.errors import OperationalError
from seawall.runtime.crash import EXIT_CODE, POINTS
from seawall.testbed.judging import Findings
from tests.e2e.local_network import (
    CONTRIBUTORS,
    LONG,
    LocalNetwork,
    choices,
    client_of,
    contributing,
    delta_of,
    findings,
    running,
)

SEED = 7
NEVER_SENT = "5e" * 32
RANDOM_KILLS = 200 if LONG else 20
SKIPS = (0, 2, 7) if LONG else (2,)
"""How often a point is passed before the process ends there."""

CRASH_SECONDS_MAX = 40.0
LIMIT_SECONDS = 3600 if LONG else 120
WITHOUT_QUORUM_SECONDS = 3.0


async def judge(network: LocalNetwork) -> None:
    """Check what must hold after whatever happened; an update that nobody sent must be missed."""
    assert network.acknowledged
    found = await findings(network, [*network.acknowledged, NEVER_SENT])
    assert [(name, update) for name, update, _ in found.lost] == [
        (name, NEVER_SENT) for name in network.names
    ]
    assert replace(found, lost=()) == Findings()


async def crash_at(network: LocalNetwork, site: str, points: list[tuple[str, int]]) -> list[str]:
    """Let a site end at each point in turn; return those at which it did not."""
    supervisor = network.supervisor
    supervisor.kill(site, hold=True)
    await supervisor.ended(site)
    missed = []
    for point, skip in points:
        starts = supervisor.child(site).starts
        supervisor.release(site, once=("--crash-at", f"{point}:{skip}"))
        await supervisor.started(site, more_than=starts)
        supervisor.hold(site)
        try:
            async with asyncio.timeout(CRASH_SECONDS_MAX):
                code = await supervisor.ended(site)
        except TimeoutError:
            supervisor.kill(site, hold=True)
            code = await supervisor.ended(site)
        if code != EXIT_CODE:
            missed.append(point)
    supervisor.release(site)
    return missed


@pytest.mark.timeout(LIMIT_SECONDS)
async def test_a_crash_at_each_named_point_loses_nothing(tmp_path: Path) -> None:
    armed = [(point, skip) for skip in SKIPS for point in POINTS]
    choices(SEED).shuffle(armed)
    async with running(tmp_path) as network:
        async with contributing(network, SEED):
            # All sites crash again and again at once: safety does not need a quorum.
            shares = [armed[at :: len(network.names)] for at in range(len(network.names))]
            pairs = zip(network.names, shares, strict=True)
            missed = await asyncio.gather(*(crash_at(network, *pair) for pair in pairs))
            await network.acknowledge(1)
        assert [point for points in missed for point in points] == []
        await judge(network)


@pytest.mark.timeout(LIMIT_SECONDS)
async def test_random_kills_lose_nothing(tmp_path: Path) -> None:
    random = choices(SEED)
    async with running(tmp_path) as network:
        async with contributing(network, SEED):
            for _ in range(RANDOM_KILLS):
                await network.acknowledge(random.randrange(3))
                site = random.choice(network.names)
                network.supervisor.kill(site, hold=True)
                assert await network.supervisor.ended(site) < 0
                network.supervisor.release(site)
            await network.acknowledge(1)
        await judge(network)


async def test_two_of_four_killed_stop_progress_without_a_fork(tmp_path: Path) -> None:
    async with running(tmp_path) as network:
        async with contributing(network, SEED):
            await network.acknowledge(4)
        for site in network.names[2:]:
            network.supervisor.kill(site, hold=True)
            await network.supervisor.ended(site)
        async with client_of(network, 0) as sdk:
            base = await sdk.pull()
            receipt = await sdk.push(delta_of(np.random.default_rng([SEED, CONTRIBUTORS])), base, 1)
            with pytest.raises(OperationalError) as refused:
                await receipt.wait("committed", WITHOUT_QUORUM_SECONDS)
            assert refused.value.code == "CLIENT_TIMEOUT"
            halted = [view.certified for view in await network.look()]
            for site in network.names[2:]:
                network.supervisor.release(site)
            await receipt.wait("committed", 60.0)
            network.acknowledged.append(receipt.update_id.hex())
        await network.level()
        assert max(view.certified for view in network.views) > max(halted)
        await judge(network)
