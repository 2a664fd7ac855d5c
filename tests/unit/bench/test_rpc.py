"""The small HTTP and WebSocket client against a server that speaks as the peers' do."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from bench.rpc import HOST, Connection, Events

Speaker = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(speak: Speaker) -> AsyncIterator[int]:
    server = await asyncio.start_server(speak, HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def question(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    return await reader.readexactly(int(head.rpartition(b"Content-Length: ")[2].split()[0]))


async def answer_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for _ in range(2):
        asked = json.loads(await question(reader))
        body = json.dumps({"result": asked["params"]}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    writer.close()


async def answer_in_chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await question(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for part in (b'[{"result":{"code":0}},', b'{"result":{"code":1}},{"result":{"code":0}}]'):
        writer.write(b"%x\r\n%b\r\n" % (len(part), part))
    writer.write(b"0\r\n\r\n")
    writer.close()


async def answer_with_error(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await question(reader)
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"error":"no"}')
    writer.close()


async def publish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    head = await reader.readexactly(6)
    asked = json.loads(await reader.readexactly(head[1] & 0x7F))
    writer.write(b"\x81\x02{}")
    value = json.dumps({"result": {"data": {"value": asked["params"]}}}).encode()
    half = len(value) // 2
    writer.write(b"\x01" + bytes((half,)) + value[:half] + b"\x89\x02hi")
    rest = value[half:]
    writer.write(b"\x80\x7e" + len(rest).to_bytes(2, "big") + rest)
    assert (await reader.readexactly(8))[0] == 0x8A  # the ping was answered
    long = b'{"result":{"data":{"value":{"filler":"%b"}}}}' % (b"x" * 70_000)
    writer.write(b"\x81\x7f" + len(long).to_bytes(8, "big") + long)
    writer.close()


async def test_a_connection_is_kept_between_calls() -> None:
    async with listening(answer_plainly) as port:
        connection = Connection(port)
        assert await connection.call("block", height="5") == {"height": "5"}
        assert await connection.call("status") == {}
        connection.close()


async def test_a_batch_counts_what_was_accepted() -> None:
    async with listening(answer_in_chunks) as port:
        connection = Connection(port)
        assert await connection.batch("send", "tx", ["a", "b", "c"]) == 2
        connection.close()


async def test_an_error_is_raised() -> None:
    async with listening(answer_with_error) as port:
        connection = Connection(port)
        with pytest.raises(RuntimeError, match="status: no"):
            await connection.call("status")
        connection.close()


async def test_events_come_whole_whatever_their_frames() -> None:
    async with listening(publish) as port, Events.open(port, "blocks") as events:
        values = aiter(events)
        assert await anext(values) == {"query": "blocks"}
        assert len((await anext(values))["filler"]) == 70_000
