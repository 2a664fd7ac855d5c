"""A relay between a contributor and a site that changes bytes on their way.

It stands for what a proxy, a gateway or bad memory does behind the end of TLS. Everything is
passed on as it is, except one chunk of an upload, once.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Final, Self

import grpc
import grpc.aio

from seawall.api.v1 import ingestion_pb2
from seawall.domain.genesis import GenesisSite
from seawall.runtime.channels import DIALLING_OPTIONS, SERVING_OPTIONS, client_channel

UPLOAD: Final = "/seawall.api.v1.IngestionService/Upload"


class TamperingRelay:
    """Listens on loopback and passes calls on to one site; an asynchronous context manager."""

    def __init__(self, site: GenesisSite, *, chunk: int, draw: int) -> None:
        """Choose the chunk to change, and by `draw` the byte in it."""
        self._site = site
        self._chunk = chunk
        self._draw = draw
        self._channel: grpc.aio.Channel | None = None
        self._server = grpc.aio.server(options=SERVING_OPTIONS)
        self._port = 0
        self.sent: Counter[int] = Counter()
        """How often each chunk came from the contributor, by its position."""
        self.changed = 0
        """How many chunks were changed."""

    async def __aenter__(self) -> Self:
        """Open the port."""
        self._channel = client_channel(self._site)
        self._server.add_generic_rpc_handlers((_Everything(self),))
        self._port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the port."""
        await self._server.stop(None)
        if self._channel is not None:
            await self._channel.close()

    def dial(self, site: GenesisSite, address: str) -> grpc.aio.Channel:
        """Return a channel that leads through the relay, whatever the site."""
        del site, address
        target = f"127.0.0.1:{self._port}"
        return grpc.aio.insecure_channel(target, options=list(DIALLING_OPTIONS))

    async def forward(
        self,
        method: str,
        requests: AsyncIterator[bytes],
        context: Any,  # noqa: ANN401 - gRPC's
    ) -> AsyncIterator[bytes]:
        """Pass one call on, and its answers back."""
        assert self._channel is not None, "entered before"
        stub: Any = self._channel.stream_stream(method)
        call: Any = stub(self._changed(method, requests))
        try:
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as failure:
            trailers = failure.trailing_metadata() or ()
            await context.abort(failure.code(), failure.details() or "", tuple(trailers))
        except asyncio.CancelledError:
            call.cancel()
            raise

    async def _changed(self, method: str, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for data in requests:
            yield self._change(data) if method == UPLOAD else data

    def _change(self, data: bytes) -> bytes:
        """Flip one bit of the chosen chunk when it passes for the first time."""
        request = ingestion_pb2.UploadRequest.FromString(data)
        self.sent[request.index] += 1
        if request.index != self._chunk or self.changed:
            return data
        self.changed += 1
        content = bytearray(request.data)
        content[self._draw % len(content)] ^= 1 << self._draw % 8
        return ingestion_pb2.UploadRequest(
            upload_id=request.upload_id, index=request.index, data=bytes(content)
        ).SerializeToString()


class _Everything(grpc.GenericRpcHandler):
    """Answers for every method; a call with one message is a stream of one."""

    def __init__(self, relay: TamperingRelay) -> None:
        self._relay = relay

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[Any, Any]":
        """Return the handler of a method: bytes in, bytes out."""
        method: Any = handler_call_details.method

        async def behaviour(requests: Any, context: Any) -> AsyncIterator[bytes]:  # noqa: ANN401 - gRPC's
            async for answer in self._relay.forward(method, requests, context):
                yield answer

        return grpc.stream_stream_rpc_method_handler(behaviour)
