"""Asking an API server, by a small one of our own over real HTTPS."""

import datetime as dt
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from seawall.errors import OperationalError
from seawall.runtime.certificates import make_certificate
from seawall.testbed.cluster import CONFIG_MAP, SECRET
from seawall.testbed.cluster_api import KubernetesObjects, ServiceAccount

TOKEN = "who-i-am"  # noqa: S105 - test data


class ApiServer(BaseHTTPRequestHandler):
    """Keeps what is created, for whoever has the token."""

    held: dict[str, Any]
    broken = False

    def do_GET(self) -> None:
        """Answer with an object."""
        found = self.held.get(self.path)
        self._answer(*((200, found) if found else (404, {"message": "not found"})))

    def do_POST(self) -> None:
        """Keep an object."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        place = f"{self.path}/{body['metadata']['name']}"
        if place in self.held:
            self._answer(409, {"message": f"{place} already exists"})
            return
        self.held[place] = body
        self._answer(201, body)

    def _answer(self, status: int, document: object) -> None:
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


@pytest.fixture
def handler() -> type[ApiServer]:
    return type("Handler", (ApiServer,), {"held": {}})


@pytest.fixture
def pod(tmp_path: Path, handler: type[ApiServer]) -> Iterator[Pod]:
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    key, certificate = make_certificate("api", ("127.0.0.1",), not_before=yesterday)
    (tmp_path / "server.pem").write_bytes(key + certificate)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server.pem")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield Pod(tmp_path, server.server_address[1], certificate)
        server.shutdown()
        thread.join()


def secret(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": SECRET, "metadata": {"name": name}, "data": {"a": "Yg=="}}


def test_what_is_created_can_be_read(pod: Pod, handler: type[ApiServer]) -> None:
    objects = pod.objects()
    assert objects.read(SECRET, "keys") is None
    objects.create(secret("keys"))
    assert objects.read(SECRET, "keys") == secret("keys")
    assert objects.read(CONFIG_MAP, "keys") is None
    objects.create({**secret("map"), "kind": CONFIG_MAP})
    assert list(handler.held) == [
        "/api/v1/namespaces/lab/secrets/keys",
        "/api/v1/namespaces/lab/configmaps/map",
    ]


def test_nothing_is_overwritten(pod: Pod) -> None:
    pod.objects().create(secret("keys"))
    with pytest.raises(OperationalError, match=r"PKI_API.*creating Secret keys: 409.*exists"):
        pod.objects().create({**secret("keys"), "data": {}})
    assert pod.objects().read(SECRET, "keys") == secret("keys")


def test_a_refusal_says_what_the_server_says(pod: Pod) -> None:
    (pod.home / "token").write_text("somebody else")
    with pytest.raises(OperationalError, match=r"PKI_API.*reading Secret keys: 401 Unauthorized"):
        pod.objects().read(SECRET, "keys")


def test_a_server_of_another_authority_is_not_asked(pod: Pod) -> None:
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    other = make_certificate("api", ("127.0.0.1",), not_before=yesterday)[1]
    (pod.home / "ca.crt").write_bytes(other)
    with pytest.raises(OperationalError, match=r"PKI_API.*does not answer.*CERTIFICATE_VERIFY"):
        pod.objects().read(SECRET, "keys")


def test_an_answer_that_is_no_json_is_refused(pod: Pod, handler: type[ApiServer]) -> None:
    handler.broken = True
    with pytest.raises(OperationalError, match=r"PKI_API.*does not answer"):
        pod.objects().read(SECRET, "keys")


@pytest.mark.parametrize("missing", ["KUBERNETES_SERVICE_HOST", "token", "ca.crt"])
def test_outside_of_a_cluster_it_says_so(tmp_path: Path, missing: str) -> None:
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    pod = Pod(tmp_path, 1, make_certificate("api", ("127.0.0.1",), not_before=yesterday)[1])
    pod.environment.pop(missing, None)
    (tmp_path / missing).unlink(missing_ok=True)
    with pytest.raises(OperationalError, match=r"PKI_API.*not in a pod"):
        pod.objects()
