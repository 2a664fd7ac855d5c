"""RPCs inside one process: generated stubs and servicers meet without a socket.

`LocalServer` collects the handlers that the generated `add_…_to_server` functions register.
`LocalServer.channel()` is a `grpc.aio.Channel` on which the generated stubs call them. Messages
travel by reference, so neither side may change one that it sent or received. Behaviour follows
grpc.aio: a handler runs in a task of its own, errors arrive as `AioRpcError` with trailing
metadata, cancelling either side ends the other, and a writer waits while the reader is behind.

Requests given as an iterator are pulled by the handler when it asks for the next one; responses
and written requests pass through a queue of `PIPE_MESSAGES_MAX`.
"""

import asyncio
from collections.abc import (
    AsyncIterator,
    Coroutine,
    Generator,
    Iterable,
    Mapping,
)
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio

from seawall.runtime.exchange import Exchange, Handler, Wrap


class LocalServer(grpc.aio.Server):
    """Handlers of this process, by the full name of their method.

    Use as an async context manager: calls run while it is open, and are cancelled at its end.
    """

    def __init__(self, wrap: Wrap | None = None) -> None:
        """Start without handlers; each service's are passed through `wrap` first."""
        self._wrap = wrap
        self._handlers: dict[str, Handler] = {}
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop(None)

    def add_generic_rpc_handlers(
        self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]
    ) -> None:
        """Do nothing: generated code registers the same handlers by name as well."""

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, Handler]
    ) -> None:
        """Take the handlers of one service."""
        if self._wrap is not None:
            method_handlers = self._wrap(service_name, method_handlers)
        for method, handler in method_handlers.items():
            self._handlers[f"/{service_name}/{method}"] = handler

    def channel(self) -> "LocalChannel":
        """Return a channel to these handlers."""
        return LocalChannel(self)

    def handler(self, method: str) -> "Handler | None":
        """Return the handler of `/service/method`, if there is one."""
        return self._handlers.get(method)

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None] | None":
        """Run one call; None when the server is not open."""
        if self._group is None:
            work.close()
            return None
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def start(self) -> None:
        """Open for calls."""
        self._group = await asyncio.TaskGroup().__aenter__()

    async def stop(self, grace: float | None) -> None:
        """Cancel calls that still run and wait for their end; `grace` is not waited for."""
        del grace
        group, self._group = self._group, None
        if group is None:
            return
        for task in tuple(self._tasks):
            task.cancel()
        await group.__aexit__(None, None, None)

    def add_insecure_port(self, address: str) -> int:
        """Refuse: there is no socket."""
        raise NotImplementedError(address)

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> int:
        """Refuse: there is no socket."""
        raise NotImplementedError(address, server_credentials)

    async def wait_for_termination(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is gRPC's
    ) -> bool:
        """Refuse: whoever opened the server ends it."""
        raise NotImplementedError(timeout)


class LocalChannel(grpc.aio.Channel):
    """A channel whose calls end in handlers of this process."""

    def __init__(self, server: LocalServer) -> None:
        """Call the handlers of `server`."""
        self._server = server

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        await self.close()
        return None

    async def close(self, grace: float | None = None) -> None:
        """Do nothing: a channel holds no resource."""

    def get_state(
        self,
        try_to_connect: bool = False,  # noqa: FBT001, FBT002 - the signature is gRPC's
    ) -> grpc.ChannelConnectivity:
        """Return READY."""
        del try_to_connect
        return grpc.ChannelConnectivity.READY

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait for ever: the state never changes."""
        del last_observed_state
        await asyncio.get_running_loop().create_future()

    async def channel_ready(self) -> None:
        """Return at once."""

    def _callable(self, method: str, *_: object, **__: object) -> Any:  # noqa: ANN401 - any kind
        return _Method(self._server, method)

    unary_unary = _callable
    unary_stream = _callable
    stream_unary = _callable
    stream_stream = _callable


class _Method:
    """One method of a channel; calling it starts an RPC."""

    def __init__(self, server: LocalServer, method: str) -> None:
        self._server = server
        self._method = method

    def __call__(
        self,
        request: object = None,
        *,
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str | bytes]] | None = None,
        **_: object,
    ) -> "LocalCall":
        exchange = Exchange(self._server, self._method, request, timeout, metadata)
        exchange.start()
        return LocalCall(exchange)


class LocalCall(grpc.aio.StreamStreamCall[Any, Any]):
    """The client's side of one RPC of any kind; dropping it cancels the call."""

    def __init__(self, exchange: Exchange) -> None:
        """Speak for one exchange."""
        self._exchange = exchange
        self._iterator: AsyncIterator[Any] | None = None

    def __del__(self) -> None:
        if not self._exchange.loop.is_closed():
            self._exchange.cancel()

    def __await__(self) -> Generator[None, None, Any]:
        return self._single().__await__()

    def __aiter__(self) -> AsyncIterator[Any]:
        if self._iterator is None:
            self._iterator = self._messages()
        return self._iterator

    async def read(self) -> Any:  # noqa: ANN401 - a message, or EOF
        """Return the next response, or EOF at the regular end; raises `AioRpcError`."""
        try:
            item = await self._exchange.responses.get()
        except asyncio.CancelledError:
            self.cancel()
            raise
        if item is grpc.aio.EOF:
            await self._ended()
        return item

    async def write(self, request: object) -> None:
        """Send a request; raises `InvalidStateError` or `AioRpcError` after the end."""
        assert self._exchange.request is None, "this call has a request iterator"
        try:
            queued = await self._exchange.requests.put(request)
        except asyncio.CancelledError:
            self.cancel()
            raise
        if not queued:
            if self.done():
                await self._ended()
            raise asyncio.InvalidStateError("the call is closed for writing")

    async def done_writing(self) -> None:
        """Say that no request follows."""
        self._exchange.requests.close()

    async def initial_metadata(self) -> grpc.aio.Metadata:
        """Return nothing."""
        return grpc.aio.Metadata()

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        """Return what came with the end, once it is there."""
        await self._exchange.finished.wait()
        return grpc.aio.Metadata(*self._exchange.trailers)

    async def code(self) -> grpc.StatusCode:
        """Return the status of the end, once it is there."""
        await self._exchange.finished.wait()
        assert self._exchange.status is not None
        return self._exchange.status

    async def details(self) -> str:
        """Return the text of the end, once it is there."""
        await self._exchange.finished.wait()
        return self._exchange.details

    async def wait_for_connection(self) -> None:
        """Return at once."""

    def cancelled(self) -> bool:
        """Say whether the call was cancelled."""
        return self._exchange.status is grpc.StatusCode.CANCELLED

    def done(self) -> bool:
        """Say whether the call has ended."""
        return self._exchange.status is not None

    def time_remaining(self) -> float | None:
        """Return seconds until the deadline, None without one."""
        deadline = self._exchange.deadline
        return None if deadline is None else deadline - self._exchange.loop.time()

    def cancel(self) -> bool:
        """End the call; False when it has ended before."""
        return self._exchange.cancel()

    def add_done_callback(self, callback: Any) -> None:  # noqa: ANN401 - gRPC's own type is private
        """Call `callback(call)` at the end."""
        if self.done():
            callback(self)
        else:
            self._exchange.callbacks.append(lambda: callback(self))

    async def _single(self) -> Any:  # noqa: ANN401 - the one response
        response = await self.read()
        if response is grpc.aio.EOF:
            raise self._exchange.failure()
        return response

    async def _messages(self) -> AsyncIterator[Any]:
        while (item := await self.read()) is not grpc.aio.EOF:
            yield item

    async def _ended(self) -> None:
        """Raise unless the call ended well."""
        status = await self.code()
        if self._exchange.cancelled_by_caller:
            raise asyncio.CancelledError
        if status is not grpc.StatusCode.OK:
            raise self._exchange.failure()
