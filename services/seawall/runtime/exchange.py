"""The state of one RPC inside a process, and what its handler sees of it."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import aclosing, suppress
from types import MappingProxyType
from typing import Any, Final, Never, Protocol, TypeAlias, cast

import grpc
import grpc.aio

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
"""What the generated code registers for one method."""

Behaviour: TypeAlias = Callable[..., Any]
"""A servicer's method, of any of gRPC's four kinds."""

Wrap: TypeAlias = Callable[[str, Mapping[str, Handler]], Mapping[str, Handler]]
"""Returns what is to be registered for the handlers of a service, by name."""

PIPE_MESSAGES_MAX: Final = 16
"""Messages that a writer may be ahead of its reader."""

OWN_PROCESS: Final = "local"
"""`transport_security_type` of calls inside the process."""


def behaviour_of(handler: Handler) -> Behaviour:
    """Return the servicer's method that a handler calls."""
    behaviour: Behaviour | None = (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )
    assert behaviour is not None, "a handler is of one kind"
    return behaviour


def with_behaviour(handler: Handler, behaviour: Behaviour) -> Handler:
    """Return a handler of the same kind that calls this instead."""
    make = _FACTORIES[handler.request_streaming, handler.response_streaming]
    return make(
        behaviour,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )


_FACTORIES: Final[Mapping[tuple[bool, bool], Callable[..., Handler]]] = MappingProxyType(
    {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
)


class Handlers(Protocol):
    """Where handlers are found and run."""

    def handler(self, method: str) -> "Handler | None":
        """Return the handler of `/service/method`, if there is one."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None] | None":
        """Run one call; None when nothing is served."""
        ...


class Pipe:
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
        """End the pipe; what is in it can still be taken out."""
        self._closed = True
        self._changed.set()

    def clear(self) -> None:
        """End the pipe and drop what is in it."""
        self._items.clear()
        self.close()


class Exchange:
    """The state of one RPC, seen from both sides."""

    def __init__(
        self,
        server: Handlers,
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
        self.requests = Pipe()
        self.responses = Pipe()
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
        behaviour = behaviour_of(handler)
        if not handler.request_streaming:
            await self._answer(
                behaviour(self.request, context), streaming=handler.response_streaming
            )
            return
        requests = self._incoming()
        context.requests = requests
        try:
            await self._answer(behaviour(requests, context), streaming=handler.response_streaming)
        finally:
            with suppress(RuntimeError):  # a task of the handler still reads, and closes it
                await requests.aclose()

    async def _answer(self, result: Any, *, streaming: bool) -> None:  # noqa: ANN401 - anything
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

    def __init__(self, exchange: Exchange) -> None:
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
