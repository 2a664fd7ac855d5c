"""No receipt reaches the caller that does not hold."""

import asyncio

import numpy as np
import pytest

from seawall.client import AsyncClient, Limits, Prepared
from seawall.errors import OperationalError, PeerError
from seawall.formats.receipt import verify_receipt
from tests.unit.client.town import Town
from tests.unit.client.town_log import ADA, CHAIN, GENESIS_BYTES, SMALL

FAST = Limits(rpc_seconds=0.5, backoff_seconds_max=0.2)


def client(town: Town) -> AsyncClient:
    return AsyncClient(task=SMALL, genesis=CHAIN, key=ADA, open_channel=town.dial, limits=FAST)


async def two_updates(ours: AsyncClient, town: Town) -> tuple[Prepared, Prepared]:
    base = await ours.pull()
    first = await ours.prepare(np.ones(8, dtype=np.int32), base, 1)
    second = await ours.prepare(np.full(8, 2, dtype=np.int32), base, 1)
    for one in (first, second):
        town.log.accept(one.envelope)
    return first, second


async def test_a_receipt_of_another_update_is_refused_and_the_next_site_asked() -> None:
    async with Town() as town, client(town) as ours:
        first, second = await two_updates(ours, town)
        other = town.log.receipt(second.update_id)
        town.sites[0].manner.alter_receipt = lambda _: other
        document = await ours.receipt_of(first, timeout_seconds=5)
        assert verify_receipt(document, GENESIS_BYTES, first.payload).index == 0
        for site in town.sites:
            site.manner.alter_receipt = lambda _: other
        with pytest.raises(PeerError, match="RECEIPT_"):
            await ours.receipt_of(first, timeout_seconds=5)


async def test_a_damaged_receipt_is_refused() -> None:
    async with Town() as town, client(town) as ours:
        first, _ = await two_updates(ours, town)
        for site in town.sites:
            site.manner.alter_receipt = lambda data: data.replace(b'seq\\":1', b'seq\\":3')
        with pytest.raises(PeerError, match="RECEIPT_"):
            await ours.receipt_of(first, timeout_seconds=5)


async def test_a_receipt_is_waited_for() -> None:
    async with Town() as town, client(town) as ours:
        base = await ours.pull()
        prepared = await ours.prepare(np.ones(8, dtype=np.int32), base, 1)
        with pytest.raises(OperationalError, match="CLIENT_TIMEOUT"):
            await ours.receipt_of(prepared, timeout_seconds=0.3)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(ours.receipt_of(prepared, timeout_seconds=10))
            await asyncio.sleep(0.05)
            town.log.accept(prepared.envelope)
        verify_receipt(waiting.result(), GENESIS_BYTES, prepared.payload)
