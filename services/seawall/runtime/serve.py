"""One process of a site: builds its roles, opens its ports, and ends within a bound.

Order of a start: genesis, keys, locks, roles in the order of `ROLES`, ports, then everything runs.
A role that fails ends the process: a site that cannot keep its promises says nothing.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import grpc
import grpc.aio
from grpc_reflection.v1alpha import reflection

from seawall.api.v1 import (
    aggregation_pb2,
    consensus_pb2,
    fault_plane_pb2,
    ingestion_pb2,
    integrity_pb2,
    ledger_pb2,
)
from seawall.config import Settings, SiteConfig, check
from seawall.domain.genesis import Genesis
from seawall.errors import LocalError, OperationalError, SeawallError
from seawall.formats import genesis as genesis_format
from seawall.formats.admission import Admission
from seawall.runtime.admission_cache import AdmissionCache
from seawall.runtime.authorisation import Guard
from seawall.runtime.channels import SERVING_OPTIONS, SiteChannels
from seawall.runtime.clock import SystemClock
from seawall.runtime.coin_key import read_coin_secret
from seawall.runtime.crash import ArmedCrashPoints, parse
from seawall.runtime.disk import SoundDisk
from seawall.runtime.faults.seams import Seams, behind_faults
from seawall.runtime.health import Health
from seawall.runtime.interpreter import tune_interpreter
from seawall.runtime.keys import SiteSecrets, read_site_secrets
from seawall.runtime.local import LocalServer
from seawall.runtime.locks import DataDirectory
from seawall.runtime.service import CHAOS, CONSENSUS, ROLES, Context, Service, SiteKeys
from seawall.runtime.tls import Callers, client_server_credentials, peer_server_credentials
from seawall.telemetry.exposition import MetricsServer
from seawall.telemetry.logs import Log, open_log
from seawall.telemetry.metrics import Registry, open_registry

PROCESS_ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType(
    {
        # Keep freed megabyte buffers instead of returning them to the system each time.
        "MALLOC_MMAP_THRESHOLD_": "1073741824",
        "MALLOC_TRIM_THRESHOLD_": "1073741824",
        "MALLOC_TOP_PAD_": "67108864",
        # Several sites on one machine, each with a thread pool of its own, get in each other's way.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        # gRPC's own log: errors only; ours says what matters.
        "GRPC_VERBOSITY": "ERROR",
    }
)
"""Environment that whoever starts a serving process should set; libraries read it at start."""

CONTRACT: Final = (
    aggregation_pb2,
    consensus_pb2,
    fault_plane_pb2,
    ingestion_pb2,
    integrity_pb2,
    ledger_pb2,
)
HEALTH_NAME: Final = "grpc.health.v1.Health"

SERVER_GRACE_SECONDS: Final = 0.5
"""How long running calls of others may take to end by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """How a role is made: its settings' type, and the function that builds it from them."""

    settings: type[Settings]
    build: Callable[[Context, Any], Service]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where a process listens."""

    client: int
    peer: int
    health: int
    metrics: int


def run(
    config: SiteConfig,
    roles: Mapping[str, Role],
    *,
    on_started: Callable[[Ports], None] | None = None,
) -> int:
    """Serve until a signal or a failure; return the exit code.

    0 after SIGTERM or SIGINT, 1 when a role failed, 2 when the process could not start; the log
    says why.
    """
    with _open_log(config) as log:
        return asyncio.run(_serve_logged(config, roles, log, on_started))


async def serve(
    config: SiteConfig,
    roles: Mapping[str, Role],
    *,
    log: Log,
    stop: asyncio.Event,
    on_started: Callable[[Ports], None] | None = None,
) -> None:
    """Serve until `stop` is set.

    Args:
        config: settings of this process.
        roles: how each role is made, by name; may hold more than this process serves.
        log: where to log.
        stop: ends the process in good order.
        on_started: called once with the ports, when all of them are open.

    Raises:
        SeawallError: the start failed, or the first failure of a role.

    """
    async with AsyncExitStack() as stack:
        process = _Process(config, log)
        services = process.build(roles, stack.enter_context(ExitStack()))
        stack.push_async_callback(process.channels.close)
        local = await stack.enter_async_context(process.local)
        health = Health(services, config.data_dir, process.log)
        servers, ports = await process.listen(services, health)
        for service in services:
            service.register(local)
        metrics = MetricsServer(process.registry, config.host, config.listen_port(3))
        stack.callback(metrics.close)
        graceful = False
        try:
            async with asyncio.timeout(None) as bound, asyncio.TaskGroup() as group:
                tasks = [group.create_task(one.run(), name=one.name) for one in services]
                tasks.append(group.create_task(health.run(), name="health"))
                for server in servers:
                    await server.start()
                opened = Ports(**ports, metrics=metrics.port)
                process.log.info("serving", roles=[one.name for one in services], **ports)
                if on_started is not None:
                    on_started(opened)
                await _stopped(stop, tasks)
                process.log.info("stopping")
                bound.reschedule(asyncio.get_running_loop().time() + config.stop_seconds_max)
                await health.stop()
                graceful = True
                await _stop_all(servers, SERVER_GRACE_SECONDS)
                for task in reversed(tasks):
                    task.cancel()
        except TimeoutError as fault:
            hint = f"the process did not end within {config.stop_seconds_max} s"
            raise OperationalError("SITE_STOP", hint) from fault
        finally:
            if not graceful:
                await _stop_all(servers, None)
    process.log.info("stopped")


class _Process:
    """What all roles of one process share."""

    def __init__(self, config: SiteConfig, log: Log) -> None:
        self.config = config
        self.genesis, self.origin = read_genesis(config.genesis)
        if config.site >= len(self.genesis.sites):
            raise LocalError("SITE_CONFIG", "no such site in genesis", field="site")
        self.secrets: SiteSecrets = read_site_secrets(config.keys_dir, self.genesis, config.site)
        self.coin_secret = b""
        if CONSENSUS in config.roles:
            self.coin_secret = read_coin_secret(config.keys_dir, self.genesis, config.site)
        self.crash_points = ArmedCrashPoints()
        if config.crash_at is not None:
            self.crash_points.arm(*parse(config.crash_at))
        chaos = config.chaos.enabled
        self.seams = Seams.of(config.roles, self.crash_points) if chaos else None
        self.registry: Registry = open_registry(_version())
        self.log = log.bind(site=config.site, origin=self.origin)
        self.admission = AdmissionCache(Admission(self.genesis, self.origin))
        self.local = LocalServer(behind_faults(self.seams, lambda _: config.site))
        self.channels = SiteChannels(
            self.genesis,
            config.site,
            (self.secrets.tls_key_pem, self.secrets.tls_certificate_pem),
            dict.fromkeys(config.roles, self.local),
            addresses={str(role): address for role, address in config.addresses.items()},
        )

    def build(self, roles: Mapping[str, Role], stack: ExitStack) -> tuple[Service, ...]:
        """Lock the data directories and build the roles of this process, in order."""
        wanted: list[str] = [role for role in ROLES if role in self.config.roles]
        if self.config.chaos.enabled:
            wanted.append(CHAOS)
        services = []
        for name in wanted:
            if name not in roles:
                raise LocalError("SITE_CONFIG", "this build has no such role", field="roles")
            table = self.config.role_settings(name) if name != CHAOS else {}
            settings = check(roles[name].settings, table, place=name)
            owner = f"{self.origin} site-{self.config.site} {name}"
            directory = stack.enter_context(DataDirectory(self.config.data_dir / name, owner))
            services.append(roles[name].build(self.context(name, directory.path), settings))
        return tuple(services)

    def context(self, role: str, data_dir: Path) -> Context:
        """Return what one role gets from this process."""
        return Context(
            genesis=self.genesis,
            origin=self.origin,
            committee=self.genesis.committee(self.origin),
            site=self.config.site,
            keys=SiteKeys(
                consensus=self.secrets.consensus,
                cosigner=self.secrets.cosigner,
                log=self.secrets.log,
                coin=self.coin_secret if role == CONSENSUS else b"",
            ),
            data_dir=data_dir,
            channels=self.channels,
            clock=(self.seams and self.seams.clock) or SystemClock(),
            entropy=os.urandom,
            registry=self.registry,
            log=self.log.bind(role=role),
            crash_points=self.crash_points,
            admission=self.admission,
            disk=(self.seams and self.seams.disk) or SoundDisk(),
            seams=self.seams,
        )

    async def listen(
        self, services: Sequence[Service], health: Health
    ) -> tuple[tuple[grpc.aio.Server, ...], dict[str, int]]:
        """Return the servers, not yet started, and the ports that they hold."""
        config, secrets = self.config, self.secrets
        runner = config.chaos.runner_certificate if config.chaos.enabled else None
        runner_pem = runner.read_bytes() if runner is not None else b""
        callers = Callers(self.genesis, config.site, runner_pem)
        wrap = behind_faults(self.seams, callers.site_of)
        tls = (secrets.tls_key_pem, secrets.tls_certificate_pem)
        credentials = {
            "client": client_server_credentials(*tls),
            "peer": peer_server_credentials(self.genesis, *tls, runner_pem),
            "health": None,
        }
        servers: list[grpc.aio.Server] = []
        ports: dict[str, int] = {}
        for offset, (name, credential) in enumerate(credentials.items()):
            server = grpc.aio.server(options=SERVING_OPTIONS)
            if credential is not None:
                for service in services:
                    service.register(Guard(server, callers, config.site, wrap))
                _reflect(server)
            health.register(server)
            ports[name] = _open_port(server, config.host, config.listen_port(offset), credential)
            servers.append(server)
        return tuple(servers), ports


def read_genesis(path: Path) -> tuple[Genesis, str]:
    """Return the genesis in a file and its origin.

    Raises:
        OperationalError: GENESIS_READ.
        PeerError: as `seawall.formats.genesis.decode`.

    """
    try:
        with path.open("rb") as file:
            data = file.read(genesis_format.GENESIS_SIZE_BYTES_MAX + 1)
    except OSError as fault:
        hint = f"cannot read {path}: {fault.strerror}"
        raise OperationalError("GENESIS_READ", hint) from fault
    return genesis_format.decode(data), genesis_format.origin(data)


def _open_port(
    server: grpc.aio.Server, host: str, port: int, credentials: grpc.ServerCredentials | None
) -> int:
    address = f"{host}:{port}"
    try:
        if credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, credentials)
    except RuntimeError as fault:
        raise OperationalError("SITE_PORT", f"cannot listen on {address}: is it in use?") from fault


def _reflect(server: grpc.aio.Server) -> None:
    """Describe the services of the contract to tools that ask."""
    names = [
        f"{file.package}.{service}"
        for file in (module.DESCRIPTOR for module in CONTRACT)
        for service in file.services_by_name
    ]
    reflection.enable_server_reflection((*names, reflection.SERVICE_NAME, HEALTH_NAME), server)


async def _stopped(stop: asyncio.Event, tasks: Sequence[asyncio.Task[None]]) -> None:
    """Return when `stop` is set; raise when a role has returned, which none should."""
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(stop.wait())
        done, _ = await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
    for task in tasks:
        if task in done and not task.cancelled() and task.exception() is None:
            raise OperationalError("SITE_ROLE", f"role {task.get_name()} ended by itself")


async def _stop_all(servers: Sequence[grpc.aio.Server], grace: float | None) -> None:
    async with asyncio.TaskGroup() as group:
        for server in servers:
            group.create_task(server.stop(grace))


@contextmanager
def _open_log(config: SiteConfig) -> Iterator[Log]:
    if config.log_file is None:
        yield open_log(config.log_level)
        return
    config.log_file.parent.mkdir(parents=True, exist_ok=True)
    with config.log_file.open("ab", buffering=0) as stream:
        yield open_log(config.log_level, stream)


async def _serve_logged(
    config: SiteConfig,
    roles: Mapping[str, Role],
    log: Log,
    on_started: Callable[[Ports], None] | None,
) -> int:
    stop = asyncio.Event()
    started = False

    def note(ports: Ports) -> None:
        nonlocal started
        started = True
        tune_interpreter()
        if on_started is not None:
            on_started(ports)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    missing = [name for name in PROCESS_ENVIRONMENT if name not in os.environ]
    if missing:
        log.info("environment_not_tuned", missing=missing)
    try:
        await serve(config, roles, log=log, stop=stop, on_started=note)
    except SeawallError as fault:
        log.critical("process_failed", **facts(fault))
        return 1 if started else 2
    except BaseExceptionGroup as faults:
        first = first_failure(faults)
        if isinstance(first, SeawallError):
            log.critical("process_failed", **facts(first))
        else:
            log.critical("process_failed", exc_info=first)
        return 1 if started else 2
    return 0


def facts(fault: SeawallError) -> dict[str, object]:
    """Return an error as fields of a log line."""
    return {"code": fault.code, "field": fault.field, "offset": fault.offset, "hint": fault.hint}


def first_failure(faults: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the failure to report of a task group: one of ours before any other."""
    leaves = list(_leaves(faults))
    ours = [leaf for leaf in leaves if isinstance(leaf, SeawallError)]
    return (ours or leaves)[0]


def _leaves(fault: BaseException) -> Iterator[BaseException]:
    if isinstance(fault, BaseExceptionGroup):
        for inner in fault.exceptions:
            yield from _leaves(inner)
    else:
        yield fault


def _version() -> str:
    with suppress(PackageNotFoundError):
        return version("seawall")
    return "0+source"
