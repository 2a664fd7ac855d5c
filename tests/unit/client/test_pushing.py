"""An update reaches the log whatever single sites do, and its bytes never change on the way."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256

import numpy as np
import pytest

from seawall.client import AsyncClient, AsyncReceipt, Limits, Prepared, Stage
from seawall.errors import LocalError, OperationalError, PeerError
from seawall.formats.receipt import verify_receipt
from tests.unit.client.town import Town
from tests.unit.client.town_log import ADA, CHAIN, GENESIS_BYTES, LARGE, SMALL

FAST = Limits(
    rpc_seconds=0.5, received_seconds=0.25, committed_seconds=0.25, backoff_seconds_max=0.2
)


def client(town: Town, task: str = SMALL, **members: object) -> AsyncClient:
    arguments = {
        "genesis": CHAIN,
        "key": ADA,
        "open_channel": town.dial,
        "limits": FAST,
        **members,
    }
    return AsyncClient(task=task, **arguments)  # type: ignore[arg-type]  # varied by tests


async def push(ours: AsyncClient, value: int = 1) -> AsyncReceipt:
    base = await ours.pull()
    delta = np.full(len(base.ints), value, dtype=np.int32)
    return await ours.push(delta, base, num_examples=10, metrics={"loss": 5})


def seen(town: Town) -> list[int]:
    return [len(site.seen) for site in town.sites]


@pytest.mark.parametrize("task", [SMALL, LARGE])
async def test_an_update_is_committed_and_its_receipt_proves_it(task: str) -> None:
    async with Town() as town, client(town, task) as ours:
        if task == LARGE:
            town.sites[0].manner.stages = (1, 4)
        receipt = await push(ours)
        event = await receipt.wait("committed", 5)
        assert (event.stage, event.site, event.entry_index) == (Stage.COMMITTED, 0, 0)
        assert (await receipt.wait("received", 5)).stage is Stage.COMMITTED
        document = await receipt.document(timeout_seconds=5)
    proven = verify_receipt(document, GENESIS_BYTES, receipt.prepared.payload)
    assert proven.submission is not None
    assert proven.submission.metrics == (("loss", 5),)
    assert bytes.fromhex(proven.update.update_id) == receipt.update_id
    assert seen(town) == [1, 0, 0, 0] if task == SMALL else seen(town)[0] >= 1


async def test_a_silent_site_loses_the_update_to_the_next_with_the_same_bytes() -> None:
    async with Town() as town, client(town) as ours:
        base = await ours.pull()
        town.sites[0].manner.silent = True
        receipt = await ours.push(np.ones(8, dtype=np.int32), base, 10)
        event = await receipt.wait("committed", 5)
        assert event.site == 1
    assert town.sites[0].seen == town.sites[1].seen == [receipt.prepared.envelope]


@pytest.mark.parametrize("fault", [OperationalError("STORE_FULL", "no"), PeerError("X_Y", "no")])
async def test_a_broken_stream_moves_the_update_at_once(
    fault: OperationalError | PeerError,
) -> None:
    async with Town() as town, client(town) as ours:
        base = await ours.pull()
        town.sites[0].manner.end = fault
        receipt = await ours.push(np.ones(8, dtype=np.int32), base, 10)
        assert (await receipt.wait("committed", 5)).site == 1
    assert seen(town) == [1, 1, 0, 0]


async def test_an_update_that_is_received_and_no_more_goes_to_one_more_site() -> None:
    async with Town() as town, client(town) as ours:
        base = await ours.pull()
        town.sites[0].manner.stages = (1,)
        receipt = await ours.push(np.ones(8, dtype=np.int32), base, 10)
        assert (await receipt.wait("received", 5)).site == 0
        assert (await receipt.wait("committed", 5)).site == 1


async def test_the_only_site_is_tried_again() -> None:
    async with Town() as town, client(town, sites="site-2", others=False) as ours:
        base = await ours.pull()
        town.sites[2].manner.end = OperationalError("STORE_FULL", "no")
        receipt = await ours.push(np.ones(8, dtype=np.int32), base, 10)
        with pytest.raises(OperationalError, match=r"CLIENT_TIMEOUT.*sent.*STORE_FULL"):
            await receipt.wait("received", 0.6)
        town.sites[2].manner.end = None
        assert (await receipt.wait("committed", 5)).site == 2
    assert len(town.sites[2].seen) > 1


async def test_a_refusal_is_raised_with_its_code() -> None:
    async with Town() as town, client(town) as ours:
        base = await ours.pull()
        for site in town.sites:
            site.manner.refuse = PeerError("VAL_RANGE", "smaller", field="payload", offset=9)
        receipt = await ours.push(np.ones(8, dtype=np.int32), base, 10)
        with pytest.raises(PeerError, match="VAL_RANGE in payload at byte 9"):
            await receipt.wait("committed", 5)
        assert receipt.event.stage is Stage.REFUSED
    assert seen(town) == [1, 0, 0, 0]


async def test_a_full_site_is_asked_again_later() -> None:
    async with Town() as town, client(town, sites="site-0", others=False) as ours:
        base = await ours.pull()
        town.sites[0].manner.refuse = PeerError("QUOTA_IN_FLIGHT", "later")
        town.sites[0].manner.refuse_times = 2
        receipt = await ours.push(np.ones(8, dtype=np.int32), base, 10)
        await receipt.wait("committed", 5)
    assert seen(town)[0] == 3


async def test_a_site_that_is_behind_is_not_believed_alone() -> None:
    async with Town() as town, client(town) as ours:
        base = await ours.pull()
        town.sites[0].manner.refuse = PeerError("REPLAY_BASE", "unknown")
        receipt = await ours.push(np.ones(8, dtype=np.int32), base, 10)
        assert (await receipt.wait("committed", 5)).site == 1
        town.sites[1].manner.refuse = PeerError("REPLAY_BASE", "unknown")
        receipt = await ours.push(np.full(8, 2, dtype=np.int32), base, 10)
        with pytest.raises(PeerError, match="REPLAY_BASE"):
            await receipt.wait("committed", 5)


async def test_the_echo_of_an_own_success_is_no_refusal() -> None:
    async with Town() as town, client(town) as ours:
        base = await ours.pull()
        prepared = await ours.prepare(np.ones(8, dtype=np.int32), base, 10)
        other = await ours.prepare(np.full(8, 2, dtype=np.int32), base, 10)
        town.log.accept(prepared.envelope)
        town.sites[0].manner.refuse = PeerError("REPLAY_SEQ", "used")
        receipt = await ours.submit(prepared)
        assert (await receipt.wait("committed", 5)).stage is Stage.COMMITTED
        with pytest.raises(PeerError, match="REPLAY_SEQ"):
            await (await ours.submit(other)).wait("committed", 5)


async def test_one_update_sent_twice_is_one_update() -> None:
    async with Town() as town, client(town) as ours:
        base = await ours.pull()
        town.sites[0].manner.stages = ()
        prepared = await ours.prepare(np.ones(8, dtype=np.int32), base, 10)
        again = Prepared.load(prepared.dump())
        first, second = await ours.submit(prepared), await ours.submit(again)
        assert (await second.wait("committed", 5)) == (await first.wait("committed", 5))
    assert seen(town) == [1, 1, 0, 0]
    with pytest.raises(LocalError, match="CLIENT_PREPARED"):
        Prepared.load(b"nonsense")


async def test_aggregation_is_told_by_the_stream() -> None:
    async with Town() as town, client(town) as ours:
        town.sites[0].manner.stages = (1, 2, 4, 5)
        event = await (await push(ours)).wait("aggregated", 5)
        assert (event.stage, event.version) == (Stage.AGGREGATED, 7)


async def test_aggregation_is_watched_when_the_stream_is_gone() -> None:
    async with Town() as town, client(town, LARGE, sites="site-0", others=False) as ours:
        site = town.sites[0]
        site.manner.aggregate = asyncio.Event()
        site.manner.aggregate.set()
        receipt = await push(ours)
        await receipt.wait("committed", 5)
        assert (await receipt.wait("aggregated", 5)).version == 9
        assert site.calls.count("Watch") == 2


async def test_a_damaged_chunk_alone_is_sent_again() -> None:
    async with Town() as town, client(town, LARGE) as ours:
        town.sites[0].manner.tamper = {1: 2}
        receipt = await push(ours)
        await receipt.wait("committed", 5)
        assert receipt.chunks_again == (1, 1)
        held = town.sites[0].chunks[next(iter(town.sites[0].chunks))]
        assert b"".join(held[at] for at in sorted(held)) == receipt.prepared.payload


async def test_a_chunk_that_is_always_damaged_ends_the_upload() -> None:
    async with Town() as town, client(town, LARGE) as ours:
        town.sites[0].manner.tamper = {2: 9}
        with pytest.raises(PeerError, match="CHUNK_HASH"):
            await (await push(ours)).wait("committed", 5)


async def test_an_upload_is_resumed_where_it_stopped() -> None:
    async with Town() as town, client(town, LARGE, sites="site-0", others=False) as ours:
        site = town.sites[0]
        base = await ours.pull()
        prepared = await ours.prepare(np.ones(len(base.ints), dtype=np.int32), base, 10)
        payload = prepared.payload
        name = sha256(payload).digest()
        site.chunks[name] = {0: payload[: 1 << 20], 1: payload[1 << 20 : 2 << 20]}
        receipt = await ours.submit(prepared)
        await receipt.wait("committed", 5)
        assert site.calls.count("Upload") == 1
        assert len(site.chunks[name]) == 3


async def test_a_site_that_loses_chunks_is_left_for_another() -> None:
    async with Town() as town, client(town, LARGE) as ours:
        town.sites[0].manner.lose = [0]
        receipt = await push(ours)
        assert (await receipt.wait("committed", 5)).site == 1
    assert town.sites[0].calls.count("Open") == 3


async def test_an_upload_to_a_silent_site_moves_on() -> None:
    async with Town() as town, client(town, LARGE) as ours:
        base = await ours.pull()
        town.sites[0].manner.silent = True
        receipt = await ours.push(np.ones(len(base.ints), dtype=np.int32), base, 10)
        assert (await receipt.wait("committed", 5)).site == 1


async def test_a_large_update_that_is_received_and_no_more_goes_to_one_more_site() -> None:
    async with Town() as town, client(town, LARGE) as ours:
        town.sites[0].manner.stages = (1,)
        receipt = await push(ours)
        assert (await receipt.wait("received", 5)).site == 0
        assert (await receipt.wait("committed", 5)).site == 1


async def test_many_updates_are_sent_in_few_messages() -> None:
    async with Town() as town, client(town) as ours:
        base = await ours.pull()
        updates = [
            await ours.prepare(np.full(8, at + 1, dtype=np.int32), base, 1) for at in range(50)
        ]
        events = [
            event async for some in ours.submit_many(updates, in_flight_max=10) for event in some
        ]
    committed = [event.update_id for event in events if event.stage is Stage.COMMITTED]
    assert sorted(committed) == sorted(one.update_id for one in updates)
    assert len(events) == 150


@pytest.mark.parametrize(("until", "count"), [("final", 3), ("committed", 4)])
async def test_many_hear_final_once_from_the_site_that_has_them(until: str, count: int) -> None:
    async with Town() as town, client(town) as ours:
        for site in town.sites:
            site.manner.stages = (1, 2, 3, 4)
        base = await ours.pull()
        prepared = await ours.prepare(np.ones(8, dtype=np.int32), base, 1)
        events = [
            event async for some in ours.submit_many([prepared], until=until) for event in some
        ]
        assert [event.stage for event in events] == [Stage(at) for at in range(1, count + 1)]


async def test_many_report_refusals_and_go_on() -> None:
    async with Town() as town, client(town, key=None) as ours, client(town) as signer:
        base = await ours.pull()

        async def updates() -> AsyncIterator[Prepared]:
            for at in range(6):
                if at == 3:
                    town.sites[0].manner.refuse = PeerError("VAL_ZERO", "change something")
                yield await signer.prepare(np.full(8, at + 1, dtype=np.int32), base, 1)

        stages = [
            event.stage
            async for some in ours.submit_many(updates(), until="received", in_flight_max=1)
            for event in some
        ]
    assert stages == [Stage.RECEIVED] * 3 + [Stage.REFUSED] * 3


async def test_what_the_callers_iterable_raises_reaches_the_caller() -> None:
    async with Town() as town, client(town) as ours:
        base = await ours.pull()

        async def updates() -> AsyncIterator[Prepared]:
            yield await ours.prepare(np.ones(8, dtype=np.int32), base, 1)
            raise ValueError("enough")

        with pytest.raises(ValueError, match="enough"):
            async for _ in ours.submit_many(updates()):
                pass
        with pytest.raises(LocalError, match="CLIENT_STAGE"):
            async for _ in ours.submit_many([], until="aggregated"):
                pass


async def test_push_waits_while_too_much_is_on_its_way() -> None:
    limits = Limits(in_flight_max=1, received_seconds=60, committed_seconds=60)
    async with Town() as town, client(town, limits=limits) as ours:
        base = await ours.pull()
        town.sites[0].manner.stages = (1,)
        first = await ours.push(np.ones(8, dtype=np.int32), base, 1)
        await first.wait("received", 5)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await ours.push(np.full(8, 2, dtype=np.int32), base, 1)


async def test_misuse_is_refused() -> None:
    async with Town() as town:
        async with client(town, key=None) as ours:
            base = await ours.pull()
            with pytest.raises(LocalError, match="CLIENT_KEY"):
                await ours.push(np.ones(8), base, 1)
        with pytest.raises(LocalError, match="CLIENT_CLOSED"):
            await ours.submit_many([]).__anext__()
        async with client(town) as ours:
            receipt = await push(ours)
            with pytest.raises(LocalError, match="CLIENT_STAGE"):
                await receipt.wait("done")
        with pytest.raises(LocalError, match="CLIENT_CLOSED"):
            await receipt.wait("committed")
    with pytest.raises(LocalError, match="CLIENT_LIMIT"):
        Limits(rpc_seconds=0)


FINAL_ONLY = (1, 2, 3)


async def test_final_takes_the_word_of_sites_of_validity_stake() -> None:
    async with Town() as town, client(town) as ours:
        for site in town.sites:
            site.manner.stages = FINAL_ONLY
        town.sites[3].manner.silent = True
        receipt = await push(ours)
        # Only the site that has it says so; then a second one does, which had it from a block.
        waiting = asyncio.ensure_future(receipt.wait("final", 30))
        await town.sites[1].until_called("Watch", 2)
        assert receipt.event.stage is Stage.ATTESTED
        town.sites[1].seen.append(receipt.prepared.envelope)
        event = await waiting
        assert (event.stage, event.site) == (Stage.FINAL, 1)
        assert (await receipt.wait("final", 5)).stage is Stage.FINAL


async def test_the_commit_of_one_site_is_not_final_but_its_receipt_is() -> None:
    async with Town() as town, client(town) as ours:
        for site in town.sites[1:]:
            site.manner.fault = OperationalError("STORE_FULL", "no")
        town.sites[0].manner.alter_receipt = lambda document: document[:-1]
        receipt = await push(ours)
        assert (await receipt.wait("committed", 5)).stage is Stage.COMMITTED
        waiting = asyncio.ensure_future(receipt.wait("final", 30))
        await town.sites[0].until_called("Receipt", 1)
        await asyncio.sleep(0)
        assert not waiting.done()
        town.sites[0].manner.alter_receipt = None
        assert (await waiting).stage is Stage.COMMITTED


async def test_a_refusal_ends_the_wait_for_final_and_a_witness_s_does_not() -> None:
    async with Town() as town, client(town) as ours:
        town.sites[0].manner.stages = (1, 2)
        town.sites[2].manner.refuse = PeerError("VAL_RANGE", "a lie")
        receipt = await push(ours)
        await receipt.wait("attested", 5)
        town.sites[2].seen.append(receipt.prepared.envelope)
        waiting = asyncio.ensure_future(receipt.wait("final", 30))
        await town.sites[2].until_called("Watch", 1)
        for site in (town.sites[1], town.sites[3]):
            site.manner.stages = FINAL_ONLY
            site.seen.append(receipt.prepared.envelope)
        assert (await waiting).stage is Stage.FINAL
        town.sites[0].manner.refuse = PeerError("VERDICT_OUTVOTED", "no")
        other = await push(ours, 2)
        with pytest.raises(PeerError, match="VERDICT_OUTVOTED"):
            await other.wait("final", 5)


async def test_an_undecided_update_goes_to_another_site() -> None:
    async with Town() as town, client(town) as ours:
        base = await ours.pull()
        town.sites[0].manner.refuse = PeerError("VERDICT_UNDECIDED", "again")
        receipt = await ours.push(np.ones(8, dtype=np.int32), base, 10)
        assert (await receipt.wait("committed", 5)).site == 1
