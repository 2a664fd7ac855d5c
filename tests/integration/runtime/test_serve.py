"""One process with a small role: ports, TLS, authorisation, health, metrics, its end."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from seawall.api.v1 import consensus_pb2, consensus_pb2_grpc, ledger_pb2, ledger_pb2_grpc
from seawall.config import Settings, SiteConfig
from seawall.errors import LocalError, OperationalError, PeerError, SeawallError
from seawall.runtime import status
from seawall.runtime.channels import client_channel, peer_channel
from seawall.runtime.serve import Ports, Role, serve
from seawall.runtime.service import CONSENSUS, LEDGER, Context
from seawall.runtime.tls import Callers
from seawall.telemetry.logs import open_log
from tests.integration.sites import TestSites, make_sites


class Speaking(consensus_pb2_grpc.ConsensusServiceServicer):
    """Says which site calls."""

    def __init__(self, context: Context) -> None:
        self._callers = Callers(context.genesis, context.site)

    async def ConsensusStatus(  # noqa: N802 - the contract's name
        self, request: consensus_pb2.ConsensusStatusRequest, context: status.AnyContext
    ) -> consensus_pb2.ConsensusStatusResponse:
        """Answer with the caller."""
        del request
        site = self._callers.site_of(context)
        return consensus_pb2.ConsensusStatusResponse(author=99 if site is None else site)

    async def Blocks(  # noqa: N802 - the contract's name
        self,
        request_iterator: AsyncIterator[consensus_pb2.BlocksRequest],
        context: status.AnyContext,
    ) -> AsyncIterator[consensus_pb2.BlocksResponse]:
        """Echo."""
        del context
        async for request in request_iterator:
            yield consensus_pb2.BlocksResponse(message=request.message)

    async def Submit(  # noqa: N802 - the contract's name
        self,
        request_iterator: AsyncIterator[consensus_pb2.ConsensusServiceSubmitRequest],
        context: status.AnyContext,
    ) -> AsyncIterator[consensus_pb2.ConsensusServiceSubmitResponse]:
        """Refuse number 13 with every fact that an error can have."""
        async for request in request_iterator:
            if request.number == 13:
                await status.abort(
                    context, PeerError("TX_SIZE", "≤ 16 KiB, 100 %", field="transactions[0]")
                )
            yield consensus_pb2.ConsensusServiceSubmitResponse(number=request.number)


class SpeakingService:
    """The role that the tests serve."""

    name = CONSENSUS

    def __init__(self, context: Context) -> None:
        self.context = context
        self.fail = asyncio.Event()

    def register(self, server: grpc.aio.Server) -> None:
        """Add the servicer."""
        speaking = Speaking(self.context)  # type: ignore[abstract]  # FollowFinality is not called
        consensus_pb2_grpc.add_ConsensusServiceServicer_to_server(speaking, server)

    async def run(self) -> None:
        """Fail when told to."""
        await self.fail.wait()
        raise OperationalError("JOURNAL_FULL", "free some space")

    def ready(self) -> bool:
        """Say yes."""
        return True


class Running:
    """A process under test."""

    def __init__(self, sites: TestSites, site: int) -> None:
        self.sites = sites
        self.site = site
        self.stop = asyncio.Event()
        self.started: asyncio.Future[Ports] = asyncio.get_running_loop().create_future()
        self.services: list[SpeakingService] = []

    def build(self, context: Context, settings: Settings) -> SpeakingService:
        """Build the role."""
        assert settings == Settings()
        self.services.append(SpeakingService(context))
        return self.services[-1]

    async def run(self, config: SiteConfig) -> None:
        """Serve."""
        role = Role(settings=Settings, build=self.build)
        await serve(
            config,
            {CONSENSUS: role},
            log=open_log("error"),
            stop=self.stop,
            on_started=self.started.set_result,
        )


@asynccontextmanager
async def running(sites: TestSites, site: int = 0, **members: object) -> AsyncIterator[Running]:
    process = Running(sites, site)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(process.run(sites.config(site, roles=("consensus",), **members)))
        await process.started
        yield process
        process.stop.set()


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> TestSites:
    return make_sites(tmp_path_factory.mktemp("sites"))


def dial(sites: TestSites, site: int, caller: int) -> grpc.aio.Channel:
    keys = sites.directory / f"site-{caller}" / "keys"
    pair = (keys / "tls.key").read_bytes(), (keys / "tls.crt").read_bytes()
    return peer_channel(sites.genesis.sites[site], *pair)


async def whoami(channel: grpc.aio.Channel) -> int:
    stub = consensus_pb2_grpc.ConsensusServiceStub(channel)
    request = consensus_pb2.ConsensusStatusRequest()
    answer = await stub.ConsensusStatus(request, timeout=10, wait_for_ready=True)
    return answer.author


async def refused(call: Any) -> SeawallError:  # noqa: ANN401 - a stream of any kind
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call.read()
    return status.error_from(raised.value)


async def requests(*numbers: int) -> AsyncIterator[consensus_pb2.ConsensusServiceSubmitRequest]:
    for number in numbers:
        yield consensus_pb2.ConsensusServiceSubmitRequest(number=number)


async def test_callers_are_told_apart_by_their_certificate(sites: TestSites) -> None:
    async with running(sites) as process:
        for caller in range(4):
            async with dial(sites, 0, caller) as channel:
                assert await whoami(channel) == caller
        async with client_channel(sites.genesis.sites[0]) as channel:
            assert await whoami(channel) == 99
        assert await whoami(process.services[0].context.channels.to(CONSENSUS)) == 0


async def test_each_port_enforces_the_table(sites: TestSites) -> None:
    async with running(sites):
        async with dial(sites, 0, 0) as own, dial(sites, 0, 1) as other:
            stub = consensus_pb2_grpc.ConsensusServiceStub(own)
            answers = [one.number async for one in stub.Submit(requests(1, 2), timeout=10)]
            assert answers == [1, 2]
            stub = consensus_pb2_grpc.ConsensusServiceStub(other)
            assert (await refused(stub.Submit(requests(1), timeout=10))).code == (
                "CALLER_NOT_ALLOWED"
            )
            echoed = stub.Blocks(aiter_of(consensus_pb2.BlocksRequest()), timeout=10)
            assert await echoed.read() == consensus_pb2.BlocksResponse(
                message=consensus_pb2.PeerMessage()
            )
            echoed.cancel()
        async with client_channel(sites.genesis.sites[0]) as anonymous:
            stub = consensus_pb2_grpc.ConsensusServiceStub(anonymous)
            for call in (stub.Submit(requests(1)), stub.Blocks(aiter_of())):
                assert (await refused(call)).code == "CALLER_NOT_ALLOWED"


async def aiter_of(
    *items: consensus_pb2.BlocksRequest,
) -> AsyncIterator[consensus_pb2.BlocksRequest]:
    for item in items:
        yield item


async def test_errors_keep_their_facts_over_tls_and_in_process(sites: TestSites) -> None:
    async with running(sites) as process, dial(sites, 0, 0) as channel:
        for one in (channel, process.services[0].context.channels.to(CONSENSUS)):
            call = consensus_pb2_grpc.ConsensusServiceStub(one).Submit(requests(13))
            fault = await refused(call)
            assert isinstance(fault, PeerError)
            assert fault.args == ("TX_SIZE", "≤ 16 KiB, 100 %", "transactions[0]", None)


async def test_a_stranger_s_certificate_does_not_connect(sites: TestSites, tmp_path: Path) -> None:
    strangers = make_sites(tmp_path)
    keys = strangers.directory / "site-1" / "keys"
    pair = (keys / "tls.key").read_bytes(), (keys / "tls.crt").read_bytes()
    async with running(sites):
        async with peer_channel(sites.genesis.sites[0], *pair) as channel:
            stub = consensus_pb2_grpc.ConsensusServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await stub.ConsensusStatus(consensus_pb2.ConsensusStatusRequest(), timeout=10)
            assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        # And a server with a certificate that is not pinned is not believed.
        impostor = strangers.genesis.sites[0]
        address = sites.genesis.sites[0].client_address
        async with client_channel(impostor, address=address) as channel:
            stub = consensus_pb2_grpc.ConsensusServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await stub.ConsensusStatus(consensus_pb2.ConsensusStatusRequest(), timeout=10)
            assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_health_metrics_and_roles_of_others(sites: TestSites) -> None:
    async with running(sites) as process:
        ports = await process.started
        async with grpc.aio.insecure_channel(f"127.0.0.1:{ports.health}") as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            for name in ("", "liveness", "readiness", CONSENSUS):
                answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
                assert answer.status == health_pb2.HealthCheckResponse.SERVING, name
            unserved = ledger_pb2_grpc.LedgerServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError):
                await unserved.LedgerStatus(ledger_pb2.LedgerStatusRequest())
        url = f"http://127.0.0.1:{ports.metrics}/metrics"
        page = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())
        assert b"seawall_build_info" in page
        stub = ledger_pb2_grpc.LedgerServiceStub(process.services[0].context.channels.to(LEDGER, 1))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.LedgerStatus(ledger_pb2.LedgerStatusRequest(), timeout=10)
        assert status.error_from(raised.value).code == "RPC_UNAVAILABLE"


async def test_a_role_that_fails_ends_the_process_with_its_error(sites: TestSites) -> None:
    async def fail() -> None:
        async with running(sites) as process:
            process.services[0].fail.set()
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as raised:
        await fail()
    assert raised.group_contains(OperationalError, match="JOURNAL_FULL")


async def test_a_second_process_on_the_data_is_refused(sites: TestSites) -> None:
    async with running(sites):
        with pytest.raises(ExceptionGroup) as raised:
            async with running(sites, port=0):
                raise AssertionError("it started")
    assert raised.group_contains(OperationalError, match=r"DATA_LOCKED.*process \d+")


async def test_a_taken_port_is_refused(sites: TestSites) -> None:
    async with running(sites):
        with pytest.raises(ExceptionGroup) as raised:
            async with running(sites, site=1, port=sites.bases[0]):
                raise AssertionError("it started")
    assert raised.group_contains(OperationalError, match="SITE_PORT")


async def test_another_chain_s_data_is_refused(sites: TestSites, tmp_path: Path) -> None:
    async with running(sites):
        pass
    other = make_sites(tmp_path, 4)
    with pytest.raises(ExceptionGroup) as raised:
        async with running(other, data_dir=sites.config(0).data_dir):
            raise AssertionError("it started")
    assert raised.group_contains(LocalError, match="DATA_FORMAT")
