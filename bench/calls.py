"""Pieces that call between roles: the same stub inside one process, and over a socket with TLS."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
import grpc.aio

from bench.timing import Piece
from seawall.api.v1 import integrity_pb2, integrity_pb2_grpc
from seawall.runtime.certificates import make_certificate
from seawall.runtime.local import LocalServer
from seawall.runtime.tls import client_server_credentials

CALLS = 100
SITE = "site-0"


class Echo(integrity_pb2_grpc.IntegrityServiceServicer):
    """Answers as little as possible."""

    async def Attest(  # noqa: N802 - named by the wire contract
        self,
        request_iterator: AsyncIterator[integrity_pb2.AttestRequest],
        context: Any,  # noqa: ANN401, ARG002 - the signature of generated servicers
    ) -> AsyncIterator[integrity_pb2.AttestResponse]:
        """Answer each message of a stream."""
        async for request in request_iterator:
            yield integrity_pb2.AttestResponse(batch_number=request.batch_number)

    async def Describe(  # noqa: N802 - named by the wire contract
        self,
        request: integrity_pb2.DescribeRequest,  # noqa: ARG002 - as above
        context: Any,  # noqa: ANN401, ARG002 - as above
    ) -> integrity_pb2.DescribeResponse:
        """Answer a unary call."""
        return integrity_pb2.DescribeResponse()

    async def VerifyReceipt(  # noqa: N802 - named by the wire contract
        self,
        request: integrity_pb2.VerifyReceiptRequest,  # noqa: ARG002 - as above
        context: Any,  # noqa: ANN401, ARG002 - as above
    ) -> integrity_pb2.VerifyReceiptResponse:
        """Answer a unary call; not timed."""
        return integrity_pb2.VerifyReceiptResponse()


def call_pieces() -> Iterable[Piece]:
    """Yield calls within a process, then over TLS; both ends run in this process."""
    with asyncio.Runner() as runner:
        local = runner.run(open_local())
        yield from pieces_of(runner, local.channel(), "in process")
        runner.run(local.__aexit__(None, None, None))
        server, channel = runner.run(open_tls())
        yield from pieces_of(runner, channel, "TLS, both ends")
        runner.run(channel.close())
        runner.run(server.stop(None))


async def open_local() -> LocalServer:
    """Return a server without a socket."""
    server = LocalServer()
    await server.__aenter__()
    integrity_pb2_grpc.add_IntegrityServiceServicer_to_server(Echo(), server)
    return server


async def open_tls() -> tuple[grpc.aio.Server, grpc.aio.Channel]:
    """Return a server on a port of its own and a channel to it."""
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    key, certificate = make_certificate(SITE, ("127.0.0.1",), not_before=yesterday)
    server = grpc.aio.server()
    integrity_pb2_grpc.add_IntegrityServiceServicer_to_server(Echo(), server)
    port = server.add_secure_port("127.0.0.1:0", client_server_credentials(key, certificate))
    await server.start()
    credentials = grpc.ssl_channel_credentials(certificate)
    options = (("grpc.enable_http_proxy", 0),)
    return server, grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options)


def pieces_of(runner: asyncio.Runner, channel: grpc.aio.Channel, label: str) -> Iterable[Piece]:
    """Yield unary calls, and messages of one stream answered one by one."""
    stub: Any = integrity_pb2_grpc.IntegrityServiceStub(channel)

    async def unary() -> None:
        for _ in range(CALLS):
            await stub.Describe(integrity_pb2.DescribeRequest())

    async def requests() -> AsyncIterator[integrity_pb2.AttestRequest]:
        for number in range(CALLS):
            yield integrity_pb2.AttestRequest(batch_number=number)

    async def stream() -> None:
        async for _ in stub.Attest(requests()):
            pass

    yield Piece(name=f"unary call ({label})", call=lambda: runner.run(unary()), operations=CALLS)
    yield Piece(
        name=f"stream message and answer ({label})",
        call=lambda: runner.run(stream()),
        operations=CALLS,
    )
