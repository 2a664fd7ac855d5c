"""TLS: who a process is to others, and who is calling it.

Certificates are self-signed and pinned by genesis. A dialling side trusts exactly one, that of
the site it means to reach. The peer port asks for a client certificate and trusts exactly those
of genesis; the client port asks for none. Which site is calling is decided by comparing the
certificate with those of genesis, never by a name inside it.
"""

import ssl
from tempfile import NamedTemporaryFile
from typing import Any, Final, NamedTuple, TypeAlias

import grpc
import grpc.aio

from seawall.domain.genesis import Genesis, GenesisSite
from seawall.runtime.exchange import OWN_PROCESS

AnyContext: TypeAlias = grpc.aio.ServicerContext[Any, Any]

RUNNER: Final = -1
"""Stands for the chaos runner where a site's index is expected."""


class FrameTarget(NamedTuple):
    """Where another site's frames are dialled: host, TLS that accepts that site, and its name."""

    host: str
    tls: ssl.SSLContext
    server_name: str


def server_name(site_name: str) -> str:
    """Return the DNS name in a site's certificate that dialling sites ask for."""
    return f"{site_name}.seawall.internal"


def peer_server_credentials(
    genesis: Genesis, key_pem: bytes, certificate_pem: bytes, extra_pem: bytes = b""
) -> grpc.ServerCredentials:
    """Return credentials of the peer port: callers must hold a certificate of genesis.

    `extra_pem` is one more certificate to accept: that of the chaos runner.
    """
    bundle = "".join(site.tls_certificate_pem for site in genesis.sites).encode() + extra_pem
    return grpc.ssl_server_credentials(
        [(key_pem, certificate_pem)], root_certificates=bundle, require_client_auth=True
    )


def client_server_credentials(key_pem: bytes, certificate_pem: bytes) -> grpc.ServerCredentials:
    """Return credentials of the client port: this site proves who it is, callers need not."""
    return grpc.ssl_server_credentials([(key_pem, certificate_pem)])


def client_server_tls(key_pem: bytes, certificate_pem: bytes) -> ssl.SSLContext:
    """Return TLS for a server without gRPC: this site proves who it is, callers need not."""
    return _context(ssl.PROTOCOL_TLS_SERVER, key_pem, certificate_pem)


def dialling_credentials(
    site: GenesisSite, key_pem: bytes | None = None, certificate_pem: bytes | None = None
) -> grpc.ChannelCredentials:
    """Return credentials that accept `site` alone, showing our own certificate when given."""
    return grpc.ssl_channel_credentials(
        root_certificates=site.tls_certificate_pem.encode(),
        private_key=key_pem,
        certificate_chain=certificate_pem,
    )


def frame_server_tls(genesis: Genesis, key_pem: bytes, certificate_pem: bytes) -> ssl.SSLContext:
    """Return TLS for a server without gRPC that trusts the certificates of genesis alone."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, key_pem, certificate_pem)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(
        cadata="".join(site.tls_certificate_pem for site in genesis.sites)
    )
    return context


def frame_dialling_tls(site: GenesisSite, key_pem: bytes, certificate_pem: bytes) -> ssl.SSLContext:
    """Return TLS for dialling without gRPC that accepts `site` alone."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, key_pem, certificate_pem)
    context.load_verify_locations(cadata=site.tls_certificate_pem)
    return context


def _context(protocol: int, key_pem: bytes, certificate_pem: bytes) -> ssl.SSLContext:
    """Return a context of TLS 1.3 that shows a certificate and trusts none yet."""
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # The library reads keys from files only: one that nobody else can open, gone after this.
    with NamedTemporaryFile() as file:
        file.write(key_pem + b"\n" + certificate_pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context


class Callers:
    """Tells which site a call comes from."""

    def __init__(self, genesis: Genesis, own_site: int, runner_pem: bytes = b"") -> None:
        """Know the certificates of genesis, and that of the chaos runner if there is one."""
        self._own_site = own_site
        self._sites = {
            ssl.PEM_cert_to_DER_cert(site.tls_certificate_pem): index
            for index, site in enumerate(genesis.sites)
        }
        if runner_pem:
            self._sites[ssl.PEM_cert_to_DER_cert(runner_pem.decode())] = RUNNER

    def site_of(self, context: AnyContext) -> int | None:
        """Return the calling site's index, `RUNNER`, or None for everybody else.

        A call inside this process comes from the own site.
        """
        facts = context.auth_context()
        if OWN_PROCESS.encode() in facts.get("transport_security_type", ()):
            return self._own_site
        for pem in facts.get("x509_pem_cert", ()):
            return self.site_with(ssl.PEM_cert_to_DER_cert(pem.decode("ascii")))
        return None

    def site_with(self, certificate: bytes) -> int | None:
        """Return the index of the site with this certificate (DER), `RUNNER`, or None."""
        return self._sites.get(certificate)
