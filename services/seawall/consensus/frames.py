"""Links as frames over TLS: the messages of `Blocks` without gRPC around them.

    frame: length in bytes (4, big-endian), then one `PeerMessage` of that many bytes

A message costs a fraction of what it does over gRPC, which hands each through a thread of its own.
Trust is the same: both sides show the certificate that genesis pins for them, and the answering
side tells by it who is calling. What travels is the same too, hello first, and last why a side ends
the link. A site that takes frames says on which port in its `ConsensusStatus`; whoever cannot reach
it there uses the gRPC stream.
"""

import asyncio
import os
import ssl
from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import Final, cast

from seawall.consensus.messages import FRAGMENT_BYTES_MAX, PeerMessage, parse
from seawall.errors import LocalError, OperationalError, PeerError, SeawallError
from seawall.runtime.channels import MESSAGE_SIZE_BYTES_MAX
from seawall.runtime.status import error_of, refusal

WAITING_MESSAGES_MAX: Final = 64
WAITING_BYTES_MAX: Final = 2 * FRAGMENT_BYTES_MAX
"""Once so much has come and not been read, nothing more is taken from the socket."""

UNSENT_BYTES_MAX: Final = 1 << 20
"""Once so much is on its way to the socket, writers wait."""

REASON_CHARACTERS_MAX: Final = 512
"""Longest text of a peer's reason."""

FAREWELL_SECONDS_MAX: Final = 1.0
"""How long a reason may take to reach a peer before the connection is cut."""

_LENGTH: Final = Struct(">I")


class FrameStream(asyncio.Protocol):
    """One connection; implements `seawall.consensus.links.Stream`."""

    transport = "frames"

    def __init__(self, opened: "Callable[[FrameStream], None] | None" = None) -> None:
        """Wait for the connection; `opened` is called once it stands, certificates checked."""
        self._opened = opened
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._messages: deque[tuple[PeerMessage, int]] = deque()
        self._waiting_bytes = 0
        self._paused = False
        self._end: SeawallError | None = None
        self._ended = False
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    # --- what the transport calls ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=UNSENT_BYTES_MAX)
        if self._opened is not None:
            self._opened(self)

    def data_received(self, data: bytes) -> None:
        """Cut out the messages that are complete."""
        if self._ended:
            return
        self._buffer += data
        try:
            self._cut()
        except PeerError as fault:
            self._finish(fault)
        self._arrived.set()

    def eof_received(self) -> None:
        """Note that the peer sends nothing more; the transport closes itself."""
        self._finish(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release whoever waits."""
        self._finish(None if exc is None else _closed())
        self._transport = None
        self._writable.set()

    def pause_writing(self) -> None:
        """Make writers wait."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let them go on."""
        self._writable.set()

    # --- what a link calls ----------------------------------------------------------------------

    @property
    def certificate(self) -> bytes:
        """Return the peer's certificate, DER; empty when there is none."""
        tls = None if self._transport is None else self._transport.get_extra_info("ssl_object")
        return b"" if tls is None else tls.getpeercert(binary_form=True) or b""

    async def read(self) -> PeerMessage | None:
        """Return the next message, None at the end.

        Raises:
            PeerError: RPC_TOO_LARGE, SYNC_FRAME for bytes that are no frame; the peer's reason.
            OperationalError: LINK_CLOSED when the connection broke.

        """
        while not self._messages:
            if self._ended:
                if self._end is not None:
                    raise self._end
                return None
            self._arrived.clear()
            await self._arrived.wait()
        message, size_bytes = self._messages.popleft()
        self._waiting_bytes -= size_bytes
        if self._paused and not self._is_full() and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return message

    async def write(self, message: PeerMessage) -> None:
        """Send a message; waits while too much is unsent.

        Raises:
            OperationalError: LINK_CLOSED.

        """
        await self._writable.wait()
        if self._transport is None or self._transport.is_closing():
            raise _closed()
        self._transport.write(_frame(message))

    def close(self, reason: SeawallError | None = None) -> None:
        """End the connection, telling the peer why if there is a reason.

        A peer that does not read cannot hold it.
        """
        transport = self._transport
        if transport is None:
            return
        if reason is not None and not transport.is_closing():
            transport.write(_frame(PeerMessage(end=refusal(reason))))
            transport.close()
            asyncio.get_running_loop().call_later(FAREWELL_SECONDS_MAX, transport.abort)
        else:
            transport.abort()

    def damage(self) -> bool:
        """Put a byte that belongs nowhere on the wire, beneath TLS; return whether it went out."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        try:
            return os.write(transport.get_extra_info("socket").fileno(), b"\xff") == 1
        except OSError:
            return False

    # --- inside ---------------------------------------------------------------------------------

    def _cut(self) -> None:
        """Move complete frames from the buffer to the messages; raises `PeerError`."""
        buffer, start = self._buffer, 0
        while len(buffer) - start >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(buffer, start)
            if size > MESSAGE_SIZE_BYTES_MAX:
                hint = f"at most {MESSAGE_SIZE_BYTES_MAX} bytes in one message"
                raise PeerError("RPC_TOO_LARGE", hint, field="frame")
            end = start + _LENGTH.size + size
            if end > len(buffer):
                break
            message = parse(bytes(buffer[start + _LENGTH.size : end]))
            if message.HasField("end"):
                raise _reason(message)
            self._messages.append((message, size))
            self._waiting_bytes += size
            start = end
        del buffer[:start]
        if self._is_full() and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _is_full(self) -> bool:
        return (
            len(self._messages) >= WAITING_MESSAGES_MAX or self._waiting_bytes >= WAITING_BYTES_MAX
        )

    def _finish(self, reason: SeawallError | None) -> None:
        """Note the end, after the messages that came before it; the first reason counts."""
        if not self._ended:
            self._ended = True
            self._end = reason
            self._buffer.clear()
            self._arrived.set()


def parse_address(address: str) -> tuple[str, int]:
    """Return host and port of `host:port`.

    Raises:
        LocalError: SITE_CONFIG for something else.

    """
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdecimal() or int(port) >= 1 << 16:
        raise LocalError("SITE_CONFIG", "write host:port", field="consensus.frame_address")
    return host.strip("[]"), int(port)


async def listen(
    address: str,
    tls: ssl.SSLContext,
    opened: Callable[[FrameStream], None],
    *,
    handshake_seconds_max: float,
) -> asyncio.Server:
    """Return a server that calls `opened` for each connection whose certificate is trusted.

    Raises:
        LocalError: SITE_CONFIG for a bad address.
        OperationalError: SITE_PORT when the port cannot be had.

    """
    host, port = parse_address(address)
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(
            lambda: FrameStream(opened),
            host,
            port,
            ssl=tls,
            ssl_handshake_timeout=handshake_seconds_max,
        )
    except OSError as fault:
        hint = f"cannot listen on {address}: is it in use?"
        raise OperationalError("SITE_PORT", hint) from fault


async def dial(
    host: str, port: int, tls: ssl.SSLContext, server_name: str, *, seconds_max: float
) -> FrameStream | None:
    """Return a connection; None when there is none to be had, or another site answers."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds_max):
            _, stream = await loop.create_connection(
                FrameStream, host, port, ssl=tls, server_hostname=server_name
            )
    except (OSError, TimeoutError):
        return None
    return stream


def _frame(message: PeerMessage) -> bytes:
    data = message.SerializeToString()
    return _LENGTH.pack(len(data)) + data


def _reason(message: PeerMessage) -> PeerError:
    """Return why the peer ends the link; its texts are cut."""
    told = error_of(message.end)
    field = None if told.field is None else told.field[:REASON_CHARACTERS_MAX]
    hint = told.hint[:REASON_CHARACTERS_MAX]
    return PeerError(told.code[:REASON_CHARACTERS_MAX], hint, field=field, offset=told.offset)


def _closed() -> OperationalError:
    return OperationalError("LINK_CLOSED", "the connection has ended")
