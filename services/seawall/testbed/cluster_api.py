"""Objects of one namespace, by the Kubernetes API over plain HTTPS, from inside a pod.

A handful of requests, so no client library: the usual one holds 126 MB.
"""

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from seawall.errors import OperationalError
from seawall.testbed.cluster import CONFIG_MAP, SECRET, Manifest

SECONDS_MAX: Final = 30.0
"""One answer of the API server."""

ANSWER_BYTES_MAX: Final = 8 << 20
ACCOUNT_DIRECTORY: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
POD: Final = "Pod"
VOLUME: Final = "PersistentVolumeClaim"
PLURAL: Final = {
    CONFIG_MAP: "configmaps",
    SECRET: "secrets",
    POD: "pods",
    VOLUME: "persistentvolumeclaims",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccount:
    """Where the API server is, and as whom to ask it.

    Attributes:
        host, port: of the API server.
        token: bearer token.
        tls: trusts the cluster's authority.

    """

    host: str
    port: int
    token: str
    tls: ssl.SSLContext

    @classmethod
    def of_this_pod(
        cls, environment: Mapping[str, str], directory: Path = ACCOUNT_DIRECTORY
    ) -> Self:
        """Return what a cluster gives to each pod that may ask its API server.

        Raises:
            OperationalError: PKI_API outside of such a pod.

        """
        try:
            return cls(
                host=environment["KUBERNETES_SERVICE_HOST"],
                port=int(environment["KUBERNETES_SERVICE_PORT"]),
                token=(directory / "token").read_text(encoding="ascii").strip(),
                tls=ssl.create_default_context(cafile=directory / "ca.crt"),
            )
        except (KeyError, ValueError, OSError) as fault:
            hint = f"not in a pod with a token of its service account: {fault!r}"
            raise OperationalError("PKI_API", hint) from fault


class KubernetesObjects:
    """The objects of a namespace; calls block, each for at most `SECONDS_MAX`."""

    def __init__(self, account: ServiceAccount, namespace: str) -> None:
        """Ask as this account; nothing is asked yet."""
        self._account = account
        self.namespace = namespace

    def read(self, kind: str, name: str) -> Manifest | None:
        """Return an object as it stands in the cluster, None when it is not there.

        Raises:
            OperationalError: PKI_API with what the API server says.

        """
        status, answer = self._ask("GET", f"{PLURAL[kind]}/{name}")
        if status == HTTPStatus.NOT_FOUND:
            return None
        if status != HTTPStatus.OK:
            raise _refused(f"reading {kind} {name}", status, answer)
        return answer

    def create(self, manifest: Manifest) -> None:
        """Create an object.

        Raises:
            OperationalError: PKI_API with what the API server says, also when it is there.

        """
        kind = manifest["kind"]
        status, answer = self._ask("POST", PLURAL[kind], json.dumps(manifest))
        if status != HTTPStatus.CREATED:
            raise _refused(f"creating {kind} {manifest['metadata']['name']}", status, answer)

    def replace(self, manifest: Manifest) -> None:
        """Put an object in the place of the one with its name.

        Raises:
            OperationalError: PKI_API with what the API server says, also when it is not there.

        """
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        status, answer = self._ask("PUT", f"{PLURAL[kind]}/{name}", json.dumps(manifest))
        if status != HTTPStatus.OK:
            raise _refused(f"replacing {kind} {name}", status, answer)

    def pods(self, selector: str) -> tuple[Manifest, ...]:
        """Return the pods whose labels match a selector.

        Raises:
            OperationalError: PKI_API.

        """
        status, answer = self._ask("GET", f"pods?labelSelector={quote(selector)}")
        if status != HTTPStatus.OK:
            raise _refused("listing pods", status, answer)
        return tuple(answer["items"])

    def delete(self, kind: str, name: str, *, grace_seconds: int | None = None) -> bool:
        """Delete an object; return whether it was there.

        Raises:
            OperationalError: PKI_API.

        """
        options = {} if grace_seconds is None else {"gracePeriodSeconds": grace_seconds}
        status, answer = self._ask("DELETE", f"{PLURAL[kind]}/{name}", json.dumps(options))
        if status == HTTPStatus.NOT_FOUND:
            return False
        if status not in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
            raise _refused(f"deleting {kind} {name}", status, answer)
        return True

    def evict(self, pod: str) -> bool:
        """Ask for a pod to leave; return False when its budget does not allow that now.

        Raises:
            OperationalError: PKI_API.

        """
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": self.namespace},
        }
        status, answer = self._ask("POST", f"pods/{pod}/eviction", json.dumps(eviction))
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return False
        if status not in (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NOT_FOUND):
            raise _refused(f"evicting {pod}", status, answer)
        return True

    def labels_of_namespace(self) -> dict[str, str]:
        """Return the labels of the namespace.

        Raises:
            OperationalError: PKI_API.

        """
        status, answer = self._ask("GET", "")
        if status != HTTPStatus.OK:
            raise _refused(f"reading namespace {self.namespace}", status, answer)
        return dict(answer["metadata"].get("labels", {}))

    def _ask(self, method: str, place: str, body: str | None = None) -> tuple[int, Manifest]:
        account = self._account
        connection = http.client.HTTPSConnection(
            account.host, account.port, timeout=SECONDS_MAX, context=account.tls
        )
        headers = {
            "Authorization": f"Bearer {account.token}",
            "Accept": "application/json",
            "Content-Type": "application/json",
        }
        try:
            path = f"/api/v1/namespaces/{self.namespace}/{place}".rstrip("/")
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            answer = json.loads(response.read(ANSWER_BYTES_MAX))
        except (OSError, http.client.HTTPException, ValueError) as fault:
            hint = f"{account.host}:{account.port} does not answer: {fault!r}"
            raise OperationalError("PKI_API", hint) from fault
        finally:
            connection.close()
        return response.status, answer if isinstance(answer, dict) else {}


def _refused(what: str, status: int, answer: Manifest) -> OperationalError:
    return OperationalError("PKI_API", f"{what}: {status} {answer.get('message', '')}")
