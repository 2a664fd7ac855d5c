"""The HTTP side of ingestion: the same updates, the same answers as over gRPC."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from seawall.formats.oms import CHUNK_SIZE
from seawall.formats.receipt import verify_receipt
from seawall.ingestion.progress import SINKS_MAX
from tests.cases.authors import WIDE
from tests.cases.bad_input import all_cases
from tests.cases.case import Case, flip
from tests.integration.ingestion.web import Answer, Web, encoded
from tests.integration.ingestion.world import World, open_world, refusal_of
from tests.integration.sites import free_ports
from tests.tidy.checkout import ROOT

STAGES = ["received", "attested", "final", "committed"]
CASES = tuple(all_cases())
PROBLEM = "application/problem+json"
CHUNK = f"/v1/uploads/{'0' * 32}/chunks/0"


@asynccontextmanager
async def served(path: Path, *others: int, **limits: object) -> AsyncIterator[tuple[World, Web]]:
    """Return sites, the first of which also serves HTTP."""
    async with open_world(path, running=others) as world:
        (port,) = free_ports(1)
        address = f"127.0.0.1:{port}"
        await world.start(0, ingestion={"http_address": address, **limits})
        yield world, Web(world.sites.genesis.sites[0], port)


def fault(answer: Answer) -> tuple[str, str | None, int | None]:
    """Return code and place of a problem, whose form is that of RFC 9457."""
    assert answer.headers["content-type"] == PROBLEM
    told = answer.json
    assert told["type"] == f"urn:seawall:error:{told['code']}"
    assert (told["title"], told["status"]) == (told["code"], answer.status)
    assert told["detail"]
    return told["code"], told.get("field"), told.get("offset")


async def test_an_update_is_committed_followed_and_proven(tmp_path: Path) -> None:
    async with served(tmp_path, 1, 2, 3) as (world, web):
        update = world.authors[0].update()
        sent = await web.submit(update)
        name = update.update_id.hex()
        assert (sent.status, sent.json["updateId"]) == (202, name)
        followed = await web.call("GET", f"/v1/updates/{name}/events")
        assert followed.headers["content-type"].startswith("text/event-stream")
        *told, (last, _) = followed.events
        assert last == "end"
        stages = [event["stage"] for _, event in told]
        assert stages == STAGES[STAGES.index(stages[0]) :]
        entry = told[-1][1]["entryIndex"]
        status = await web.call("GET", f"/v1/updates/{name}")
        assert (status.status, status.json["entryIndex"]) == (200, entry)
        # The same bytes again are the same update; any site tells of it over gRPC as well.
        again = await web.submit(update)
        assert (again.status, again.json["stage"]) == (200, "committed")
        seen = await world.watch([update.update_id], 2)
        assert seen[-1].entry_index == entry
        receipt = await web.call("GET", f"/v1/updates/{name}/receipt?waitMs=5000")
        genesis = (tmp_path / "genesis.json").read_bytes()
        assert verify_receipt(receipt.body, genesis, update.payload).update.update_id == name
        checkpoint = await web.call("GET", "/v1/checkpoint")
        assert checkpoint.json["note"].startswith(world.sites.origin)


async def test_a_large_update_is_uploaded_and_only_bad_chunks_again(tmp_path: Path) -> None:
    async with served(tmp_path, 1, 2, 3) as (world, web):
        update = world.authors[0].update(WIDE)
        opened = (await web.open(update)).json
        assert (opened["missing"], opened["chunkCount"]) == ([0, 1, 2], 3)
        upload, chunks = opened["uploadId"], update.chunks
        assert (await web.chunk(upload, 0, chunks[0])).status == 204
        bad = await web.chunk(upload, 1, flip(chunks[1], 77))
        assert (bad.status, fault(bad)) == (422, ("CHUNK_HASH", "payload", CHUNK_SIZE))
        early = await web.finish(upload)
        assert (early.status, fault(early)[0]) == (409, "INCOMPLETE")
        assert (await web.open(update)).json["missing"] == [1, 2]
        for index in (1, 2):
            assert (await web.chunk(upload, index, chunks[index])).status == 204
        assert (await web.finish(upload)).status == 202
        name = update.update_id.hex()
        told = (await web.call("GET", f"/v1/events?updateId={name}&until=committed")).events
        assert told[-2][1]["stage"] == "committed"


def wrong(case: Case, found: tuple[str, str | None, int | None]) -> bool:
    """Say whether an answer is another than the table's."""
    code, field, offset = found
    return code != case.code or case.field not in (None, field) or case.offset not in (None, offset)


async def test_every_bad_update_gets_the_code_that_it_gets_over_grpc(tmp_path: Path) -> None:
    async with served(tmp_path) as (world, web):
        author = world.authors[0]
        different = {}
        for case in CASES:
            update = case.make(author)
            tensors = case.name.startswith(("payload", "values", "tensors"))
            answer = await (web.submit(update) if tensors else web.open(update))
            if wrong(case, fault(answer)):
                different[case.name] = fault(answer)
        assert not different
        assert await world.accepted() == 0


async def test_what_the_state_rules_refuse_is_refused(tmp_path: Path) -> None:
    async with served(tmp_path, 1, 2, 3) as (world, web):
        author = world.authors[0]
        first = author.update()
        await web.submit(first)
        await web.call("GET", f"/v1/updates/{first.update_id.hex()}/events")
        for update, code, status in (
            (author.update(seq=1), "REPLAY_SEQ", 409),
            (author.signed(first.payload), "REPLAY_PAYLOAD", 409),
            (author.update(base_digest=bytes(32)), "REPLAY_BASE", 400),
            (author.update(expires_height=0), "REPLAY_EXPIRED", 400),
        ):
            answer = await web.submit(update)
            assert (fault(answer)[0], answer.status) == (code, status)
            assert (await refusal_of(world.open(update))).code == code
        assert await world.accepted() == 1


REQUESTS: tuple[tuple[str, str, bytes | None, dict[str, str], int, str], ...] = (
    ("GET", "/", None, {}, 404, "HTTP_PATH"),
    ("GET", "/v1/updates", None, {}, 405, "HTTP_METHOD"),
    ("POST", "/v1/updates", b"{", {}, 400, "HTTP_BODY"),
    ("POST", "/v1/updates", b"[]", {}, 400, "HTTP_BODY"),
    ("POST", "/v1/updates", b"\xff", {}, 400, "HTTP_BODY"),
    ("POST", "/v1/updates", encoded({"envelope": b""}), {}, 400, "HTTP_BODY"),
    ("POST", "/v1/updates", b'{"envelope": "&", "payload": ""}', {}, 400, "HTTP_BODY"),
    ("POST", "/v1/updates", b'{"envelope": 7, "payload": ""}', {}, 400, "HTTP_BODY"),
    ("POST", "/v1/uploads", encoded({"envelope": b"", "more": b""}), {}, 400, "HTTP_BODY"),
    ("POST", "/v1/updates", b"{}", {"content-encoding": "gzip"}, 415, "HTTP_ENCODING"),
    ("POST", "/v1/updates", b"", {"content-length": "2000000"}, 413, "TOO_LARGE"),
    ("POST", "/v1/updates", None, {"transfer-encoding": "chunked"}, 411, "HTTP_LENGTH"),
    ("PUT", f"/v1/uploads/{'0' * 32}/chunks/0", b"x", {}, 400, "CHUNK_ORDER"),
    ("PUT", f"/v1/uploads/{'0' * 32}/chunks/-1", b"x", {}, 400, "CHUNK_ORDER"),
    ("PUT", f"/v1/uploads/{'0' * 32}/chunks/a", b"x", {}, 400, "HTTP_PARAMETER"),
    ("PUT", f"/v1/uploads/{'0' * 31}/chunks/0", b"x", {}, 404, "UPLOAD_UNKNOWN"),
    ("POST", f"/v1/uploads/{'g' * 32}/finish", b"", {}, 404, "UPLOAD_UNKNOWN"),
    ("GET", "/v1/updates/7", None, {}, 400, "RPC_DIGEST"),
    ("GET", f"/v1/updates/{'0' * 64}", None, {}, 404, "UPDATE_UNKNOWN"),
    ("GET", f"/v1/updates/{'0' * 64}/receipt", None, {}, 404, "RECEIPT_UNKNOWN"),
    ("GET", f"/v1/updates/{'0' * 64}/receipt?waitMs=10001", None, {}, 400, "HTTP_PARAMETER"),
    ("GET", f"/v1/updates/{'0' * 64}/events?until=soon", None, {}, 400, "HTTP_PARAMETER"),
    ("GET", "/v1/events", None, {}, 400, "HTTP_PARAMETER"),
)


async def test_every_bad_request_gets_its_code(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, web):
        found = {}
        for method, path, body, headers, status, code in REQUESTS:
            answer = await web.call(method, path, body, headers)
            if (answer.status, fault(answer)[0]) != (status, code):
                found[method, path, code] = (answer.status, fault(answer))
        assert not found


async def test_a_refusal_of_one_chunk_for_the_third_time_is_said(tmp_path: Path) -> None:
    async with served(tmp_path) as (world, web):
        update = world.authors[0].update(WIDE)
        upload = (await web.open(update)).json["uploadId"]
        hints = []
        for _ in range(3):
            answer = await web.chunk(upload, 0, flip(update.chunks[0], 7))
            assert fault(answer)[0] == "CHUNK_HASH"
            hints.append(answer.json["detail"])
        assert hints[0] == hints[1] != hints[2]


def head(path: str, *, length: int, method: str = "POST") -> bytes:
    """Return the head of a request."""
    return f"{method} {path} HTTP/1.1\r\nhost: site\r\ncontent-length: {length}\r\n\r\n".encode()


async def ending(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> bytes:
    """Return everything until the site ends a connection."""
    reader, writer = connection
    data = b""
    try:
        while part := await reader.read(1 << 16):
            data += part
    except ConnectionError:
        pass
    writer.close()
    return data


@pytest.mark.parametrize("said", [b"", b"GET /v1/checkpoint HTTP/1.1\r\n"])
async def test_a_head_that_does_not_come_ends_the_connection(tmp_path: Path, said: bytes) -> None:
    async with served(tmp_path, http_head_seconds_max=0.2) as (_, web):
        connection = await web.dial()
        connection[1].write(said)
        assert await ending(connection) == b""


async def test_a_body_that_does_not_come_is_refused_in_time(tmp_path: Path) -> None:
    async with served(tmp_path, http_body_seconds_max=0.2) as (_, web):
        connection = await web.dial()
        connection[1].write(head("/v1/updates", length=100) + b"{")
        answer = await ending(connection)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "DEADLINE"


async def test_bytes_that_are_no_request_are_refused(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, web):
        for said in (b"\x00\x01\r\n\r\n", b"GET / HTTP/1.1\r\nx: " + b"y" * 20_000):
            connection = await web.dial()
            connection[1].write(said)
            answer = await ending(connection)
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "HTTP_MALFORMED"


async def test_bodies_have_bounded_room_together(tmp_path: Path) -> None:
    limits = {"http_bodies_bytes_max": 2 << 20, "patience_seconds": 0.2}
    async with served(tmp_path, **limits) as (_, web):
        slow = [await web.dial() for _ in range(2)]
        for connection in slow:
            connection[1].write(
                head(f"/v1/uploads/{'0' * 32}/chunks/0", length=1 << 20, method="PUT")
            )
        codes = []
        while "QUOTA_BODIES" not in codes:
            answer = await web.call("PUT", CHUNK, bytes(1 << 20))
            codes.append(fault(answer)[0])
        for connection in slow:
            connection[1].close()


async def test_streams_of_both_ports_are_counted_together(tmp_path: Path) -> None:
    async with served(tmp_path, streams_peer_max=2) as (world, web):
        waiting = world.watch_call([bytes(32)], 0)
        connection = await web.dial()
        connection[1].write(head(f"/v1/updates/{'1' * 64}/events", length=0, method="GET"))
        assert (await connection[0].readline()).startswith(b"HTTP/1.1 200 ")
        answer = await web.call("GET", f"/v1/updates/{'0' * 64}")
        codes = [fault(answer)[0]]
        while codes[-1] != "QUOTA_STREAMS":
            answer = await web.call("GET", f"/v1/updates/{'0' * 64}")
            codes.append(fault(answer)[0])
        assert answer.status == 429
        assert answer.headers["retry-after"] == "1"
        waiting.cancel()
        # Whoever goes away is not counted any more.
        connection[1].close()
        while codes[-1] == "QUOTA_STREAMS":
            codes.append(fault(await web.call("GET", f"/v1/updates/{'0' * 64}"))[0])
        assert codes[-1] == "UPDATE_UNKNOWN"


async def test_connections_are_limited(tmp_path: Path) -> None:
    async with served(tmp_path, http_connections_max=1) as (_, web):
        first = await web.dial()
        first[1].write(head("/v1/checkpoint", length=0, method="GET"))
        assert (await first[0].readline()).startswith(b"HTTP/1.1 200 ")
        assert await ending(await web.dial()) == b""
        first[1].close()


async def test_a_reader_that_reads_nothing_is_cut_off(tmp_path: Path) -> None:
    limits = {"http_connections_max": 1, "http_write_seconds_max": 0.2}
    async with served(tmp_path, **limits) as (_, web):
        greedy = await web.dial()
        greedy[1].write(1000 * head("/openapi.json", length=0, method="GET"))
        assert (await greedy[0].readline()).startswith(b"HTTP/1.1 200 ")
        # There is room for one connection: the next is served once that one is gone.
        answer = b""
        while not answer:
            connection = await web.dial()
            connection[1].write(b"GET /v1/checkpoint HTTP/1.1\r\nhost: site\r\n")
            connection[1].write(b"connection: close\r\n\r\n")
            answer = await ending(connection)
        assert answer.startswith(b"HTTP/1.1 200 ")
        greedy[1].close()


async def test_the_published_description_is_served(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, web):
        published = (ROOT / "docs" / "openapi.json").read_text("utf-8")
        assert (await web.call("GET", "/openapi.json")).json == json.loads(published)


async def test_a_refused_body_is_not_read_for_ever(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, web):
        connection = await web.dial()
        connection[1].write(head("/v1/updates", length=1 << 40) + bytes(1000))
        answer = await ending(connection)
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "TOO_LARGE"


async def test_a_stream_of_events_ends_with_a_problem(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, web):
        path = f"/v1/updates/{'1' * 64}/events"
        connections = [await web.dial() for _ in range(SINKS_MAX + 1)]
        for _, writer in connections:
            writer.write(head(path, length=0, method="GET"))
        following = [asyncio.create_task(until_problem(reader)) for reader, _ in connections]
        done, _ = await asyncio.wait(following, return_when=asyncio.FIRST_COMPLETED)
        assert {one.result()["code"] for one in done} == {"QUOTA_SINKS"}
        for one in following:
            one.cancel()
        for _, writer in connections:
            writer.close()


async def until_problem(reader: asyncio.StreamReader) -> Any:  # noqa: ANN401 - JSON
    """Return the problem with which a stream of events ends."""
    while (await reader.readline()).strip() != b"event: problem":
        pass
    return json.loads((await reader.readline()).partition(b": ")[2])


async def test_a_site_stops_while_somebody_follows(tmp_path: Path) -> None:
    async with served(tmp_path) as (world, web):
        following = asyncio.create_task(web.call("GET", f"/v1/updates/{'1' * 64}/events"))
        assert fault(await web.call("GET", f"/v1/updates/{'0' * 64}"))[0] == "UPDATE_UNKNOWN"
        await world.stop(0)
        with pytest.raises(Exception, match=r"."):
            await following
