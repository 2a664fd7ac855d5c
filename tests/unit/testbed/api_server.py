"""A small API server over real HTTPS: it keeps objects, for whoever has the token."""

import datetime as dt
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from seawall.runtime.certificates import make_certificate
from seawall.testbed.cluster_api import KubernetesObjects, ServiceAccount

TOKEN = "who-i-am"  # noqa: S105 - test data
LAB = "/api/v1/namespaces/lab"


class ApiServer(BaseHTTPRequestHandler):
    """Answers as the API server does, as far as Seawall asks.

    `held` has objects by path, `asked` every request; pods in `guarded` are kept by their budget.
    """

    held: dict[str, Any]
    asked: list[str]
    guarded: tuple[str, ...] = ()
    broken = False

    def do_GET(self) -> None:
        """Answer with an object, or with those that have the labels asked for."""
        path, _, query = self.path.partition("?")
        if query:
            wanted = dict(
                one.split("=") for one in unquote(query.partition("=")[2]).split(",") if one
            )
            items = [
                one
                for place, one in self.held.items()
                if place.startswith(f"{path}/")
                and wanted.items() <= one["metadata"].get("labels", {}).items()
            ]
            self._answer(200, {"items": items})
            return
        found = self.held.get(path)
        self._answer(*((200, found) if found else (404, {"message": "not found"})))

    def do_POST(self) -> None:
        """Keep an object, or evict a pod."""
        body = self._body()
        if self.path.endswith("/eviction"):
            self._evict(self.path.removesuffix("/eviction"))
            return
        place = f"{self.path}/{body['metadata']['name']}"
        if place in self.held:
            self._answer(409, {"message": f"{place} already exists"})
            return
        self.held[place] = body
        self._answer(201, body)

    def do_PUT(self) -> None:
        """Replace an object that is there."""
        body = self._body()
        if self.path not in self.held:
            self._answer(404, {"message": "not found"})
            return
        self.held[self.path] = body
        self._answer(200, body)

    def do_DELETE(self) -> None:
        """Forget an object."""
        self._body()
        found = self.held.pop(self.path, None)
        self._answer(*((200, found) if found else (404, {"message": "not found"})))

    def _evict(self, place: str) -> None:
        if place.rpartition("/")[2] in self.guarded:
            self._answer(429, {"message": "would violate the budget"})
        elif self.held.pop(place, None) is None:
            self._answer(404, {"message": "not found"})
        else:
            self._answer(201, {"status": "Success"})

    def _body(self) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")

    def _answer(self, status: int, document: object) -> None:
        self.asked.append(f"{self.command} {self.path}")
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            status, document = 401, {"message": "Unauthorized"}
        data = b"<html>" if self.broken else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Pod:
    """What a pod sees: its environment, and the directory of its service account."""

    def __init__(self, home: Path, port: int, certificate: bytes) -> None:
        self.home = home
        self.environment = {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(port),
        }
        (home / "token").write_text(TOKEN + "\n")
        (home / "ca.crt").write_bytes(certificate)

    def objects(self) -> KubernetesObjects:
        """Return the way to the API server, as the pod finds it."""
        return KubernetesObjects(ServiceAccount.of_this_pod(self.environment, self.home), "lab")


def new_handler() -> type[ApiServer]:
    """Return a server's handler with objects of its own."""
    return type("Handler", (ApiServer,), {"held": {}, "asked": []})


@contextmanager
def serving(home: Path, handler: type[ApiServer]) -> Iterator[Pod]:
    """Serve on a free port of the loopback interface, and give what a pod sees of it."""
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    key, certificate = make_certificate("api", ("127.0.0.1",), not_before=yesterday)
    (home / "server.pem").write_bytes(key + certificate)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(home / "server.pem")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Pod(home, server.server_address[1], certificate)
        finally:
            server.shutdown()
            thread.join()
