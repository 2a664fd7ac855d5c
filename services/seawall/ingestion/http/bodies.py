"""Bodies of requests: bounded in size before a byte is read, in time, and all together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request

from seawall.errors import PeerError
from seawall.ingestion.config import IngestionSettings


class Bodies:
    """Room for the bodies of all requests that are under way."""

    def __init__(self, settings: IngestionSettings) -> None:
        """Start with all of it free."""
        self._settings = settings
        self._free_bytes = settings.http_bodies_bytes_max
        self._room = asyncio.Event()

    @asynccontextmanager
    async def taking(self, request: Request, size_bytes_max: int) -> AsyncIterator[bytes]:
        """Hold room for a request's body, and yield it.

        Raises:
            PeerError: HTTP_LENGTH, HTTP_ENCODING, TOO_LARGE, QUOTA_BODIES before anything is
                read; DEADLINE for a sender that is too slow; HTTP_BODY for one that went away.

        """
        size_bytes = _announced(request, size_bytes_max)
        await self._reserve(size_bytes)
        try:
            yield await self._read(request)
        finally:
            self._free_bytes += size_bytes
            self._room.set()

    async def _reserve(self, size_bytes: int) -> None:
        """Wait a while for room: a body that is not read holds its sender back by itself."""
        try:
            async with asyncio.timeout(self._settings.patience_seconds):
                while self._free_bytes < size_bytes:
                    self._room.clear()
                    await self._room.wait()
        except TimeoutError:
            hint = "too many bodies are on their way here: try again in a moment"
            raise PeerError("QUOTA_BODIES", hint) from None
        self._free_bytes -= size_bytes

    async def _read(self, request: Request) -> bytes:
        """Return the body; the server takes care that it is as long as was said."""
        try:
            async with asyncio.timeout(self._settings.http_body_seconds_max):
                return await request.body()
        except TimeoutError:
            hint = f"send a body within {self._settings.http_body_seconds_max} s"
            raise PeerError("DEADLINE", hint, field="body") from None
        except ClientDisconnect:
            hint = "stay until the whole body is sent"
            raise PeerError("HTTP_BODY", hint, field="body") from None


def _announced(request: Request, size_bytes_max: int) -> int:
    """Return how long a body will be, in bytes.

    Raises:
        PeerError: HTTP_LENGTH, HTTP_ENCODING, TOO_LARGE.

    """
    if request.headers.get("content-encoding", "identity") != "identity":
        hint = "send the bytes as they are: nothing compressed is unpacked"
        raise PeerError("HTTP_ENCODING", hint, field="content-encoding")
    length = request.headers.get("content-length", "")
    if not (length.isascii() and length.isdecimal()):
        hint = "say how long the body is, with Content-Length and not in pieces"
        raise PeerError("HTTP_LENGTH", hint, field="content-length")
    size_bytes = int(length)
    if size_bytes > size_bytes_max:
        hint = f"a body has at most {size_bytes_max} bytes here: send large payloads in chunks"
        raise PeerError("TOO_LARGE", hint, field="body")
    return size_bytes
