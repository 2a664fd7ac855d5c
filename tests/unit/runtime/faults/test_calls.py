"""Calls that are late or refused: by method, by caller, running ones too."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from seawall.api.v1 import fault_plane_pb2, ledger_pb2, ledger_pb2_grpc
from seawall.runtime import status
from seawall.runtime.faults.calls import CallFaults, CallRule
from seawall.runtime.local import LocalServer
from seawall.runtime.status import AnyContext

SERVICE = "seawall.api.v1.LedgerService"
HAS, APPEND = f"{SERVICE}/HasPayload", f"{SERVICE}/Append"


class Ledger(ledger_pb2_grpc.LedgerServiceServicer):
    """Answers HasPayload and Append."""

    async def HasPayload(  # noqa: N802 - the contract's name
        self, request: ledger_pb2.HasPayloadRequest, context: AnyContext
    ) -> ledger_pb2.HasPayloadResponse:
        """Say yes."""
        del request, context
        return ledger_pb2.HasPayloadResponse(complete=True)

    async def Append(  # noqa: N802 - the contract's name
        self, request_iterator: AsyncIterator[ledger_pb2.AppendRequest], context: AnyContext
    ) -> AsyncIterator[ledger_pb2.AppendResponse]:
        """Answer each."""
        del context
        async for request in request_iterator:
            yield ledger_pb2.AppendResponse(index=request.commit.index)


@asynccontextmanager
async def serving(site: int | None = 2) -> AsyncIterator[tuple[CallFaults, Any]]:
    """Serve the ledger to callers that come from one site."""
    calls = CallFaults()
    server = LocalServer(lambda name, handlers: calls.wrapped(name, handlers, lambda _: site))
    ledger_pb2_grpc.add_LedgerServiceServicer_to_server(Ledger(), server)  # type: ignore[abstract]  # two are enough
    async with asyncio.timeout(10), server:
        yield calls, ledger_pb2_grpc.LedgerServiceStub(server.channel())


def rule(*methods: str, site: int | None = 2, delay_us: int = 0, refuse: bool = False) -> CallRule:
    return CallRule(
        methods=methods or (HAS, APPEND),
        hits_site=lambda one: one == site,
        delay_us=delay_us,
        refuse=refuse,
    )


def requests(*indices: int) -> list[ledger_pb2.AppendRequest]:
    return [ledger_pb2.AppendRequest(commit={"index": index}) for index in indices]  # type: ignore[arg-type]  # protobuf takes it


async def code_of(call: Any) -> tuple[grpc.StatusCode, str]:  # noqa: ANN401 - any call
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value.code(), status.error_from(raised.value).code


REFUSED = (grpc.StatusCode.UNAVAILABLE, "FAULT_REFUSED")


async def test_refused_calls_end_at_once_and_others_pass() -> None:
    async with serving() as (calls, stub):
        request = ledger_pb2.HasPayloadRequest()
        hit = rule(HAS, refuse=True)
        for harmless in (rule(APPEND, refuse=True), rule(HAS, site=None, refuse=True)):
            calls.add(harmless)
            assert (await stub.HasPayload(request)).complete
        calls.add(hit)
        assert await code_of(stub.HasPayload(request)) == REFUSED
        calls.remove(hit)
        assert (await stub.HasPayload(request)).complete
        assert hit.tally.count == 1


async def test_a_running_stream_is_ended_and_the_next_one_refused() -> None:
    async with serving() as (calls, stub):
        stream = stub.Append()
        await stream.write(requests(7)[0])
        assert (await stream.read()).index == 7
        hit = rule(APPEND, refuse=True)
        calls.add(hit)
        assert await code_of(stream.read()) == REFUSED
        assert await code_of(stub.Append(iter(requests(1))).read()) == REFUSED
        calls.remove(hit)
        assert [answer.index async for answer in stub.Append(iter(requests(1, 2)))] == [1, 2]
        assert hit.tally.count == 2


async def test_late_calls_and_messages_go_on_when_the_fault_ends() -> None:
    async with serving() as (calls, stub):
        stream = stub.Append()
        await stream.write(requests(1)[0])
        assert (await stream.read()).index == 1
        late = rule(delay_us=3_600_000_000)
        calls.add(late)
        await stream.write(requests(2)[0])
        reading = asyncio.ensure_future(stream.read())
        for _ in range(20):
            await asyncio.sleep(0)
        assert late.tally.count == 1
        assert not reading.done()
        calls.remove(late)
        assert (await reading).index == 2


async def test_the_plane_itself_and_links_between_replicas_are_never_hit() -> None:
    calls = CallFaults()
    names = ("Apply", "Blocks", "Submit")
    handlers: Any = {name: grpc.unary_unary_rpc_method_handler(Ledger.HasPayload) for name in names}
    plane = fault_plane_pb2.DESCRIPTOR.services_by_name["FaultPlaneService"].full_name
    assert calls.wrapped(plane, handlers, lambda _: 1) == handlers
    wrapped = calls.wrapped("seawall.api.v1.ConsensusService", handlers, lambda _: 1)
    assert wrapped["Blocks"] is handlers["Blocks"]
    assert wrapped["Submit"] is not handlers["Submit"]
    assert calls.methods == (
        "seawall.api.v1.ConsensusService/Apply",
        "seawall.api.v1.ConsensusService/Submit",
    )
