"""A client that is not ours: grpcurl, over mutual TLS, through a port of the API server."""

import base64
import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.cluster.kube import SkipError, StepError, demand, run
from bench.cluster.programs import grpcurl
from bench.cluster.release import RELEASE, Release

PEER_PORT: Final = 7001
CALL_SECONDS_MAX: Final = 30
STATUS: Final = "seawall.api.v1.LedgerService/LedgerStatus"


@contextmanager
def forwarded(release: Release, pod: str, port: int) -> Iterator[str]:
    """Give the local address under which a pod's port is reached."""
    namespace = release.namespace
    command = [namespace.kubectl, "-n", namespace.name, "port-forward", f"pod/{pod}", f":{port}"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as tunnel:
        try:
            assert tunnel.stdout is not None
            said = tunnel.stdout.readline()
            address = said.removeprefix("Forwarding from ").partition(" -> ")[0]
            if ":" not in address:
                raise StepError(f"kubectl port-forward does not start: {said}")
            yield address
        finally:
            tunnel.terminate()


def ask(release: Release) -> str:
    """Ask a ledger at its port for sites, with and without a site's certificate.

    Raises:
        SkipError: there is no grpcurl.
        StepError: the answer is not that of a ledger, or a stranger gets one.

    """
    program, reason = grpcurl()
    if program is None:
        raise SkipError(reason)
    pools = [pod["metadata"]["labels"]["seawall.dev/pool"] for pod in release.pods()]
    pool = min(pools)
    secret = release.namespace.read("secret", f"{RELEASE}-{pool}-tls")["data"]
    with tempfile.TemporaryDirectory() as scratch:
        files = {name: Path(scratch) / name for name in ("0.tls.key", "0.tls.crt")}
        for name, path in files.items():
            path.touch(mode=0o600)
            path.write_bytes(base64.b64decode(secret[name]))
        # The site's own certificate is also what the ledger shows: genesis pins it, nobody signs.
        trust = ("-cacert", files["0.tls.crt"], "-max-time", CALL_SECONDS_MAX)
        own = ("-cert", files["0.tls.crt"], "-key", files["0.tls.key"])
        with forwarded(release, f"{RELEASE}-ledger-{pool}-0", PEER_PORT) as address:
            named = ("-authority", _host(release, pool))
            listed = demand((program, *trust, *own, *named, address, "list"))
            answer = demand((program, *trust, *own, *named, address, STATUS))
            stranger = run((program, *trust, *named, address, STATUS))
    status: dict[str, Any] = json.loads(answer)
    # Versions of grpcurl differ in how they spell names.
    size = int(status.get("tree_size", status.get("treeSize", 0)))
    if "seawall.api.v1.LedgerService" not in listed or size == 0:
        raise StepError(f"not the answer of a ledger: {answer[:200]}")
    if stranger.returncode == 0:
        raise StepError("the port for sites answers a caller without a certificate")
    return f"grpcurl read a log of {size} entries; without a certificate: refused"


def _host(release: Release, pool: str) -> str:
    service = f"{RELEASE}-ledger"
    return f"{service}-{pool}-0.{service}.{release.namespace.name}.svc.cluster.local"
