"""A client over HTTP: a connection for each request, TLS pinned to one site's certificate."""

import asyncio
import http.client
import json
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seawall.domain.genesis import GenesisSite
from tests.cases.authors import Signed

SECONDS_MAX = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """What a site answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def events(self) -> list[tuple[str, Any]]:
        """The body as server-sent events."""
        return events_in(self.body)


def events_in(data: bytes) -> list[tuple[str, Any]]:
    """Return name and data of every event, without comments."""
    found = []
    for block in data.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[0] != ":")
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


class Web:
    """One site's HTTP port."""

    def __init__(self, site: GenesisSite, port: int) -> None:
        self.port = port
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.tls.load_verify_locations(cadata=site.tls_certificate_pem)

    async def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return the whole answer to a request."""
        return await asyncio.to_thread(self._call, method, path, body, dict(headers or {}))

    def _call(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=self.tls, timeout=SECONDS_MAX
        )
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    async def submit(self, update: Signed) -> Answer:
        """Send a whole update."""
        return await self.call("POST", "/v1/updates", whole(update))

    async def open(self, update: Signed) -> Answer:
        """Open an upload."""
        parts = {
            "envelope": update.envelope,
            "manifest": update.manifest,
            "provenance": update.provenance,
        }
        return await self.call("POST", "/v1/uploads", encoded(parts))

    async def chunk(self, upload_id: str, index: int, data: bytes) -> Answer:
        """Send one chunk."""
        return await self.call("PUT", f"/v1/uploads/{upload_id}/chunks/{index}", data)

    async def finish(self, upload_id: str) -> Answer:
        """Finish an upload."""
        return await self.call("POST", f"/v1/uploads/{upload_id}/finish", b"")

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a connection on which nothing has been said."""
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls)


def whole(update: Signed) -> bytes:
    """Return the body that sends a whole update."""
    return encoded(
        {
            "envelope": update.envelope,
            "payload": update.payload,
            "provenance": update.provenance,
        }
    )


def encoded(parts: Mapping[str, bytes]) -> bytes:
    """Return parts as JSON."""
    return json.dumps({name: b64encode(part).decode() for name, part in parts.items()}).encode()
