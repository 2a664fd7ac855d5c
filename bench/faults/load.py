"""Load that does not wait for the sites: updates on a fixed schedule, from clients that keep going.

What counts as acknowledged is what a client was told: COMMITTED.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

import numpy as np

from bench.faults.network import COLUMNS, CONTRIBUTORS, FaultNetwork
from seawall.client import AsyncClient, Limits
from seawall.client.aio import AsyncReceipt
from seawall.client.values import Base
from seawall.errors import OperationalError, PeerError
from seawall.testbed.genesis_maker import contributor_name
from seawall.testbed.tasks import WIDE

PATIENCE = Limits(rpc_seconds=2.0, received_seconds=2.0, committed_seconds=4.0)
BASE_SECONDS = 20.0
"""A contributor trains from the newest version it could get, and looks for one this often."""

DRAIN_SECONDS_MAX = 60.0


@dataclass(slots=True)
class OpenLoad:
    """What was sent and what became of it; times are those of the monotonic clock.

    Attributes:
        acknowledged: when each update was acknowledged, by its identity in hex.
        took: seconds from when an update was due to its acknowledgement, in the same order.
        refused: codes of refusals; there should be none.
        sent: updates that were sent.
        followers: one task for each update without an answer.
        news: set at every answer.

    """

    acknowledged: dict[str, float] = field(default_factory=dict)
    took: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    sent: int = 0
    followers: dict[asyncio.Task[None], None] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def unanswered(self) -> int:
        """Return how many updates have no answer."""
        return self.sent - len(self.acknowledged) - len(self.refused)

    async def until(self, holds: Callable[["OpenLoad"], bool], seconds: float) -> None:
        """Wait until something holds.

        Raises:
            TimeoutError: it does not.

        """
        async with asyncio.timeout(seconds):
            while not holds(self):
                self.news.clear()
                await self.news.wait()

    def rate(self, start: float, end: float) -> float:
        """Return the updates acknowledged per second between two moments."""
        inside = sum(start <= at < end for at in self.acknowledged.values())
        return inside / (end - start) if end > start else 0.0


@asynccontextmanager
async def loading(network: FaultNetwork, rate: float, seed: int) -> AsyncIterator[OpenLoad]:
    """Send `rate` updates a second until the end of the block, then wait for their answers."""
    load = OpenLoad()
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(_client(network, index))
            for index in range(CONTRIBUTORS)
        ]
        group = await stack.enter_async_context(asyncio.TaskGroup())
        senders = [
            group.create_task(_send(sdk, load, stop, index, rate / CONTRIBUTORS, seed, group))
            for index, sdk in enumerate(clients)
        ]
        try:
            yield load
        finally:
            stop.set()
            await asyncio.wait(senders)
            with suppress(TimeoutError):
                await load.until(lambda one: not one.unanswered, DRAIN_SECONDS_MAX)
            for follower in tuple(load.followers):
                follower.cancel()


def _client(network: FaultNetwork, index: int) -> AsyncClient:
    return AsyncClient(
        [network.names[index % len(network.names)]],
        task=WIDE,
        genesis=network.chain,
        key=network.directory.contributor_key(contributor_name(index)),
        limits=PATIENCE,
    )


async def _send(
    sdk: AsyncClient,
    load: OpenLoad,
    stop: asyncio.Event,
    index: int,
    rate: float,
    seed: int,
    group: asyncio.TaskGroup,
) -> None:
    """Send one contributor's updates at their times."""
    generator = np.random.default_rng([seed, index])
    base = await sdk.pull()
    pulled = start = time.monotonic()
    number = 0
    while not stop.is_set():
        due = start + (number + index / CONTRIBUTORS) / rate
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, due - time.monotonic())):
                await stop.wait()
        if stop.is_set():
            return
        if time.monotonic() - pulled > BASE_SECONDS:
            pulled, base = time.monotonic(), await _newer(sdk, base)
        delta = generator.integers(1, 1000, COLUMNS).astype(np.int32)
        receipt = await sdk.push(delta, base, 1)
        load.sent += 1
        number += 1
        follower = group.create_task(_follow(receipt, load, due))
        load.followers[follower] = None
        follower.add_done_callback(load.followers.pop)


async def _newer(sdk: AsyncClient, base: Base) -> Base:
    """Return the newest version, or the one at hand when no site has one to give."""
    with suppress(OperationalError, PeerError):
        return await sdk.pull()
    return base


async def _follow(receipt: AsyncReceipt, load: OpenLoad, due: float) -> None:
    """Note what becomes of an update."""
    try:
        await receipt.wait("committed")
    except PeerError as refused:
        load.refused.append(refused.code)
    else:
        now = time.monotonic()
        load.acknowledged[receipt.update_id.hex()] = now
        load.took.append(now - due)
    load.news.set()
