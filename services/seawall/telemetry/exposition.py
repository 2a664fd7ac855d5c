"""Metrics over HTTP, on a port of their own, from a thread of their own."""

from prometheus_client import start_http_server

from seawall.errors import OperationalError
from seawall.telemetry.metrics import Registry


class MetricsServer:
    """Serves `GET /metrics` of one registry until closed."""

    def __init__(self, registry: Registry, host: str, port: int) -> None:
        """Listen on host:port; with port 0 the system chooses.

        Raises:
            OperationalError: SITE_PORT when the port is in use.

        """
        try:
            self._server, self._thread = start_http_server(port, addr=host, registry=registry)
        except OSError as fault:
            hint = f"cannot listen on {host}:{port}: is it in use?"
            raise OperationalError("SITE_PORT", hint) from fault
        self.port: int = self._server.server_port

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
