"""Self-signed TLS certificates for sites: made once, pinned by genesis as they stand.

No authority signs them. Whoever holds the genesis file knows every site's certificate, so trust
in a certificate is trust in genesis, and revoking one is a new epoch.
"""

import datetime as dt
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from seawall.runtime.tls import server_name


def make_certificate(
    site_name: str,
    hosts: tuple[str, ...],
    *,
    not_before: dt.datetime,
    lifetime: dt.timedelta = dt.timedelta(days=3650),
) -> tuple[bytes, bytes]:
    """Return (private key, certificate) of a site, both PEM, ECDSA on P-256.

    Args:
        site_name: name of the site in genesis.
        hosts: host names and IP addresses under which clients may dial the site.
        not_before: start of validity, aware; choose it a day early, clocks differ.
        lifetime: length of validity.

    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, server_name(site_name))])
    names = [x509.DNSName(server_name(site_name)), *(_general_name(host) for host in hosts)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_before + lifetime)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private, certificate.public_bytes(serialization.Encoding.PEM)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
