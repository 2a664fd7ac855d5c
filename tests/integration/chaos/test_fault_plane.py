"""The fault plane over mutual TLS: for the runner and the own site, only where chaos is on."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from bench import scraping
from seawall.api.v1 import (
    fault_plane_pb2,
    fault_plane_pb2_grpc,
    ledger_pb2,
    ledger_pb2_grpc,
)
from seawall.chaos import service as chaos_service
from seawall.chaos.config import ChaosSettings
from seawall.config import Settings
from seawall.runtime import status
from seawall.runtime.certificates import make_certificate
from seawall.runtime.channels import client_channel, peer_channel
from seawall.runtime.serve import Ports, Role, serve
from seawall.runtime.service import CHAOS, CONSENSUS, LEDGER, ROLES
from seawall.telemetry.logs import open_log
from tests.integration.consensus.cluster import Memory, MemoryService
from tests.integration.sites import TestSites, make_sites

Stub = fault_plane_pb2_grpc.FaultPlaneServiceStub


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> TestSites:
    """Make a chain."""
    return make_sites(tmp_path_factory.mktemp("sites"))


class StandIn(MemoryService):
    """Stands where a role would."""

    def __init__(self, name: str) -> None:
        super().__init__(Memory())
        self.name = name

    def register(self, server: grpc.aio.Server) -> None:
        """Serve nothing."""


def role(name: str) -> Role:
    """Return a role that does nothing; the ledger at least remembers."""
    if name == LEDGER:
        return Role(settings=Settings, build=lambda _, __: MemoryService(Memory()))
    return Role(settings=Settings, build=lambda _, __: StandIn(name))


@asynccontextmanager
async def serving(
    sites: TestSites, runner: Path | None = None, served: tuple[str, ...] = (LEDGER,)
) -> AsyncIterator[Ports]:
    stop = asyncio.Event()
    started: asyncio.Future[Ports] = asyncio.get_running_loop().create_future()
    roles = {
        **{name: role(name) for name in ROLES},
        CHAOS: Role(settings=ChaosSettings, build=chaos_service.build),
    }
    chaos = {"enabled": True, "runner_certificate": runner}
    config = sites.config(0, roles=served, chaos=chaos)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        log = open_log("error")
        group.create_task(serve(config, roles, log=log, stop=stop, on_started=started.set_result))
        yield await started
        stop.set()


def fault(
    fault_id: str = "a", lease: int = 10, point: str = "host.before_send"
) -> fault_plane_pb2.ApplyRequest:
    return fault_plane_pb2.ApplyRequest(
        fault=fault_plane_pb2.FaultSpec(
            id=fault_id,
            lease_seconds=lease,
            crash=fault_plane_pb2.CrashFault(point=point, skip_count=1 << 30),
        )
    )


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:  # noqa: ANN401 - any call
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value.code(), status.error_from(raised.value).code


def pair(sites: TestSites, site: int) -> tuple[bytes, bytes]:
    keys = sites.directory / f"site-{site}" / "keys"
    return (keys / "tls.key").read_bytes(), (keys / "tls.crt").read_bytes()


async def test_a_fault_is_applied_watched_renewed_listed_and_reverted(sites: TestSites) -> None:
    async with serving(sites), own_channel(sites) as channel:
        stub = Stub(channel)
        watch = stub.Watch(fault_plane_pb2.FaultPlaneServiceWatchRequest(), timeout=10)
        changes = aiter(watch)
        await watch.wait_for_connection()
        await stub.List(fault_plane_pb2.ListRequest())
        await stub.Apply(fault("short", lease=1))
        assert (await anext(changes)).active
        await stub.Apply(fault("long"))
        assert (await anext(changes)).fault.id == "long"
        await stub.Renew(fault_plane_pb2.RenewRequest(id="long", lease_seconds=300))
        over = await anext(changes)
        assert (over.fault.id, over.active) == ("short", False)
        assert over.reason.code == "FAULT_LEASE_OVER"
        (left,) = (await stub.List(fault_plane_pb2.ListRequest())).faults
        assert left.id == "long"
        assert 290 < left.lease_seconds <= 300
        await stub.Revert(fault_plane_pb2.RevertRequest(id="long"))
        ended = await anext(changes)
        assert (ended.fault.id, ended.active, ended.reason.code) == ("long", False, "")


async def test_what_cannot_be_a_fault_is_refused(sites: TestSites) -> None:
    async with serving(sites), own_channel(sites) as channel:
        stub = Stub(channel)
        await stub.Apply(fault("taken"))
        empty = fault_plane_pb2.ApplyRequest(fault=fault_plane_pb2.FaultSpec(id="b"))
        bad, gone = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
        assert await refused(stub.Apply(fault("taken"))) == (
            grpc.StatusCode.ALREADY_EXISTS,
            "FAULT_ID",
        )
        assert await refused(stub.Apply(fault(""))) == (bad, "FAULT_ID")
        assert await refused(stub.Apply(fault("b", lease=0))) == (bad, "FAULT_LEASE")
        assert await refused(stub.Apply(fault("b", point="x"))) == (bad, "FAULT_POINT")
        assert await refused(stub.Apply(empty)) == (bad, "FAULT_KIND")
        renew = fault_plane_pb2.RenewRequest(id="b", lease_seconds=1)
        assert await refused(stub.Renew(renew)) == (gone, "FAULT_ID")
        revert = fault_plane_pb2.RevertRequest(id="b")
        assert await refused(stub.Revert(revert)) == (gone, "FAULT_ID")


@pytest.mark.parametrize("served", ROLES)
async def test_only_the_runner_and_the_own_site_may_call(
    sites: TestSites, tmp_path: Path, served: str
) -> None:
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    runner = make_certificate("runner", (), not_before=yesterday)
    certificate = tmp_path / "runner.crt"
    certificate.write_bytes(runner[1])
    site = sites.genesis.sites[0]
    async with serving(sites, certificate, (served,)):
        async with peer_channel(site, *runner) as channel:
            await channel.channel_ready()
            await Stub(channel).Apply(fault())
            (found,) = (await Stub(channel).List(fault_plane_pb2.ListRequest())).faults
            assert found.id == "a"
        for stranger in (peer_channel(site, *pair(sites, 1)), client_channel(site)):
            async with stranger as channel:
                await channel.channel_ready()
                await all_denied(Stub(channel))


async def all_denied(stub: Any) -> None:  # noqa: ANN401 - the stub has no public type
    """Check that no method of the plane answers."""
    watch = stub.Watch(fault_plane_pb2.FaultPlaneServiceWatchRequest())
    for call in (
        stub.Apply(fault("b")),
        stub.Renew(fault_plane_pb2.RenewRequest(id="a", lease_seconds=1)),
        stub.Revert(fault_plane_pb2.RevertRequest(id="a")),
        stub.List(fault_plane_pb2.ListRequest()),
        watch.read(),
    ):
        assert await refused(call) == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ALLOWED")


@asynccontextmanager
async def own_channel(sites: TestSites) -> AsyncIterator[grpc.aio.Channel]:
    """Have a channel under the certificate of the own site, once it stands."""
    async with peer_channel(sites.genesis.sites[0], *pair(sites, 0)) as channel:
        await channel.channel_ready()
        yield channel


DIRECTIONS = (
    fault_plane_pb2.PARTITION_DIRECTION_BOTH,
    fault_plane_pb2.PARTITION_DIRECTION_INBOUND,
    fault_plane_pb2.PARTITION_DIRECTION_OUTBOUND,
)


def partition(
    direction: fault_plane_pb2.PartitionDirection.ValueType, peers: tuple[int, ...] = (1, 3)
) -> fault_plane_pb2.FaultSpec:
    return fault_plane_pb2.FaultSpec(
        id=f"p{direction}",
        lease_seconds=10,
        seed=4,
        partition=fault_plane_pb2.PartitionFault(peers=peers, direction=direction),
    )


async def test_partitions_are_listed_as_they_were_sent(sites: TestSites) -> None:
    async with serving(sites, served=(LEDGER, CONSENSUS)), own_channel(sites) as channel:
        stub = Stub(channel)
        bad = grpc.StatusCode.INVALID_ARGUMENT
        for spec, code in (
            (partition(fault_plane_pb2.PARTITION_DIRECTION_UNSPECIFIED), "FAULT_DIRECTION"),
            (partition(DIRECTIONS[0], (0,)), "FAULT_PEERS"),
        ):
            request = fault_plane_pb2.ApplyRequest(fault=spec)
            assert await refused(stub.Apply(request)) == (bad, code)
        sent = [partition(direction) for direction in DIRECTIONS]
        for spec in sent:
            await stub.Apply(fault_plane_pb2.ApplyRequest(fault=spec))
        found = list((await stub.List(fault_plane_pb2.ListRequest())).faults)
        for spec in found:
            spec.lease_seconds = 10
        assert found == sent


async def test_a_process_without_a_replica_has_no_links_to_cut(sites: TestSites) -> None:
    async with serving(sites), own_channel(sites) as channel:
        request = fault_plane_pb2.ApplyRequest(fault=partition(DIRECTIONS[0]))
        bad = grpc.StatusCode.INVALID_ARGUMENT
        assert await refused(Stub(channel).Apply(request)) == (bad, "FAULT_KIND")


def spec(kind: str, body: Any, fault_id: str = "") -> fault_plane_pb2.FaultSpec:  # noqa: ANN401 - of any kind
    made = fault_plane_pb2.FaultSpec(
        id=fault_id or kind, lease_seconds=10, seed=3, experiment="all-kinds"
    )
    getattr(made, kind).CopyFrom(body)
    return made


async def test_faults_of_every_kind_are_listed_as_they_were_sent(sites: TestSites) -> None:
    pb = fault_plane_pb2
    links = pb.FaultLinks(peers=[1, 2], direction=pb.PARTITION_DIRECTION_OUTBOUND)
    sent = [
        spec("crash", pb.CrashFault(point="host.before_send", skip_count=1 << 30)),
        spec("delay", pb.DelayFault(links=links, add_us=1, reorder=0.5, reorder_by_us=2)),
        spec("loss", pb.LossFault(links=links, share=0.5)),
        spec("gray", pb.GrayFault(links=links, add_us=1, jitter_us=1, loss=0.5)),
        spec("duplicate", pb.DuplicateFault(links=links, share=0.5)),
        spec("corrupt", pb.CorruptFault(links=links, share=0.5)),
        spec("bandwidth", pb.BandwidthFault(links=links, kbit_per_second=8, buffer_bytes=9)),
        spec("reset", pb.ResetFault(links=links, interval_us=10_000_000)),
        spec("slow", pb.SlowFault(links=links, pause_us=1)),
        spec("call", pb.CallFault(methods=["LedgerService/GetEntry"], delay_us=1)),
        spec("clock", pb.ClockFault(offset_us=-5, drift_ppm=6)),
        spec("disk", pb.DiskFault(sync_add_us=1, sync_sigma=0.5)),
    ]
    async with serving(sites, served=(LEDGER, CONSENSUS)), own_channel(sites) as channel:
        stub = Stub(channel)
        for one in sent:
            await stub.Apply(pb.ApplyRequest(fault=one))
        answer = await stub.List(pb.ListRequest())
        for found in answer.faults:
            found.lease_seconds = 10
        assert list(answer.faults) == sent
        assert len(answer.strikes) == len(sent)
        # No replica is here that could lie.
        assert list(answer.kinds) == sorted([*(one.id for one in sent), "partition", "freeze"])


async def test_calls_of_clients_are_refused_and_the_planes_own_are_not(sites: TestSites) -> None:
    pb = fault_plane_pb2
    site = sites.genesis.sites[0]
    request = ledger_pb2.HasPayloadRequest()
    clients = pb.CallFault(callers=[pb.CALL_FAULT_CALLER_CLIENTS], refuse=True)
    async with (
        serving(sites),
        own_channel(sites) as channel,
        client_channel(site) as client,
        peer_channel(site, *pair(sites, 1)) as other,
    ):
        for one in (client, other):
            await one.channel_ready()
        has = ledger_pb2_grpc.LedgerServiceStub(client).HasPayload
        answered = grpc.StatusCode.UNIMPLEMENTED, "RPC_UNIMPLEMENTED"
        assert await refused(has(request)) == answered
        await Stub(channel).Apply(pb.ApplyRequest(fault=spec("call", clients)))
        assert await refused(has(request)) == (grpc.StatusCode.UNAVAILABLE, "FAULT_REFUSED")
        assert await refused(ledger_pb2_grpc.LedgerServiceStub(other).HasPayload(request)) == (
            answered
        )
        assert list((await Stub(channel).List(pb.ListRequest())).strikes) == [1]
        await Stub(channel).Revert(pb.RevertRequest(id="call"))
        assert await refused(has(request)) == answered


async def test_running_streams_are_ended_over_a_socket_too(sites: TestSites) -> None:
    pb = fault_plane_pb2
    own = pb.CallFault(
        callers=[pb.CALL_FAULT_CALLER_OWN_SITE], methods=["LedgerService"], refuse=True
    )
    async with serving(sites), own_channel(sites) as channel:
        append = ledger_pb2_grpc.LedgerServiceStub(channel).Append
        stream = append()
        assert isinstance(await stream.read(), ledger_pb2.AppendResponse)
        await Stub(channel).Apply(pb.ApplyRequest(fault=spec("call", own)))
        gone = (grpc.StatusCode.UNAVAILABLE, "FAULT_REFUSED")
        assert await refused(stream.read()) == gone
        assert await refused(append().read()) == gone
        await Stub(channel).Revert(pb.RevertRequest(id="call"))
        assert isinstance(await append().read(), ledger_pb2.AppendResponse)


async def test_metrics_say_what_was_asked_for_and_what_became_of_it(sites: TestSites) -> None:
    pb = fault_plane_pb2
    call = spec("call", pb.CallFault(delay_us=1, methods=["LedgerService"]))
    async with serving(sites) as ports, own_channel(sites) as channel:

        async def metric(name: str, **labels: str) -> float:
            sample = await asyncio.to_thread(scraping.scrape, ports.metrics)
            return scraping.total([sample], f"seawall_chaos_{name}", **labels)

        stub: Any = Stub(channel)
        await stub.Apply(pb.ApplyRequest(fault=call))
        await stub.Apply(fault("short", lease=1))
        await refused(stub.Apply(fault("bad", point="nowhere")))
        place = {"fault": "call", "experiment": "all-kinds"}
        assert await metric("fault_active", **place) == 1
        assert await metric("injections_total", outcome="applied") == 2
        assert await metric("injections_total", fault="crash", outcome="refused") == 1
        watch = stub.Watch(pb.FaultPlaneServiceWatchRequest())
        await watch.wait_for_connection()
        if "short" in [one.id for one in (await stub.List(pb.ListRequest())).faults]:
            assert (await watch.read()).fault.id == "short"
        assert 0 < await metric("lease_remaining_seconds", **place) <= 10
        await stub.Revert(pb.RevertRequest(id="call"))
        assert await metric("fault_active") == 0
        assert await metric("rollbacks_total", cause="lease") == 1
        assert await metric("rollbacks_total", cause="reverted") == 1
