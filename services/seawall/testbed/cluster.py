"""Makes the keys and the genesis of a network that runs in a Kubernetes cluster, once.

A plan names the sites, pool by pool, and the host of each of their roles. What is made from it are
objects of the cluster, all with the plan's name in front:

ConfigMap NAME-genesis        genesis.json
ConfigMap NAME-payloads       base models of the tasks
Secret NAME-POOL-signing      I.consensus.key, I.cosigner.key, I.log.key (and I.coin.key) of the
                              pool's site number I
Secret NAME-POOL-tls          I.tls.key, I.tls.crt
Secret NAME-contributors      NAME.key of each contributor
Secret NAME-root              root-I.key, to be moved out of the cluster
Secret NAME-runner            runner.key, runner.crt of the chaos runner, where a plan asks for one;
                              genesis does not know it, so it may come and go
Secret NAME-POOL-redis        I.redis.password, I.redis.conf, where sites have a Redis of their own

They are created only while none of them is there, and never changed: genesis is the name of its
chain, and the keys are its sites. The passwords of Redis are no such thing: those that are missing
are made at any time.
"""

import base64
import datetime as dt
import json
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from seawall.domain.genesis import Genesis
from seawall.domain.parameters import ASYNC, SYNC, ConsensusParameters
from seawall.errors import LocalError, OperationalError
from seawall.formats import genesis as genesis_format
from seawall.runtime.certificates import make_certificate
from seawall.runtime.coin_key import COIN_KEY
from seawall.runtime.keys import (
    CONSENSUS_KEY,
    COSIGNER_KEY,
    LOG_KEY,
    TLS_CERTIFICATE,
    TLS_KEY,
)
from seawall.runtime.service import ROLES
from seawall.testbed.directory import GENESIS_NAME
from seawall.testbed.genesis_maker import MadeNetwork, NetworkPlan, make_network
from seawall.testbed.tasks import digits_task

SITES_MIN: Final = 4
"""Fewer sites tolerate no faulty one."""

REDIS_PASSWORD: Final = "redis.password"  # noqa: S105 - the name of a file
REDIS_CONF: Final = "redis.conf"
PASSWORD_BYTES: Final = 32

KEEP: Final = {"helm.sh/resource-policy": "keep"}
CONFIG_MAP: Final = "ConfigMap"
RUNNER: Final = "runner"
RUNNER_NAME: Final = "chaos-runner"
SECRET: Final = "Secret"  # noqa: S105 - a kind of object

Manifest: TypeAlias = dict[str, Any]


class PlannedSite(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One site: its pool, its number in the pool, its zone, and the host of each role."""

    pool: str
    number: int
    zone: str
    hosts: dict[str, str]


class ClusterPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What to make.

    `port` is the base port of every process; `wave_length` and `protocol` are those of genesis;
    `labels` are put on every object; `runner` asks for an identity of the chaos runner; `redis`
    says that each site has a Redis of its own.
    """

    name: str
    chain: str
    port: int
    sites: tuple[PlannedSite, ...]
    protocol: str = SYNC
    wave_length: int = 5
    contributors: int = 20
    interval_ms: int = 1000
    labels: dict[str, str] = {}
    runner: bool = False
    redis: bool = False

    def network(self) -> NetworkPlan:
        """Return the plan of the network's genesis."""
        consensus = ConsensusParameters()
        if self.protocol == ASYNC:
            consensus = consensus.asynchronous(self.wave_length)
        task = digits_task(1, contributors=self.contributors, interval_ms=self.interval_ms)
        return NetworkPlan(
            sites=len(self.sites),
            chain=self.chain,
            port=self.port,
            contributors=self.contributors,
            tasks=(task,),
            consensus=consensus,
            role_hosts=tuple(tuple(site.hosts[role] for role in ROLES) for site in self.sites),
            zones=tuple(site.zone for site in self.sites),
        )


class Cluster(Protocol):
    """Objects of one namespace."""

    def read(self, kind: str, name: str) -> Manifest | None:
        """Return a ConfigMap or Secret as it stands in the cluster, None when it is not there."""
        ...

    def create(self, manifest: Manifest) -> None:
        """Create a ConfigMap or Secret that is not there yet."""
        ...


def read_plan(text: bytes) -> ClusterPlan:
    """Return the plan in a JSON document.

    Raises:
        LocalError: PKI_PLAN with what is wrong.

    """
    try:
        plan = msgspec.json.decode(text, type=ClusterPlan)
    except msgspec.DecodeError as fault:
        raise LocalError("PKI_PLAN", str(fault)) from fault
    if len(plan.sites) < SITES_MIN:
        hint = f"{len(plan.sites)} sites tolerate no faulty one: plan at least {SITES_MIN}"
        raise LocalError("PKI_PLAN", hint, field="sites")
    if any(sorted(site.hosts) != sorted(ROLES) for site in plan.sites):
        raise LocalError("PKI_PLAN", f"name a host for each of {', '.join(ROLES)}", field="hosts")
    return plan


def make_manifests(plan: ClusterPlan, scratch: Path) -> tuple[Manifest, ...]:
    """Return all objects of a new network, its genesis last; files are made in `scratch`.

    Raises:
        LocalError: as `genesis_maker.make_network`.

    """
    made = make_network(scratch, plan.network())
    directory = made.directory
    runner = (runner_secret(plan),) if plan.runner else ()
    people = sorted(directory.path.glob("contributors/*.key"))
    roots = sorted(directory.path.glob("keys/*.key"))
    return (
        *runner,
        *_site_secrets(plan, made),
        *_redis_secrets(plan),
        _secret(plan, "contributors", {path.name: path.read_bytes() for path in people}),
        _secret(plan, "root", {path.name: path.read_bytes() for path in roots}),
        _config_map(
            plan,
            "payloads",
            "binaryData",
            {path.name: _encoded(path.read_bytes()) for path in directory.payloads.iterdir()},
        ),
        _config_map(plan, "genesis", "data", {GENESIS_NAME: directory.genesis.read_text("utf-8")}),
    )


def ensure(plan: ClusterPlan, cluster: Cluster, scratch: Callable[[], Path]) -> Genesis:
    """Create the objects unless they are there, and return the genesis that the cluster has.

    Raises:
        LocalError: PKI_CHANGED when a network of another plan is there; PKI_PARTIAL when only
            some objects are there, without genesis.
        OperationalError: PKI_MISSING when genesis is there, and an object of it is not.

    """
    names = object_names(plan)
    there = {(kind, name): cluster.read(kind, name) for kind, name in names}
    missing = [f"{kind} {name}" for (kind, name), found in there.items() if found is None]
    stored = there[CONFIG_MAP, f"{plan.name}-genesis"]
    if stored is not None:
        genesis = genesis_format.decode(stored["data"][GENESIS_NAME].encode())
        refuse_change(plan, genesis)
        if missing:
            hint = f"{', '.join(missing)} is missing: restore it, this chain has no other keys"
            raise OperationalError("PKI_MISSING", hint)
        if plan.runner and cluster.read(SECRET, f"{plan.name}-{RUNNER}") is None:
            cluster.create(runner_secret(plan))
        for manifest in _redis_secrets(plan):
            if cluster.read(SECRET, manifest["metadata"]["name"]) is None:
                cluster.create(manifest)
        return genesis
    if len(missing) < len(names):
        left = [f"{kind} {name}" for (kind, name), found in there.items() if found is not None]
        hint = f"without genesis, {', '.join(left)} is there: restore genesis, or delete the rest"
        raise LocalError("PKI_PARTIAL", hint)
    manifests = make_manifests(plan, scratch())
    for manifest in manifests:
        name = manifest["metadata"]["name"]
        # Passwords and the runner of an earlier network under this name are as good as new ones.
        passing = name.endswith(("-redis", f"-{RUNNER}"))
        if not passing or cluster.read(SECRET, name) is None:
            cluster.create(manifest)
    return genesis_format.decode(manifests[-1]["data"][GENESIS_NAME].encode())


def runner_secret(plan: ClusterPlan) -> Manifest:
    """Return key and certificate of a new chaos runner; fault planes are shown the certificate."""
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    key, certificate = make_certificate(RUNNER_NAME, (), not_before=yesterday)
    return _secret(plan, RUNNER, {f"{RUNNER}.key": key, f"{RUNNER}.crt": certificate})


def object_names(plan: ClusterPlan) -> tuple[tuple[str, str], ...]:
    """Return kind and name of every object that sites need to run."""
    pools = dict.fromkeys(site.pool for site in plan.sites)
    return (
        *((SECRET, f"{plan.name}-{pool}-{what}") for pool in pools for what in ("signing", "tls")),
        (CONFIG_MAP, f"{plan.name}-payloads"),
        (CONFIG_MAP, f"{plan.name}-genesis"),
    )


def refuse_change(plan: ClusterPlan, genesis: Genesis) -> None:
    """Refuse a plan that is not that of the genesis.

    Raises:
        LocalError: PKI_CHANGED with the first difference.

    """
    wanted = plan.network()
    differences: dict[str, tuple[object, object]] = {
        "sites": (len(genesis.sites), len(plan.sites)),
        "chain": (genesis.chain, plan.chain),
        "protocol": (genesis.consensus.protocol, plan.protocol),
    }
    for index, (site, hosts) in enumerate(zip(genesis.sites, wanted.role_hosts, strict=False)):
        for role, host in zip(ROLES, hosts, strict=True):
            address = f"{host}:{plan.port}"
            differences[f"sites[{index}].{role}"] = (site.client_address_of(role), address)
    for field, (found, planned) in differences.items():
        if found != planned:
            hint = f"genesis has {found}, not {planned}: another network needs another name"
            raise LocalError("PKI_CHANGED", hint, field=field)


def as_list(manifests: tuple[Manifest, ...]) -> str:
    """Return objects as one document that `kubectl create -f -` takes."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)}, indent=2)


def _site_secrets(plan: ClusterPlan, made: MadeNetwork) -> tuple[Manifest, ...]:
    """Return the secrets of each pool: what signs apart from what makes connections."""
    signing = [CONSENSUS_KEY, COSIGNER_KEY, LOG_KEY]
    if plan.protocol == ASYNC:
        signing.append(COIN_KEY)
    files: dict[tuple[str, str], dict[str, bytes]] = {}
    for site, member in zip(plan.sites, made.genesis.sites, strict=True):
        keys = made.directory.keys(member.name)
        for what, names in (("signing", signing), ("tls", [TLS_KEY, TLS_CERTIFICATE])):
            of_pool = files.setdefault((site.pool, what), {})
            of_pool.update({f"{site.number}.{name}": (keys / name).read_bytes() for name in names})
    return tuple(_secret(plan, f"{pool}-{what}", held) for (pool, what), held in files.items())


def _redis_secrets(plan: ClusterPlan) -> tuple[Manifest, ...]:
    """Return the passwords of each pool's Redis: as a file, and in its configuration."""
    files: dict[str, dict[str, bytes]] = {}
    for site in plan.sites if plan.redis else ():
        password = secrets.token_hex(PASSWORD_BYTES)
        of_pool = files.setdefault(site.pool, {})
        of_pool[f"{site.number}.{REDIS_PASSWORD}"] = f"{password}\n".encode()
        of_pool[f"{site.number}.{REDIS_CONF}"] = f"requirepass {password}\n".encode()
    return tuple(_secret(plan, f"{pool}-redis", held) for pool, held in files.items())


def _secret(plan: ClusterPlan, suffix: str, files: Mapping[str, bytes]) -> Manifest:
    data = {name: _encoded(content) for name, content in files.items()}
    return {**_object(plan, SECRET, suffix), "type": "Opaque", "data": data}


def _config_map(plan: ClusterPlan, suffix: str, field: str, data: Mapping[str, str]) -> Manifest:
    return {**_object(plan, CONFIG_MAP, suffix), field: dict(data)}


def _object(plan: ClusterPlan, kind: str, suffix: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {
            "name": f"{plan.name}-{suffix}",
            "labels": dict(plan.labels),
            "annotations": dict(KEEP),
        },
        "immutable": True,
    }


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
