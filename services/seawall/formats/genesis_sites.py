"""The sites of a genesis as JSON: keys, stake, and where each role of a site is reached.

`roleAddresses` is there only for a site with roles that are not at its own addresses; it is never
empty, and sorted by role, so that one genesis has one text.
"""

import re
from typing import Final

from seawall.domain.genesis import SITE_ROLES, GenesisSite, RoleAddress
from seawall.errors import PeerError
from seawall.formats.genesis_members import NAME, Members, check_unique, read_integer
from seawall.formats.jcs import JsonInput, JsonValue

SITES_MAX: Final = 128
STAKE_MAX: Final = 1 << 32

_ADDRESS: Final = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):([0-9]{1,5})")
_COSIGNER: Final = re.compile(r"[!-*,-~]{1,200}")
_PEM: Final = re.compile(
    r"-----BEGIN CERTIFICATE-----\n(?:[A-Za-z0-9+/=]{1,64}\n)+-----END CERTIFICATE-----\n"
)


def site_tree(site: GenesisSite) -> dict[str, JsonInput]:
    """Return a site as it stands in genesis, ready for `canonical`."""
    tree: dict[str, JsonInput] = {
        "name": site.name,
        "zone": site.zone,
        "stake": site.stake,
        "consensusKey": site.consensus_key.hex(),
        "cosignerName": site.cosigner_name,
        "cosignerKey": site.cosigner_key.hex(),
        "tlsCertificatePem": site.tls_certificate_pem,
        "peerAddress": site.peer_address,
        "clientAddress": site.client_address,
    }
    if site.role_addresses:
        tree["roleAddresses"] = [
            {
                "role": one.role,
                "peerAddress": one.peer_address,
                "clientAddress": one.client_address,
            }
            for one in site.role_addresses
        ]
    return tree


def _address(members: Members, name: str) -> str:
    address = members.text(name, _ADDRESS)
    port = int(address.rpartition(":")[2])
    read_integer(port, members.path(name), 1, 65_535)
    return address


def read_site(value: JsonValue, place: str) -> GenesisSite:
    """Return the site that stands at the path `place`; GENESIS_* and KEY_* with the field."""
    members = Members(value, place)
    site = GenesisSite(
        name=members.text("name", NAME),
        zone=members.text("zone", NAME),
        stake=members.integer("stake", 1, STAKE_MAX),
        consensus_key=members.key("consensusKey"),
        cosigner_name=members.text("cosignerName", _COSIGNER),
        cosigner_key=members.key("cosignerKey"),
        tls_certificate_pem=members.text("tlsCertificatePem", _PEM),
        peer_address=_address(members, "peerAddress"),
        client_address=_address(members, "clientAddress"),
        role_addresses=_role_addresses(members),
    )
    members.end()
    return site


def _role_addresses(members: Members) -> tuple[RoleAddress, ...]:
    """Return the addresses of single roles; without any the member is not there at all."""
    name = "roleAddresses"
    if name not in members.names():
        return ()
    found = members.each(name, _role_address, 1, len(SITE_ROLES))
    roles = [one.role for one in found]
    check_unique(roles, members.path(name))
    if roles != sorted(roles):
        raise PeerError("GENESIS_ORDER", "sort these by role", field=members.path(name))
    return found


def _role_address(value: JsonValue, place: str) -> RoleAddress:
    members = Members(value, place)
    role = members.text("role", NAME)
    if role not in SITE_ROLES:
        hint = f"choose among {', '.join(SITE_ROLES)}"
        raise PeerError("GENESIS_TEXT", hint, field=members.path("role"))
    found = RoleAddress(
        role=role,
        peer_address=_address(members, "peerAddress"),
        client_address=_address(members, "clientAddress"),
    )
    members.end()
    return found
