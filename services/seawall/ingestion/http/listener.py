"""The HTTP port: connections bounded in number and in time, in the event loop of the role.

uvicorn speaks HTTP; it waits as long as it takes for a request's head, and for readers that do not
read. `BoundedProtocol` adds the bounds that a port open to everybody needs.
"""

import asyncio
import json
import logging
import ssl
from contextlib import suppress
from typing import Final

import h11
from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from seawall.errors import OperationalError, PeerError
from seawall.ingestion.config import IngestionSettings
from seawall.ingestion.http.problems import MEDIA_TYPE, document_of
from seawall.telemetry.logs import Log

HEAD_BYTES_MAX: Final = 16 << 10
HANDSHAKE_SECONDS_MAX: Final = 10.0
STOP_SECONDS_MAX: Final = 0.5
LOOK_SECONDS: Final = 0.01
LINGER_SECONDS: Final = 2.0
"""For how long a refused body is read on and dropped, so that its sender gets the answer."""

_QUIET: Final = logging.getLogger("seawall.http")
_QUIET.setLevel(logging.CRITICAL + 1)
"""uvicorn's log of what strangers send; what goes wrong with us the application logs itself."""


class BoundedProtocol(H11Protocol):
    """One connection."""

    def __init__(self, config: Config, state: ServerState, settings: IngestionSettings) -> None:
        """Start without a connection."""
        super().__init__(config=config, server_state=state, app_state={})
        self.logger = _QUIET
        self.access_log = False
        self._settings = settings
        self._reading: tuple[str, asyncio.TimerHandle] | None = None
        self._writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own signature
        """Take a connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self._settings.http_connections_max:
            transport.abort()
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take bytes, and note how far the request has come."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """End a response."""
        super().on_response_complete()
        self._watch(idle=True)

    def pause_writing(self) -> None:
        """Give a reader that takes nothing a bounded time."""
        super().pause_writing()
        seconds = self._settings.http_write_seconds_max
        self._writing = self.loop.call_later(seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        self._end_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything."""
        super().connection_lost(exc)
        self._end_reading()
        self._end_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer to bytes that are no request."""
        error = PeerError("HTTP_MALFORMED", "send a request of HTTP/1.1 with a short head")
        body = json.dumps(document_of(error)).encode()
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        with suppress(h11.LocalProtocolError):  # an answer is on its way: only the end is left
            reason = msg.encode("ascii")
            answer = h11.Response(status_code=400, headers=headers, reason=reason)
            parts = (answer, h11.Data(data=body), h11.EndOfMessage())
            for part in parts:
                self.transport.write(self.conn.send(part) or b"")
        self.transport.close()

    def _watch(self, *, idle: bool = False) -> None:
        """Bound what is awaited of the sender: a head, or the end of a body that was refused.

        Between two requests uvicorn's own timer runs; the body of a request that is at work is
        bounded by whoever reads it.
        """
        wanted, seconds = "", 0.0
        if self.conn.their_state is h11.IDLE and not idle:
            wanted, seconds = "head", self._settings.http_head_seconds_max
        elif self.conn.their_state is h11.SEND_BODY and self.cycle.response_complete:
            wanted, seconds = "rest", LINGER_SECONDS
        if self._reading is not None and self._reading[0] == wanted:
            return
        self._end_reading()
        if wanted:
            self._reading = (wanted, self.loop.call_later(seconds, self.transport.abort))

    def _end_reading(self) -> None:
        if self._reading is not None:
            self._reading[1].cancel()
            self._reading = None

    def _end_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None


class HttpListener:
    """Listens at one address until cancelled."""

    def __init__(
        self, app: ASGIApp, settings: IngestionSettings, tls: ssl.SSLContext, log: Log
    ) -> None:
        """Serve `app`; nothing is open yet."""
        self._settings = settings
        self._tls = tls
        self._log = log
        self._config = Config(
            app,
            http=H11Protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            # Who calls is who holds the connection, whatever a header says.
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=int(settings.http_idle_seconds) or 1,
            h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        )
        self._state = ServerState()

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            OperationalError: SITE_PORT when the address is in use.

        """
        host, _, port = self._settings.http_address.rpartition(":")
        self._config.load()
        try:
            server = await asyncio.get_running_loop().create_server(
                lambda: BoundedProtocol(self._config, self._state, self._settings),
                host.strip("[]"),
                int(port),
                # As at the port of gRPC: the kernel spreads connections over the workers.
                reuse_port=self._settings.workers > 1 or None,
                ssl=self._tls,
                ssl_handshake_timeout=HANDSHAKE_SECONDS_MAX,
                ssl_shutdown_timeout=STOP_SECONDS_MAX,
            )
        except OSError as fault:
            hint = f"cannot listen on {self._settings.http_address}: is it in use?"
            raise OperationalError("SITE_PORT", hint) from fault
        opened = server.sockets[0].getsockname()[1]
        self._log.info("serving_http", host=host, port=opened)
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
            await self._end_connections()

    async def _end_connections(self) -> None:
        """Let running answers end within a bound, then cut; return when all sockets are closed."""
        tasks = self._state.tasks
        for connection in self._connections():
            if connection.cycle is None or connection.cycle.response_complete:
                # At once: the end of TLS is awaited from somebody who may be gone.
                connection.transport.abort()
            else:
                connection.shutdown()
        if tasks:
            await asyncio.wait(tuple(tasks), timeout=STOP_SECONDS_MAX)
        for connection in self._connections():
            connection.transport.abort()
        for task in tuple(tasks):
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * STOP_SECONDS_MAX):
                while self._connections() or tasks:  # noqa: ASYNC110 - sets of uvicorn tell nobody
                    await asyncio.sleep(LOOK_SECONDS)

    def _connections(self) -> tuple[BoundedProtocol, ...]:
        """Return the open connections."""
        return tuple(one for one in self._state.connections if isinstance(one, BoundedProtocol))
