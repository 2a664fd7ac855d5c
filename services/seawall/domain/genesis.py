"""Genesis: everything that all sites agree on before the first block.

The SHA-256 of its canonical JSON (see `seawall.formats.genesis`) names the chain: the origin,
which stands in the domain of every signature and in every peer's hello.
"""

from dataclasses import dataclass

import msgspec

from seawall.domain.committee import CoinKeys, Committee, Member
from seawall.domain.cut import CutPolicy
from seawall.domain.parameters import AdmissionParameters, ConsensusParameters

FORMAT_VERSION = 1

SITE_ROLES = ("aggregation", "consensus", "ingestion", "integrity", "ledger")
"""Roles of a site that may have addresses of their own, sorted."""


class RoleAddress(msgspec.Struct, frozen=True):
    """Where one role of a site answers when it is not at the site's own addresses."""

    role: str
    peer_address: str
    client_address: str


class GenesisSite(msgspec.Struct, frozen=True):
    """One validator: keys (32-byte Ed25519), pinned TLS certificate, stake, place, addresses.

    `peer_address` is the host:port for mutual TLS between sites, `client_address` the one for
    contributors. Roles that other processes of the site serve may be elsewhere: those stand in
    `role_addresses`, sorted by role. `tls_certificate_pem` is self-signed and pinned as it stands.
    """

    name: str
    zone: str
    stake: int
    consensus_key: bytes
    cosigner_name: str
    cosigner_key: bytes
    tls_certificate_pem: str
    peer_address: str
    client_address: str
    role_addresses: tuple[RoleAddress, ...] = ()

    def peer_address_of(self, role: str) -> str:
        """Return the host:port at which other sites reach a role."""
        own = (one.peer_address for one in self.role_addresses if one.role == role)
        return next(own, self.peer_address)

    def client_address_of(self, role: str) -> str:
        """Return the host:port at which contributors reach a role."""
        own = (one.client_address for one in self.role_addresses if one.role == role)
        return next(own, self.client_address)


class TensorSpec(msgspec.Struct, frozen=True):
    """One tensor of a task's manifest: int32 on the task's grid."""

    name: str
    shape: tuple[int, ...]


class RuleSpec(msgspec.Struct, frozen=True):
    """An aggregation rule by name and version with its integer parameters."""

    name: str
    version: int
    parameters: tuple[tuple[str, int], ...]


class Task(msgspec.Struct, frozen=True):
    """One learning job.

    All payloads of a task (updates, root updates, versions) are safetensors files with the same
    tensors and the same header length `header_size_bytes`; values are integers in units of
    2^-`grid_bits`. `base_payload_digest` names version 0.
    """

    name: str
    rule: RuleSpec
    grid_bits: int
    tensors: tuple[TensorSpec, ...]
    header_size_bytes: int
    payload_size_bytes: int
    base_payload_digest: bytes
    cut: CutPolicy


class Contributor(msgspec.Struct, frozen=True):
    """An enrolled Ed25519 key (32 bytes) and what it may do: `contributor`, `root`."""

    name: str
    public_key: bytes
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Genesis:
    """The agreed start of a chain.

    `chain` is a human name; `log_key` the Ed25519 public key of the log line on checkpoints,
    common to all sites and of no weight: trust is cosignatures of stake Q. `root_keys` and
    `root_threshold` are the offline keys that may later enrol and revoke. `coin` stands exactly
    where the protocol is `async`.
    """

    chain: str
    sites: tuple[GenesisSite, ...]
    consensus: ConsensusParameters
    admission: AdmissionParameters
    log_key: bytes
    root_keys: tuple[bytes, ...]
    root_threshold: int
    tasks: tuple[Task, ...]
    contributors: tuple[Contributor, ...]
    coin: CoinKeys | None = None
    format_version: int = FORMAT_VERSION

    def committee(self, origin: str) -> Committee:
        """Return the validators of epoch 0 under this origin."""
        members = tuple(
            Member(
                index=index,
                name=site.name,
                zone=site.zone,
                stake=site.stake,
                consensus_key=site.consensus_key,
                cosigner_name=site.cosigner_name,
                cosigner_key=site.cosigner_key,
            )
            for index, site in enumerate(self.sites)
        )
        return Committee(origin=origin, epoch=0, members=members, coin=self.coin)
