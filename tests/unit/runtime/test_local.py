"""RPCs inside a process behave as over a socket: order, errors, ends on both sides."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from seawall.api.v1 import (
    consensus_pb2,
    consensus_pb2_grpc,
    ingestion_pb2,
    ingestion_pb2_grpc,
    types_pb2,
)
from seawall.errors import PeerError
from seawall.runtime import status
from seawall.runtime.exchange import PIPE_MESSAGES_MAX
from seawall.runtime.local import LocalServer

Request = consensus_pb2.ConsensusServiceSubmitRequest
Response = consensus_pb2.ConsensusServiceSubmitResponse


class Consensus(consensus_pb2_grpc.ConsensusServiceServicer):
    """Every kind of handler that the contract knows but one."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()
        self.context: status.AnyContext | None = None
        self.answered = 0

    async def Submit(  # noqa: N802 - the contract's name
        self, request_iterator: AsyncIterator[Request], context: status.AnyContext
    ) -> AsyncIterator[Response]:
        """Answer each request, in the generator style."""
        self.context = context
        try:
            async for request in request_iterator:
                if request.number == 13:
                    await status.abort(context, PeerError("TX_SIZE", "smaller", offset=3))
                if request.number == 14:
                    raise ValueError("a bug of the handler")
                self.answered += 1
                yield Response(number=request.number)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def Blocks(  # type: ignore[override]  # noqa: N802 - the writer style of grpc.aio
        self,
        request_iterator: AsyncIterator[consensus_pb2.BlocksRequest],
        context: status.AnyContext,
    ) -> None:
        """Echo, in the writer style."""
        del request_iterator
        while (request := await context.read()) is not grpc.aio.EOF:
            await context.write(consensus_pb2.BlocksResponse(message=request.message))
        context.set_code(grpc.StatusCode.DATA_LOSS)
        context.set_details("as asked")
        context.set_trailing_metadata((("key", "value"),))

    async def ConsensusStatus(  # noqa: N802 - the contract's name
        self, request: consensus_pb2.ConsensusStatusRequest, context: status.AnyContext
    ) -> consensus_pb2.ConsensusStatusResponse:
        """Say how much time is left, or never."""
        self.context = context
        del request
        if context.time_remaining() < 1:
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.set()
        return consensus_pb2.ConsensusStatusResponse(round=7)


class Ingestion(ingestion_pb2_grpc.IngestionServiceServicer):
    """A handler of one request and many answers."""

    def __init__(self) -> None:
        self.sent = 0

    async def Watch(  # noqa: N802 - the contract's name
        self, request: ingestion_pb2.WatchRequest, context: status.AnyContext
    ) -> AsyncIterator[ingestion_pb2.WatchResponse]:
        """Answer without end."""
        del request, context
        while True:
            self.sent += 1
            yield ingestion_pb2.WatchResponse(events=[types_pb2.UpdateEvent(number=self.sent)])


class Setup:
    """A server with both services, and stubs for them."""

    def __init__(self, server: LocalServer) -> None:
        self.server = server
        self.consensus = Consensus()  # type: ignore[abstract]  # FollowFinality is not called
        self.ingestion = Ingestion()  # type: ignore[abstract]  # Watch is enough here
        consensus_pb2_grpc.add_ConsensusServiceServicer_to_server(self.consensus, server)
        ingestion_pb2_grpc.add_IngestionServiceServicer_to_server(self.ingestion, server)
        self.stub = consensus_pb2_grpc.ConsensusServiceStub(server.channel())
        self.watching = ingestion_pb2_grpc.IngestionServiceStub(server.channel())


@asynccontextmanager
async def opened() -> AsyncIterator[Setup]:
    async with asyncio.timeout(10), LocalServer() as server:
        yield Setup(server)


async def numbers(*given: int) -> AsyncIterator[Request]:
    for number in given:
        yield Request(number=number)


async def status_of(call: Any) -> grpc.aio.AioRpcError:  # noqa: ANN401 - any kind of call
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value


def number_of(answer: object) -> int:
    assert isinstance(answer, Response)
    return answer.number


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_one_request_one_answer() -> None:
    async with opened() as one:
        call = one.stub.ConsensusStatus(consensus_pb2.ConsensusStatusRequest())
        assert (await call).round == 7
        assert await call.code() is grpc.StatusCode.OK
        assert call.done()
        assert not call.cancelled()
        assert not call.cancel()
        assert await call.details() == ""
        assert tuple(await call.initial_metadata()) == ()


async def test_messages_travel_by_reference_and_in_order() -> None:
    sent = consensus_pb2.PeerMessage()
    async with opened() as one:
        call = one.stub.Blocks()
        await call.write(consensus_pb2.BlocksRequest(message=sent))
        assert isinstance(await call.read(), consensus_pb2.BlocksResponse)
        stream = one.stub.Submit(numbers(*range(20, 520)))
        assert [answer.number async for answer in stream] == list(range(20, 520))
        plain = one.stub.Submit(iter([Request(number=1), Request(number=2)]))
        assert [answer.number async for answer in plain] == [1, 2]


async def test_errors_carry_status_and_facts() -> None:
    async with opened() as one:
        call = one.stub.Submit(numbers(1, 13, 2))
        assert (await anext(aiter(call))).number == 1
        failure = await status_of(call.read())
        assert failure.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert status.error_from(failure).args == ("TX_SIZE", "smaller", None, 3)
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert dict(await call.trailing_metadata())["seawall-code"] == "TX_SIZE"


async def test_a_handler_with_a_bug_costs_its_own_call() -> None:
    seen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))
    async with opened() as one:
        failure = await status_of(one.stub.Submit(numbers(14)).read())
        assert failure.code() is grpc.StatusCode.UNKNOWN
        assert "bug" not in (failure.details() or "")
        assert [type(context["exception"]) for context in seen] == [ValueError]
        assert (await one.stub.ConsensusStatus(consensus_pb2.ConsensusStatusRequest())).round == 7


async def test_requests_that_fail_end_the_call() -> None:
    async def failing() -> AsyncIterator[Request]:
        yield Request(number=1)
        raise ValueError("a bug of the caller")

    seen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))
    async with opened() as one:
        call = one.stub.Submit(failing())
        assert number_of(await call.read()) == 1
        assert (await status_of(call.read())).code() is grpc.StatusCode.CANCELLED
        assert len(seen) == 1


async def test_methods_that_are_not_there() -> None:
    async with opened() as one:
        missing = one.watching.Finish(ingestion_pb2.FinishRequest())
        assert (await status_of(missing)).code() is grpc.StatusCode.UNIMPLEMENTED
    async with LocalServer() as empty:
        stub = consensus_pb2_grpc.ConsensusServiceStub(empty.channel())
        call = stub.ConsensusStatus(consensus_pb2.ConsensusStatusRequest())
        assert (await status_of(call)).code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_server_that_is_not_open_is_unavailable() -> None:
    server = LocalServer()
    one = Setup(server)
    call = one.stub.ConsensusStatus(consensus_pb2.ConsensusStatusRequest())
    assert (await status_of(call)).code() is grpc.StatusCode.UNAVAILABLE


async def test_a_deadline_ends_both_sides() -> None:
    async with opened() as one:
        request = consensus_pb2.ConsensusStatusRequest()
        failure = await status_of(one.stub.ConsensusStatus(request, timeout=0.01))
        assert failure.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await one.consensus.cancelled.wait()
        assert (await one.stub.ConsensusStatus(request, timeout=60)).round == 7


async def test_cancelling_the_call_cancels_the_handler() -> None:
    async with opened() as one:
        call = one.stub.Submit()
        await call.write(Request(number=1))
        assert number_of(await call.read()) == 1
        assert call.cancel()
        assert call.cancelled()
        await one.consensus.cancelled.wait()
        with pytest.raises(asyncio.CancelledError):
            await call.read()
        assert one.consensus.context is not None
        assert one.consensus.context.cancelled()


async def test_cancelling_the_waiting_task_cancels_the_handler() -> None:
    async with opened() as one, asyncio.TaskGroup() as group:
        request = consensus_pb2.ConsensusStatusRequest()

        async def work() -> None:
            await one.stub.ConsensusStatus(request, timeout=0.9)

        task = group.create_task(work())
        await turns()
        task.cancel()
        await one.consensus.cancelled.wait()


class Reading(consensus_pb2_grpc.ConsensusServiceServicer):
    """Reads requests in a task that is not the handler's."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group

    async def Submit(  # noqa: N802 - the contract's name
        self, request_iterator: AsyncIterator[Request], context: status.AnyContext
    ) -> AsyncIterator[Response]:
        """Answer from a queue that another task fills."""
        del context
        queue: asyncio.Queue[Request] = asyncio.Queue()

        async def read() -> None:
            async for request in request_iterator:
                await queue.put(request)

        task = self._group.create_task(read())
        try:
            while True:
                yield Response(number=(await queue.get()).number)
        finally:
            task.cancel()


async def test_a_handler_may_read_in_a_task_of_its_own() -> None:
    seen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))
    async with asyncio.timeout(10), asyncio.TaskGroup() as group, LocalServer() as server:
        reading = Reading(group)  # type: ignore[abstract]  # Submit is enough here
        consensus_pb2_grpc.add_ConsensusServiceServicer_to_server(reading, server)
        stub = consensus_pb2_grpc.ConsensusServiceStub(server.channel())

        async def requests() -> AsyncIterator[Request]:
            yield Request(number=1)
            await asyncio.Event().wait()

        call = stub.Submit(requests())
        assert number_of(await call.read()) == 1
        call.cancel()
        await turns()
    assert seen == []


async def test_a_dropped_call_cancels_the_handler() -> None:
    async with opened() as one:
        call = one.stub.Submit()
        await call.write(Request(number=1))
        await call.read()
        del call
        gc.collect()
        await one.consensus.cancelled.wait()


async def test_the_server_s_end_ends_every_call() -> None:
    async with opened() as one:
        call = one.stub.Submit()
        await call.write(Request(number=1))
        await call.read()
        await one.server.stop(None)
        assert (await status_of(call.read())).code() is grpc.StatusCode.UNAVAILABLE
        assert (await status_of(call.write(Request()))).code() is grpc.StatusCode.UNAVAILABLE


async def test_a_writer_waits_for_its_reader() -> None:
    async with opened() as one:
        call = one.watching.Watch(ingestion_pb2.WatchRequest())
        await turns(10 * PIPE_MESSAGES_MAX)
        assert one.ingestion.sent == PIPE_MESSAGES_MAX + 1
        answers = aiter(call)
        for number in range(1, 3 * PIPE_MESSAGES_MAX):
            assert (await anext(answers)).events[0].number == number
        call.cancel()


async def test_written_requests_wait_for_the_handler() -> None:
    async with opened() as one, asyncio.TaskGroup() as group:
        call = one.stub.Submit()
        written = 0

        async def write() -> None:
            nonlocal written
            for number in range(20, 220):
                await call.write(Request(number=number))
                written += 1
            await call.done_writing()

        group.create_task(write())
        await turns(400)
        assert written < 50
        assert [answer.number async for answer in call] == list(range(20, 220))
        with pytest.raises(asyncio.InvalidStateError):
            await call.write(Request(number=1))


async def test_the_writer_style_chooses_its_own_end() -> None:
    async with opened() as one:
        call = one.stub.Blocks()
        await call.done_writing()
        failure = await status_of(call.read())
        assert failure.code() is grpc.StatusCode.DATA_LOSS
        assert failure.details() == "as asked"
        assert dict(failure.trailing_metadata() or ()) == {"key": "value"}


async def test_what_a_handler_learns_about_its_call() -> None:
    async with opened() as one:
        request = consensus_pb2.ConsensusStatusRequest()
        called: list[object] = []
        call = one.stub.ConsensusStatus(request, metadata=(("key", "value"),))
        call.add_done_callback(called.append)
        assert call.time_remaining() is None
        await call.wait_for_connection()
        await call
        call.add_done_callback(called.append)
        assert called == [call, call]
        context = one.consensus.context
        assert context is not None
        metadata = context.invocation_metadata()
        assert metadata is not None
        assert dict(metadata) == {"key": "value"}
        assert context.peer() == "local"
        assert context.peer_identities() is None
        assert context.peer_identity_key() is None
        assert context.auth_context() == {"transport_security_type": (b"local",)}
        assert context.time_remaining() == float("inf")
        assert context.done()
        assert context.code() is grpc.StatusCode.OK
        assert context.details() == ""
        assert tuple(context.trailing_metadata()) == ()
        timed = one.stub.ConsensusStatus(request, timeout=60)
        remaining = timed.time_remaining()
        assert remaining is not None
        assert 0 < remaining <= 60
        await timed


async def test_a_channel_is_always_ready() -> None:
    async with opened() as one, one.server.channel() as channel:
        assert channel.get_state() is grpc.ChannelConnectivity.READY
        await channel.channel_ready()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
