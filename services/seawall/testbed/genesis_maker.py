"""Makes a local network: keys, certificates, base models, genesis, and settings for each site.

Nothing is ever overwritten: a directory that has a genesis keeps it.
"""

import datetime as dt
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from seawall.config import PORTS_PER_SITE
from seawall.crypto.coin import deal
from seawall.crypto.signing import SigningKey
from seawall.domain.committee import CoinKeys
from seawall.domain.genesis import SITE_ROLES, Contributor, Genesis, GenesisSite, RoleAddress
from seawall.domain.parameters import ASYNC, AdmissionParameters, ConsensusParameters
from seawall.errors import LocalError
from seawall.formats import genesis as genesis_format
from seawall.formats.genesis_consensus import coin_threshold
from seawall.runtime.certificates import make_certificate
from seawall.runtime.coin_key import write_coin_secret
from seawall.runtime.keys import (
    CONSENSUS_KEY,
    COSIGNER_KEY,
    LOG_KEY,
    write_seed,
    write_site_secrets,
)
from seawall.runtime.locks import write_durably
from seawall.runtime.service import CONSENSUS, ROLES
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.tasks import PlannedTask, digits_task

PORTS_FROM: Final = 24_000
PORTS_TO: Final = 32_000
"""Where base ports are looked for: below what systems give to outgoing connections."""

ROOT_KEYS: Final = 3
ROOT_THRESHOLD: Final = 2
SEED_BYTES: Final = 32
ROOT_OWNER: Final = "root-owner"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPlan:
    """What to make.

    Attributes:
        sites: number of sites.
        stakes: stake of each site; 1 each when empty.
        chain: human name of the chain.
        host: address that sites listen on and are dialled at.
        hosts: the same for each site apart, as where each has a network of its own; then `port`
            is needed.
        port: base port of the first site, the others follow; free ones are chosen when None.
        contributors: enrolled contributors, besides one owner of a root set.
        others: further enrolled keys, name and roles of each.
        tasks: the tasks; the digits task alone when empty.
        consensus: protocol parameters; with `async` a coin is dealt, by this process.
        admission: limits on updates.
        split: give each role of each site ports and settings of its own, for a process of its own.
        role_hosts: of each site the host of each of `ROLES`, where every process has an address of
            its own: all of them serve at `port`, and whoever starts them writes their settings.
        zones: zone of each site; `local` when empty.
        chaos: serve a fault plane in every process, for the site's own certificate.

    """

    sites: int = 4
    stakes: tuple[int, ...] = ()
    chain: str = "local"
    host: str = "127.0.0.1"
    hosts: tuple[str, ...] = ()
    port: int | None = None
    contributors: int = 20
    others: tuple[tuple[str, tuple[str, ...]], ...] = ()
    tasks: tuple[PlannedTask, ...] = ()
    consensus: ConsensusParameters = field(default_factory=ConsensusParameters)
    admission: AdmissionParameters = field(default_factory=AdmissionParameters)
    split: bool = False
    role_hosts: tuple[tuple[str, ...], ...] = ()
    zones: tuple[str, ...] = ()
    chaos: bool = False

    def hosts_of(self, site: int) -> tuple[str, ...]:
        """Return the address of each process of one site."""
        if self.role_hosts:
            return self.role_hosts[site]
        return (self.hosts[site] if self.hosts else self.host,) * self.processes

    @property
    def processes(self) -> int:
        """Processes of each site."""
        return len(ROLES) if self.split or self.role_hosts else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeNetwork:
    """A network that is ready to start."""

    directory: NetworkDirectory
    genesis: Genesis
    origin: str


def contributor_name(index: int) -> str:
    """Return the name of a contributor, and of its key file."""
    return f"contributor-{index:02}"


def make_network(
    path: Path, plan: NetworkPlan, *, entropy: Callable[[int], bytes] = os.urandom
) -> MadeNetwork:
    """Write everything that a network of sites needs below `path`.

    Raises:
        LocalError: GENESIS_EXISTS when there is a genesis already; GENESIS_PLAN for a plan that
            cannot be carried out; GENESIS_INVALID as `formats.genesis.encode`.

    """
    directory = NetworkDirectory(path)
    if directory.genesis.exists():
        raise LocalError(
            "GENESIS_EXISTS", f"{directory.genesis} is there: choose another directory"
        )
    if plan.sites < 1 or len(plan.stakes or (1,) * plan.sites) != plan.sites:
        raise LocalError("GENESIS_PLAN", "give one stake for each of at least one site")
    if plan.consensus.protocol == ASYNC and len(dict.fromkeys(plan.stakes)) > 1:
        raise LocalError("GENESIS_PLAN", "an async chain has equal stakes", field="stakes")
    ports = process_ports(plan)
    each = len(ports) // plan.sites
    log_seed = entropy(SEED_BYTES)
    sites = tuple(
        _make_site(
            directory, plan, index, ports[index * each : (index + 1) * each], log_seed, entropy
        )
        for index in range(plan.sites)
    )
    root_keys = tuple(
        write_seed(directory.root_key(index), entropy(SEED_BYTES)).public
        for index in range(ROOT_KEYS)
    )
    tasks = plan.tasks or (digits_task(1, contributors=plan.contributors),)
    leaders = min(plan.consensus.leaders_per_round, plan.sites)
    genesis = Genesis(
        chain=plan.chain,
        sites=sites,
        consensus=replace(plan.consensus, leaders_per_round=leaders),
        admission=plan.admission,
        log_key=SigningKey.from_seed(log_seed).public,
        root_keys=root_keys,
        root_threshold=ROOT_THRESHOLD,
        tasks=tuple(planned.task for planned in tasks),
        contributors=_enrol(directory, plan, entropy),
        coin=_deal_coin(directory, plan, entropy),
    )
    directory.payloads.mkdir(parents=True, exist_ok=True)
    for planned in tasks:
        write_durably(
            directory.payload(planned.task.base_payload_digest), planned.base_payload, mode=0o644
        )
    data = genesis_format.encode(genesis)
    # Last, so that a directory with a genesis has everything else.
    write_durably(directory.genesis, data, mode=0o644)
    return MadeNetwork(directory=directory, genesis=genesis, origin=genesis_format.origin(data))


def process_ports(plan: NetworkPlan) -> tuple[int, ...]:
    """Return one base port for each process, those of the first site first.

    Raises:
        LocalError: GENESIS_PLAN when there are not enough ports.

    """
    count = plan.sites * plan.processes
    if plan.role_hosts:
        if plan.port is None or any(len(hosts) != len(ROLES) for hosts in plan.role_hosts):
            raise LocalError("GENESIS_PLAN", "name a port, and a host for each role of each site")
        return (plan.port,) * count
    if plan.port is not None:
        last = plan.port + PORTS_PER_SITE * count
        if plan.port < 1 or last > 1 << 16:
            raise LocalError("GENESIS_PLAN", "choose a lower port", field="port")
        return tuple(range(plan.port, last, PORTS_PER_SITE))
    bases: list[int] = []
    # From a place of one's own, or networks made at one time would find the same free ports.
    every = range(PORTS_FROM, PORTS_TO, PORTS_PER_SITE)
    first = os.getpid() * count % len(every)
    for base in (*every[first:], *every[:first]):
        if all(_is_free(plan.host, base + offset) for offset in range(PORTS_PER_SITE)):
            bases.append(base)
        if len(bases) == count:
            return tuple(bases)
    raise LocalError("GENESIS_PLAN", "too few ports are free: name one yourself", field="port")


def write_settings(path: Path, members: Sequence[tuple[str, str | int | list[str]]]) -> None:
    """Write a settings file of plain members."""
    lines = [f"{name} = {_toml(value)}\n" for name, value in members]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, "".join(lines).encode(), mode=0o644)


def _toml(value: str | int | list[str]) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(_toml(one) for one in value)}]"
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _make_site(
    directory: NetworkDirectory,
    plan: NetworkPlan,
    index: int,
    ports: Sequence[int],
    log_seed: bytes,
    entropy: Callable[[int], bytes],
) -> GenesisSite:
    """Write keys, certificate and settings of one site; return how it stands in genesis."""
    name = f"site-{index}"
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    hosts = plan.hosts_of(index)
    named = tuple(dict.fromkeys((*hosts, "127.0.0.1")))
    tls = make_certificate(name, named, not_before=yesterday)
    seeds = {
        CONSENSUS_KEY: entropy(SEED_BYTES),
        COSIGNER_KEY: entropy(SEED_BYTES),
        LOG_KEY: log_seed,
    }
    write_site_secrets(directory.keys(name), seeds, *tls)
    if not plan.role_hosts:
        _write_site_settings(directory, plan, index, hosts[0], ports)
    return GenesisSite(
        name=name,
        zone=plan.zones[index] if plan.zones else "local",
        stake=plan.stakes[index] if plan.stakes else 1,
        consensus_key=SigningKey.from_seed(seeds[CONSENSUS_KEY]).public,
        cosigner_name=f"{plan.chain}.seawall.internal/{name}",
        cosigner_key=SigningKey.from_seed(seeds[COSIGNER_KEY]).public,
        tls_certificate_pem=tls[1].decode(),
        peer_address=f"{hosts[0]}:{ports[0] + 1}",
        client_address=f"{hosts[0]}:{ports[0]}",
        role_addresses=_role_addresses(hosts, ports),
    )


def _write_site_settings(
    directory: NetworkDirectory, plan: NetworkPlan, index: int, host: str, ports: Sequence[int]
) -> None:
    """Write a settings file for each process of a site."""
    name = f"site-{index}"
    shared: list[tuple[str, str | int | list[str]]] = [
        ("site", index),
        ("genesis", "../genesis.json"),
        ("data_dir", "data"),
        ("keys_dir", "keys"),
        ("host", host),
    ]
    if plan.chaos:
        shared.append(("chaos.enabled", True))
    frames = ("consensus.frame_address", f"{plan.host}:0")
    if not plan.split:
        write_settings(directory.settings(name), [*shared, ("port", ports[0]), frames])
        return
    for role, port in zip(ROLES, ports, strict=True):
        members = [*shared, ("port", port), ("roles", [role])]
        if role == CONSENSUS:
            members.append(frames)
        write_settings(directory.settings(name, role), members)


def _role_addresses(hosts: Sequence[str], ports: Sequence[int]) -> tuple[RoleAddress, ...]:
    """Return where each role of a site is: none of its own where one process serves them all."""
    if len(ports) == 1:
        return ()
    place_of = dict(zip(ROLES, zip(hosts, ports, strict=True), strict=True))
    addresses = []
    for role in SITE_ROLES:
        host, port = place_of[role]
        addresses.append(RoleAddress(role, f"{host}:{port + 1}", f"{host}:{port}"))
    return tuple(addresses)


def _enrol(
    directory: NetworkDirectory, plan: NetworkPlan, entropy: Callable[[int], bytes]
) -> tuple[Contributor, ...]:
    """Write a key for each contributor, for the owner of the root set, and for the others."""
    roles: dict[str, tuple[str, ...]] = {
        contributor_name(index): ("contributor",) for index in range(plan.contributors)
    }
    roles[ROOT_OWNER] = ("root",)
    roles.update(plan.others)
    return tuple(
        Contributor(
            name=name,
            public_key=write_seed(directory.contributor_key(name), entropy(SEED_BYTES)).public,
            roles=role,
        )
        for name, role in roles.items()
    )


def _deal_coin(
    directory: NetworkDirectory, plan: NetworkPlan, entropy: Callable[[int], bytes]
) -> CoinKeys | None:
    """Deal the common coin's key to the sites, where there is one; return its public part."""
    if plan.consensus.protocol != ASYNC:
        return None
    public, secrets = deal(entropy(SEED_BYTES), coin_threshold(plan.sites), plan.sites)
    for index, secret in enumerate(secrets):
        write_coin_secret(directory.keys(f"site-{index}"), secret)
    return public


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
