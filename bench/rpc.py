"""JSON-RPC over HTTP/1.1 and over a WebSocket: as much of both as loading a peer system needs.

Source: RFC 9112 (messages, chunked bodies), RFC 6455 (frames), the JSON-RPC 2.0 specification.
"""

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

HOST = "127.0.0.1"
ANSWER_SECONDS_MAX = 60.0
LINE_BYTES_MAX = 1 << 26
TEXT, PING, PONG = 1, 9, 10
FINAL_BIT = 0x80
MASK_BIT = 0x80
SHORT_MAX = 125
MEDIUM, LONG = 126, 127


class Connection:
    """One connection that is kept; calls on it take turns."""

    def __init__(self, port: int) -> None:
        """Connect at the first call."""
        self._port = port
        self._turn = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def call(self, method: str, **parameters: str) -> Any:  # noqa: ANN401 - JSON
        """Return the result of one call.

        Raises:
            RuntimeError: the answer is an error.
            OSError: nobody answers.

        """
        answer = json.loads(await self._post(json.dumps(_request(1, method, parameters))))
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    async def batch(self, method: str, name: str, values: Sequence[str]) -> int:
        """Make a call with each value and return how many came back with code 0."""
        calls = [_request(at, method, {name: value}) for at, value in enumerate(values)]
        return (await self._post(json.dumps(calls))).count(b'"code":0')

    async def _post(self, text: str) -> bytes:
        body = text.encode()
        async with self._turn, asyncio.timeout(ANSWER_SECONDS_MAX):
            try:
                if self._streams is None:
                    self._streams = await asyncio.open_connection(
                        HOST, self._port, limit=LINE_BYTES_MAX
                    )
                reader, writer = self._streams
                head = f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
                writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
                return await _body(reader)
            except BaseException:
                self.close()
                raise


def _request(number: int, method: str, parameters: dict[str, str]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}


async def _body(reader: asyncio.StreamReader) -> bytes:
    """Return the body of an answer, however long it says to be."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"transfer-encoding: chunked" not in head:
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        return await reader.readexactly(int(length))
    parts = []
    while size := int((await reader.readline()).partition(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(parts)


class Events:
    """A subscription over a WebSocket: yields the value of each event."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read from an open WebSocket; see `open`."""
        self._reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int, query: str) -> AsyncIterator["Events"]:
        """Subscribe; the subscription stands when the block begins."""
        reader, writer = await asyncio.open_connection(HOST, port, limit=LINE_BYTES_MAX)
        try:
            key = base64.b64encode(os.urandom(16)).decode()
            head = f"GET /websocket HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\n"
            more = f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            writer.write(f"{head}{more}Sec-WebSocket-Version: 13\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            events = cls(reader, writer)
            events._send(TEXT, json.dumps(_request(7, "subscribe", {"query": query})).encode())
            await events._message()
            yield events
        finally:
            writer.close()

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        """Yield values until cancelled."""
        while True:
            yield json.loads(await self._message())["result"]["data"]["value"]

    def _send(self, kind: int, data: bytes) -> None:
        """Send one short frame; a mask of zeros leaves the data as they are."""
        assert len(data) <= SHORT_MAX, "a client says little here"
        frame = bytes((FINAL_BIT | kind, MASK_BIT | len(data))) + bytes(4) + data
        self._writer.write(frame)

    async def _message(self) -> bytes:
        """Return the next whole message."""
        parts: list[bytes] = []
        while True:
            first, length = await self._reader.readexactly(2)
            if length == MEDIUM:
                length = int.from_bytes(await self._reader.readexactly(2), "big")
            elif length == LONG:
                length = int.from_bytes(await self._reader.readexactly(8), "big")
            data = await self._reader.readexactly(length)
            if first & 0x0F == PING:
                self._send(PONG, data)
            elif first & 0x0F <= TEXT + 1:
                parts.append(data)
                if first & FINAL_BIT:
                    return b"".join(parts)
