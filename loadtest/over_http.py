"""Sending over HTTP: one user, with a connection of its own to each site."""

import http.client
import json
import time
from base64 import b64encode
from collections.abc import Sequence
from typing import Any, Final

from loadtest.network import Network, Web
from loadtest.outcome import Flooding, Outcome
from seawall.client import Prepared
from seawall.formats.oms import CHUNK_SIZE

ANSWER_SECONDS_MAX: Final = 60.0
PROBLEM_FROM: Final = 400
LINE_BYTES_MAX: Final = 1 << 16


class Refused(Exception):  # noqa: N818 - an answer, not a mistake
    """A problem that a site answered with."""

    def __init__(self, code: str) -> None:
        """Keep its code."""
        super().__init__(code)
        self.code = code


class Connection(http.client.HTTPSConnection):
    """A connection to the address of a site, whose certificate is that of genesis."""

    def __init__(self, web: Web) -> None:
        """Connect with the first request."""
        super().__init__(web.host, web.port, context=web.tls, timeout=ANSWER_SECONDS_MAX)
        self._web = web

    def connect(self) -> None:
        """Connect, asking for the name that stands in the certificate."""
        http.client.HTTPConnection.connect(self)
        self.sock = self._web.tls.wrap_socket(self.sock, server_hostname=self._web.name)


class HttpSender:
    """Brings updates to sites, and follows them until committed or refused."""

    def __init__(self, network: Network) -> None:
        """Connect when a site is first used."""
        self._network = network
        self._connections: dict[int, Connection] = {}

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections.values():
            connection.close()

    def send(self, update: Prepared, site: int) -> Outcome:
        """Send an update; return what became of it."""
        outcome = Outcome()
        try:
            if len(update.payload) > CHUNK_SIZE:
                told = self._upload(update, site)
            else:
                told = self._call(site, "POST", "/v1/updates", _whole(update))
            _note(outcome, told)
            if not outcome.acknowledged:
                self._follow(site, update.update_id.hex(), outcome)
        except Refused as refused:
            outcome.code = refused.code
        except (OSError, http.client.HTTPException):
            # Nobody knows what became of it; the next request connects anew.
            self._drop(site)
        return outcome

    def flood(self, updates: Sequence[Prepared], site: int) -> Flooding:
        """Open uploads that never go on."""
        flooding = Flooding()
        for update in updates:
            try:
                self._call(site, "POST", "/v1/uploads", _statements(update))
            except Refused as refused:
                flooding.codes.append(refused.code)
            except (OSError, http.client.HTTPException):
                self._drop(site)
            else:
                flooding.codes.append("")
        return flooding

    def _request(
        self, site: int, method: str, path: str, body: bytes | None
    ) -> http.client.HTTPResponse:
        connection = self._connections.get(site)
        if connection is None:
            connection = self._connections[site] = Connection(self._network.web[site])
        try:
            connection.request(method, path, body)
            return connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # The site has closed a connection that was idle: that is no answer, so once more.
            connection.close()
            connection.request(method, path, body)
            return connection.getresponse()

    def _call(self, site: int, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        """Return the body of an answer.

        Raises:
            Refused: it is a problem.

        """
        answer = self._request(site, method, path, body)
        data = answer.read()
        told: dict[str, Any] = json.loads(data) if data else {}
        if answer.status >= PROBLEM_FROM:
            raise Refused(told["code"])
        return told

    def _upload(self, update: Prepared, site: int) -> dict[str, Any]:
        opened = self._call(site, "POST", "/v1/uploads", _statements(update))
        path = f"/v1/uploads/{opened['uploadId']}"
        for index in opened["missing"]:
            data = update.payload[index * CHUNK_SIZE : (index + 1) * CHUNK_SIZE]
            self._call(site, "PUT", f"{path}/chunks/{index}", data)
        return self._call(site, "POST", f"{path}/finish", b"")

    def _follow(self, site: int, name: str, outcome: Outcome) -> None:
        """Read events until the update is committed or refused."""
        answer = self._request(site, "GET", f"/v1/updates/{name}/events", None)
        if answer.status >= PROBLEM_FROM:
            raise Refused(json.loads(answer.read())["code"])
        event, until = "", time.monotonic() + ANSWER_SECONDS_MAX
        while line := answer.readline(LINE_BYTES_MAX):
            if time.monotonic() > until:
                self._drop(site)
                return
            field, _, value = line.decode().strip().partition(": ")
            if field == "event":
                event = value
            elif field == "data" and event == "update":
                _note(outcome, json.loads(value))
            elif field == "data" and event == "problem":
                self._drop(site)  # the rest of this answer is of no use to the next request
                raise Refused(json.loads(value)["code"])
        answer.close()

    def _drop(self, site: int) -> None:
        connection = self._connections.pop(site, None)
        if connection is not None:
            connection.close()


def _note(outcome: Outcome, told: dict[str, Any]) -> None:
    """Take over what one event says."""
    now = time.monotonic()
    if told["stage"] == "refused":
        outcome.code = told["refusal"]["code"]
        return
    if outcome.received is None:
        outcome.received = now
    if told["stage"] == "committed":
        outcome.code, outcome.entry_index, outcome.committed = "", told["entryIndex"], now


def _encoded(**parts: bytes) -> bytes:
    return json.dumps({name: b64encode(part).decode() for name, part in parts.items()}).encode()


def _whole(update: Prepared) -> bytes:
    return _encoded(envelope=update.envelope, payload=update.payload, provenance=update.provenance)


def _statements(update: Prepared) -> bytes:
    return _encoded(
        envelope=update.envelope, manifest=update.manifest, provenance=update.provenance
    )
