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
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Mapping,
)
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Any, Final, Never, Self, TypeAlias, cast

import grpc
import grpc.aio

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
"""What the generated code registers for one method."""

PIPE_MESSAGES_MAX: Final = 16
"""Messages that a writer may be ahead of its reader."""

OWN_PROCESS: Final = "local"
"""`transport_security_type` of calls inside the process."""


class LocalServer(grpc.aio.Server):
    """Handlers of this process, by the full name of their method.

    Use as an async context manager: calls run while it is open, and are cancelled at its end.
    """

    def __init__(self) -> None:
        """Start without handlers."""
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

    async def wait_for_termination(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - the signature is gRPC's
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

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002 - the signature is gRPC's
        """Return READY."""
        del try_to_connect
        return grpc.ChannelConnectivity.READY

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait for ever: the state never changes."""
        del last_observed_state
        await asyncio.get_running_loop().create_future()

    async def channel_ready(self) -> None:
        """Return at once."""

    def _callable(self, method: str, *_: object, **__: object) -> Any:  # noqa: ANN401 - one class stands for gRPC's four kinds
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
        exchange = _Exchange(self._server, self._method, request, timeout, metadata)
        exchange.start()
        return LocalCall(exchange)


class _Pipe:
    """A bounded queue that ends: closing it releases both sides."""

    def __init__(self) -> None:
        self._items: deque[object] = deque()
        self._changed = asyncio.Event()
        self._closed = False

    async def put(self, item: object) -> bool:
        """Queue an item once there is room; False when the pipe is closed."""
        while len(self._items) >= PIPE_MESSAGES_MAX and not self._closed:
            self._changed.clear()
            await self._changed.wait()
        if self._closed:
            return False
        self._items.append(item)
        self._changed.set()
        return True

    async def get(self) -> object:
        """Return the next item, or EOF after the last one."""
        while not self._items:
            if self._closed:
                return grpc.aio.EOF
            self._changed.clear()
            await self._changed.wait()
        item = self._items.popleft()
        self._changed.set()
        return item

    def close(self) -> None:
        self._closed = True
        self._changed.set()

    def clear(self) -> None:
        self._items.clear()
        self.close()


class _Exchange:
    """The state of one RPC, seen from both sides."""

    def __init__(
        self,
        server: LocalServer,
        method: str,
        request: object,
        timeout: float | None,
        metadata: Iterable[tuple[str, str | bytes]] | None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.method = method
        self.request = request
        self.metadata = tuple(metadata or ())
        self.deadline = None if timeout is None else self.loop.time() + timeout
        self.requests = _Pipe()
        self.responses = _Pipe()
        self.finished = asyncio.Event()
        self.status: grpc.StatusCode | None = None
        self.details = ""
        self.trailers: tuple[tuple[str, str | bytes], ...] = ()
        self.callbacks: list[Callable[[], object]] = []
        self.cancelled_by_caller = False
        self._server = server
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to run the handler."""
        handler = self._server.handler(self.method)
        if handler is None:
            self.finish(grpc.StatusCode.UNIMPLEMENTED, f"no handler for {self.method}")
            return
        self._task = self._server.spawn(self._run(handler))
        if self._task is None:
            self.finish(grpc.StatusCode.UNAVAILABLE, "this process is not serving")
        elif self.deadline is not None:
            timer = self.loop.call_at(self.deadline, self._expire)
            self.callbacks.append(timer.cancel)

    def finish(self, status: grpc.StatusCode, details: str = "") -> None:
        """End the RPC; the first end counts."""
        if self.status is not None:
            return
        self.status = status
        self.details = details
        self.responses.close()
        self.requests.clear()
        self.finished.set()
        for callback in self.callbacks:
            callback()

    def stop(self, status: grpc.StatusCode, details: str) -> bool:
        """End the RPC from outside its handler; False when it has ended before."""
        if self.status is not None:
            return False
        self.finish(status, details)
        self.responses.clear()
        if self._task is not None:
            self._task.cancel()
        return True

    def failure(self) -> grpc.aio.AioRpcError:
        """Return the end of this RPC as an error."""
        assert self.status is not None
        return grpc.aio.AioRpcError(
            self.status,
            grpc.aio.Metadata(),
            grpc.aio.Metadata(*self.trailers),
            details=self.details,
            debug_error_string=f"{self.method} in process",
        )

    def cancel(self) -> bool:
        """End the RPC for its caller; False when it has ended before."""
        self.cancelled_by_caller = self.status is None
        return self.stop(grpc.StatusCode.CANCELLED, "cancelled by its caller")

    def _expire(self) -> None:
        self.stop(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")

    async def _run(self, handler: Handler) -> None:
        """Run the handler to its end; nothing of it escapes."""
        context = LocalContext(self)
        try:
            await self._handle(handler, context)
        except grpc.aio.AbortError:
            self.finish(*context.outcome)
        except asyncio.CancelledError:
            # The client's end is there already; otherwise the server stops.
            self.finish(grpc.StatusCode.UNAVAILABLE, "this process is stopping")
        except NotImplementedError:
            self.finish(grpc.StatusCode.UNIMPLEMENTED, f"{self.method} is not implemented")
        except Exception as error:  # noqa: BLE001 - like gRPC: a broken handler costs its own call
            self.finish(grpc.StatusCode.UNKNOWN, f"unexpected {type(error).__name__}")
            self.loop.call_exception_handler(
                {"message": f"handler of {self.method} failed", "exception": error}
            )
        else:
            self.finish(*context.outcome)

    async def _handle(self, handler: Handler, context: "LocalContext") -> None:
        behaviour = cast(
            "Callable[[object, LocalContext], Any]",
            handler.unary_unary
            or handler.unary_stream
            or handler.stream_unary
            or handler.stream_stream,
        )
        if not handler.request_streaming:
            await self._answer(behaviour(self.request, context), handler.response_streaming)
            return
        requests = self._incoming()
        context.requests = requests
        try:
            await self._answer(behaviour(requests, context), handler.response_streaming)
        finally:
            with suppress(RuntimeError):  # a task of the handler still reads, and closes it
                await requests.aclose()

    async def _answer(self, result: Any, streaming: bool) -> None:  # noqa: ANN401, FBT001 - whatever a handler returns
        if not streaming:
            await self.responses.put(await result)
        elif hasattr(result, "__aiter__"):
            async with aclosing(result):
                async for response in result:
                    await self.responses.put(response)
        else:
            await result

    async def _incoming(self) -> AsyncGenerator[object, None]:
        """Yield the client's requests, from its iterator or as it writes them."""
        source = self.request
        if source is None:
            while (item := await self.requests.get()) is not grpc.aio.EOF:
                yield item
        elif isinstance(source, AsyncIterator) or hasattr(source, "__aiter__"):
            try:
                async for request in source:
                    yield request
            except (asyncio.CancelledError, GeneratorExit):
                raise
            except Exception as error:
                context = {"message": f"requests of {self.method} failed", "exception": error}
                self.loop.call_exception_handler(context)
                self.finish(grpc.StatusCode.CANCELLED, "the request iterator failed")
                raise asyncio.CancelledError from error
            finally:
                close = getattr(source, "aclose", None)
                if close is not None:
                    with suppress(RuntimeError):  # still running in a task of its own
                        await close()
        else:
            for request in cast("Iterable[object]", source):
                yield request


class LocalContext(grpc.aio.ServicerContext[Any, Any]):
    """What a handler learns about its call, and how it ends it."""

    def __init__(self, exchange: _Exchange) -> None:
        """Speak for one exchange."""
        self._exchange = exchange
        self.outcome: tuple[grpc.StatusCode, str] = (grpc.StatusCode.OK, "")
        self.requests: AsyncIterator[object] | None = None

    async def abort(
        self,
        code: grpc.StatusCode,
        details: str = "",
        trailing_metadata: Any = (),  # noqa: ANN401 - gRPC's own type is private
    ) -> Never:
        """End the call with an error; raises `AbortError`."""
        self.outcome = (code, details)
        if trailing_metadata:
            self._exchange.trailers = tuple(trailing_metadata)
        raise grpc.aio.AbortError(details)

    async def abort_with_status(self, status: grpc.Status) -> Never:
        """End the call with a status object; raises `AbortError`."""
        await self.abort(status.code, status.details, status.trailing_metadata)

    async def read(self) -> Any:  # noqa: ANN401 - a message, or EOF
        """Return the next request, or EOF."""
        assert self.requests is not None
        return await anext(self.requests, grpc.aio.EOF)

    async def write(self, message: object) -> None:
        """Send a response."""
        await self._exchange.responses.put(message)

    async def send_initial_metadata(self, initial_metadata: object) -> None:
        """Do nothing: nobody asks for it inside a process."""

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:  # noqa: ANN401 - as above
        """Attach metadata to the end of the call."""
        self._exchange.trailers = tuple(trailing_metadata)

    def invocation_metadata(self) -> grpc.aio.Metadata:
        """Return what the caller attached."""
        return grpc.aio.Metadata(*self._exchange.metadata)

    def set_code(self, code: grpc.StatusCode) -> None:
        """Choose the status of the end."""
        self.outcome = (code, self.outcome[1])

    def set_details(self, details: str) -> None:
        """Choose the text of the end."""
        self.outcome = (self.outcome[0], details)

    def set_compression(self, compression: grpc.Compression) -> None:
        """Do nothing: nothing is serialised."""

    def disable_next_message_compression(self) -> None:
        """Do nothing: nothing is serialised."""

    def peer(self) -> str:
        """Return a name for the other end."""
        return OWN_PROCESS

    def peer_identities(self) -> None:
        """Return None: there is no certificate."""

    def peer_identity_key(self) -> None:
        """Return None: there is no certificate."""

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """Say that the caller is this process."""
        return {"transport_security_type": (OWN_PROCESS.encode(),)}

    def time_remaining(self) -> float:
        """Return seconds until the deadline, infinity without one."""
        deadline = self._exchange.deadline
        return float("inf") if deadline is None else deadline - self._exchange.loop.time()

    def trailing_metadata(self) -> grpc.aio.Metadata:
        """Return what was attached to the end so far."""
        return grpc.aio.Metadata(*self._exchange.trailers)

    def code(self) -> grpc.StatusCode:
        """Return the chosen status."""
        return self.outcome[0]

    def details(self) -> str:
        """Return the chosen text."""
        return self.outcome[1]

    def add_done_callback(self, callback: Any) -> None:  # noqa: ANN401 - gRPC's own type is private
        """Call `callback(context)` at the end."""
        self._exchange.callbacks.append(lambda: callback(self))

    def cancelled(self) -> bool:
        """Say whether the call was cancelled."""
        return self._exchange.status is grpc.StatusCode.CANCELLED

    def done(self) -> bool:
        """Say whether the call has ended."""
        return self._exchange.status is not None


class LocalCall(grpc.aio.StreamStreamCall[Any, Any]):
    """The client's side of one RPC of any kind; dropping it cancels the call."""

    def __init__(self, exchange: _Exchange) -> None:
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
