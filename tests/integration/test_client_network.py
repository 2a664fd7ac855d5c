"""Clients against whole sites: pull, push, commit, aggregate, receipts, sites that go away."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from seawall.api.v1 import aggregation_pb2, aggregation_pb2_grpc
from seawall.client import AsyncClient, Base, Stage
from seawall.errors import PeerError, SeawallError
from seawall.formats.receipt import verify_receipt
from seawall.runtime.channels import client_channel
from seawall.runtime.status import error_from
from tests.integration.network import Network, network


async def push_version(clients: list[AsyncClient], root: AsyncClient, value: int) -> Base:
    """Push an update of each client and a root update; return the version that they led to."""
    base = await root.pull()
    delta = np.full(base.ints.shape, value, dtype=np.int32)
    await root.push(delta, base, 25, kind="root")
    receipts = [await one.push(delta, base, 10) for one in clients]
    for receipt in receipts:
        event = await receipt.wait("aggregated", 30)
        assert (event.stage, event.version) == (Stage.AGGREGATED, base.version + 1)
    return await root.pull(base.version + 1)


async def pull_from(sites: Network, site: int, version: int, task: str = "digits") -> Base:
    """Return a version as one site alone gives it, as soon as it has it."""
    async with sites.client(None, task, sites=f"site-{site}", others=False) as alone:
        async with asyncio.timeout(30):
            while True:
                try:
                    return await alone.pull(version)
                except SeawallError:
                    continue  # still behind, or not up yet


async def test_an_update_goes_from_pull_to_a_version_and_its_receipt(tmp_path: Path) -> None:
    async with (
        network(tmp_path) as sites,
        sites.client("contributor-00") as first,
        sites.client("contributor-01", sites="site-2") as second,
        sites.client("root-owner") as root,
    ):
        base = await first.pull()
        assert base.version == 0
        delta = np.full(base.ints.shape, 1000, dtype=np.int32)
        reference = await root.push(delta, base, 25, kind="root")
        receipts = [await one.push(delta, base, 10) for one in (first, second)]
        await reference.wait("committed", 30)
        for receipt in receipts:
            event = await receipt.wait("aggregated", 30)
            assert (event.stage, event.version) == (Stage.AGGREGATED, 1)
        genesis = sites.directory.genesis.read_bytes()
        for receipt in receipts:
            document = await receipt.document(aggregated=True)
            proven = verify_receipt(document, genesis, receipt.prepared.payload)
            assert proven.version is not None
            assert proven.version.version == 1
        new = await first.pull(1)
        assert new.version == 1
        np.testing.assert_array_equal(new.ints, base.ints + 1000)
        with pytest.raises(PeerError, match="KEY_ROLE"):
            await (await first.push(delta, new, 1, kind="root")).wait("committed", 30)
        await explained(sites)


async def explained(sites: Network) -> None:
    """Ask every site for the task, for what went into version 1, and for what is not there."""
    genesis = (await pull_from(sites, 0, 1)).head
    answers = []
    async with sites.client(None) as client:
        members = client.chain.genesis.sites
    for member in members:
        async with client_channel(member) as channel:
            stub = aggregation_pb2_grpc.AggregationServiceStub(channel)
            request = aggregation_pb2.ExplainRequest(task="digits", version=1)
            answers.append(await stub.Explain(request))
            task = await stub.GetTask(aggregation_pb2.GetTaskRequest(task="digits"))
            assert b'"rootRequired":true' in task.task
            for call, code in (
                (stub.Explain(aggregation_pb2.ExplainRequest(task="digits")), "VERSION_UNKNOWN"),
                (stub.GetTask(aggregation_pb2.GetTaskRequest(task="none")), "TASK_UNKNOWN"),
                (stub.GetHead(aggregation_pb2.GetHeadRequest(task="none")), "TASK_UNKNOWN"),
            ):
                with pytest.raises(Exception, match=code) as caught:
                    await call
                assert error_from(caught.value).code == code  # type: ignore[arg-type]  # of gRPC
    assert answers == [answers[0]] * 4
    assert answers[0].rule == "root-gate"
    assert answers[0].payload_digest == genesis.digest
    assert all(update.weight_q16 > 0 for update in answers[0].updates)


async def test_a_site_that_was_away_catches_up_to_the_same_bytes(tmp_path: Path) -> None:
    async with (
        network(tmp_path) as sites,
        sites.client("contributor-00", sites="site-3") as first,
        sites.client("contributor-01") as second,
        sites.client("root-owner") as root,
    ):
        assert (await push_version([first, second], root, 5)).version == 1
        await sites.stop(3)
        assert (await push_version([first, second], root, 7)).version == 2
        assert (await push_version([first, second], root, 9)).version == 3
        await sites.start(3)
        bases = [await pull_from(sites, site, 3) for site in range(4)]
        assert [base.digest for base in bases] == [bases[0].digest] * 4
        assert (await push_version([first, second], root, 11)).version == 4
        await pull_from(sites, 3, 4)


async def test_a_large_payload_goes_in_by_chunks_and_comes_out_as_a_version(
    tmp_path: Path,
) -> None:
    async with (
        network(tmp_path) as sites,
        sites.client("contributor-02", "wide", sites="site-1") as client,
    ):
        base = await client.pull()
        delta = np.arange(len(base.ints), dtype=np.int32)
        receipt = await client.push(delta, base, 10)
        event = await receipt.wait("committed", 60)
        assert event.stage is Stage.COMMITTED
        assert (await receipt.wait("aggregated", 60)).version == 1
        for site in range(4):
            new = await pull_from(sites, site, 1, "wide")
            np.testing.assert_array_equal(new.ints, delta)
        assert receipt.chunks_again == ()


async def test_a_site_that_ends_loses_its_clients_updates_to_others(tmp_path: Path) -> None:
    async with (
        network(tmp_path) as sites,
        sites.client("contributor-03", sites="site-0") as client,
    ):
        base = await client.pull()
        updates = [
            await client.prepare(np.full(base.ints.shape, at + 1, dtype=np.int32), base, 1)
            for at in range(40)
        ]
        receipts = [await client.submit(one) for one in updates[:20]]
        await receipts[0].wait("received", 30)
        await sites.stop(0)
        receipts += [await client.submit(one) for one in updates[20:]]
        events = [await receipt.wait("committed", 60) for receipt in receipts]
        assert len({event.entry_index for event in events}) == 40
        document = await receipts[-1].document()
        genesis = sites.directory.genesis.read_bytes()
        verify_receipt(document, genesis, updates[-1].payload)
        stages = [
            event.stage
            async for some in client.submit_many(updates)
            for event in some
            if event.stage >= Stage.COMMITTED
        ]
        assert stages == [Stage.COMMITTED] * 40, "sent again, they are what they were"
