"""Sites of a release on Kubernetes, as the runner of an experiment reaches them from its pod."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import Any, Final

from seawall.api.v1 import fault_plane_pb2_grpc, ledger_pb2, ledger_pb2_grpc
from seawall.client import Chain
from seawall.client.memory import start_state
from seawall.crypto.signing import key_id
from seawall.errors import LocalError, OperationalError
from seawall.formats.entry import UpdateEntry, kind_of, parse
from seawall.runtime.channels import peer_channel
from seawall.runtime.keys import read_key
from seawall.runtime.service import CONSENSUS, LEDGER, ROLES
from seawall.testbed.chaos.sites import LocalSites
from seawall.testbed.cluster_api import KubernetesObjects
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.observer import Observer

CHAOS_LABEL: Final = "seawall.dev/chaos"
ALLOWED: Final = "enabled"
NETWORK: Final = Path("/etc/seawall/network/genesis.json")
CONTRIBUTORS: Final = Path("/etc/seawall/contributors")
RUNNER: Final = Path("/etc/seawall/chaos")
"""Where the chart mounts them."""

LOG_SECONDS_MAX: Final = 120.0


@dataclass(slots=True, kw_only=True)
class ClusterSites(LocalSites):
    """A release: `directory` has its genesis and the contributors' keys, and no data of sites.

    Attributes:
        objects: the namespace of the release.
        key_pem, certificate_pem: of the runner, the only one whom fault planes obey.

    """

    objects: KubernetesObjects
    key_pem: bytes
    certificate_pem: bytes

    def pods(self, site: int) -> tuple[str, ...]:
        """Return the names of a site's pods, as its addresses in genesis have them.

        Raises:
            LocalError: CHAOS_TARGET when they are in another namespace, or in no cluster.

        """
        member = self.chain.genesis.sites[site]
        found: dict[str, None] = {}
        for role in ROLES:
            parts = member.client_address_of(role).partition(":")[0].split(".")
            if len(parts) < 4 or parts[2:4] != [self.objects.namespace, "svc"]:  # noqa: PLR2004 - POD.SERVICE.NAMESPACE.svc
                hint = f"{member.name} is not in namespace {self.objects.namespace}"
                raise LocalError("CHAOS_TARGET", hint, field="--namespace")
            found[parts[0]] = None
        return tuple(found)

    @asynccontextmanager
    async def fault_plane(self, site: int) -> AsyncIterator[Any]:
        """Have a stub of the fault plane of a site's consensus, called as the runner."""
        if site not in self._channels:
            member = self.chain.genesis.sites[site]
            self._channels[site] = peer_channel(
                member,
                self.key_pem,
                self.certificate_pem,
                address=member.peer_address_of(CONSENSUS),
            )
        yield fault_plane_pb2_grpc.FaultPlaneServiceStub(self._channels[site])


def require_allowed(objects: KubernetesObjects) -> None:
    """Refuse a namespace that does not say that faults may be injected in it.

    Raises:
        LocalError: CHAOS_NAMESPACE.
        OperationalError: PKI_API.

    """
    if objects.labels_of_namespace().get(CHAOS_LABEL) != ALLOWED:
        name = objects.namespace
        hint = f"faults are not allowed: kubectl label namespace {name} {CHAOS_LABEL}={ALLOWED}"
        raise LocalError("CHAOS_NAMESPACE", hint, field="--namespace")


def open_sites(objects: KubernetesObjects, home: Path) -> ClusterSites:
    """Return the sites of the release, from what the chart mounts; keys are copied into `home`.

    Raises:
        OperationalError: CHAOS_MOUNT when something is not mounted.

    """
    directory = NetworkDirectory(home)
    try:
        people = directory.path / "contributors"
        people.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in sorted(CONTRIBUTORS.glob("*.key")):
            place = people / path.name
            shutil.copyfile(path, place)
            place.chmod(0o600)
        shutil.copyfile(NETWORK, directory.genesis)
        return ClusterSites(
            directory,
            Chain.read(directory.genesis),
            objects=objects,
            key_pem=(RUNNER / "runner.key").read_bytes(),
            certificate_pem=(RUNNER / "runner.crt").read_bytes(),
        )
    except OSError as fault:
        hint = f"the chart mounts {fault.filename} with chaos.enabled: run this as its Job"
        raise OperationalError("CHAOS_MOUNT", hint) from fault


async def recover_states(sites: ClusterSites, observer: Observer) -> None:
    """Write state files for all contributors, from what the log says of their numbers.

    As `selftest.recover_state`: some of the next numbers may be under way from an earlier run.

    Raises:
        OperationalError: RPC_DEADLINE when no site shows its log in time.

    """
    used = await _highest_numbers(sites, observer)
    window = sites.chain.genesis.admission.seq_window
    for path in sorted((sites.directory.path / "contributors").glob("*.key")):
        contributor = key_id(read_key(path).public)
        ahead = SystemRandom().randrange(window // 2)
        start_state(
            path.with_name(f"{path.name}.state"),
            origin=sites.chain.origin,
            contributor=contributor,
            seq=used.get(contributor.hex(), 0) + 1 + ahead,
        )


async def _highest_numbers(sites: ClusterSites, observer: Observer) -> dict[str, int]:
    """Return the highest number of each contributor, as the first site has it."""
    highest: dict[str, int] = {}
    stub: Any = ledger_pb2_grpc.LedgerServiceStub(observer.channel(0, LEDGER))
    try:
        async with asyncio.timeout(LOG_SECONDS_MAX):
            size = (await stub.LedgerStatus(ledger_pb2.LedgerStatusRequest())).tree_size
            async for part in stub.Entries(ledger_pb2.EntriesRequest(start=0, limit=size)):
                for data in part.entries:
                    entry = parse(data) if kind_of(data) == "update" else None
                    if isinstance(entry, UpdateEntry):
                        known = highest.get(entry.contributor, 0)
                        highest[entry.contributor] = max(known, entry.seq)
    except TimeoutError as fault:
        hint = f"{sites.names[0]} does not show its log in time"
        raise OperationalError("RPC_DEADLINE", hint) from fault
    return highest
