"""Settings of one process of a site: a TOML file, checked before anything starts.

The file says where things are and who this process is; what all sites agree on stands in
genesis. Each role has a table of its own, checked by the role's `config` module.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from seawall.errors import LocalError, OperationalError

PORT_NAMES: Final = ("client", "peer", "health", "metrics")
"""What a process serves at each port, from its base port on."""

PORTS_PER_SITE: Final = len(PORT_NAMES)

WORKERS_MAX: Final = 8
"""Ingestion workers of one site: as many follow the finality of its consensus."""

CONFIG_SIZE_BYTES_MAX: Final = 1 << 20

S = TypeVar("S", bound="Settings")

RoleName = Literal["ledger", "integrity", "consensus", "ingestion", "aggregation"]
ALL_ROLES: Final[tuple[RoleName, ...]] = (
    "ledger",
    "integrity",
    "consensus",
    "ingestion",
    "aggregation",
)


class Settings(BaseModel):
    """Base of all settings: frozen, and nothing unknown is let by."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class ChaosSettings(Settings):
    """The fault plane; off unless an experiment asks for it.

    `runner_certificate` is the PEM file of the chaos runner, the only one that may call it on the
    peer port; without one, only this site's own certificate may.
    """

    enabled: bool = False
    runner_certificate: Path | None = None


class SiteConfig(Settings):
    """One process of a site.

    Attributes:
        site: index of the site in genesis.
        genesis: path of the genesis file.
        data_dir: directory of everything that this process keeps; each role has a locked
            directory inside.
        keys_dir: directory of the site's private keys.
        host: address to listen on.
        port: base port: clients at `port`, other sites at `port + 1`, plaintext health at
            `port + 2`, metrics at `port + 3`. With 0 the system chooses each.
        roles: roles of this process, started in the order of `ALL_ROLES`.
        addresses: for roles of this site that other processes serve: their host:port for peers.
        worker: number of this process among the site's ingestion workers, from 0.
        worker_ports: from the ports of one worker to those of the next; the client port is one
            for all.
        log_level: debug, info, warning or error.
        log_file: where logs go; standard error when absent.
        stop_seconds_max: bound of a graceful stop.
        crash_at: `point` or `point:skip`: ends the process there, for tests of recovery.
        chaos: the fault plane.
        ledger, integrity, consensus, ingestion, aggregation: settings of the roles.

    """

    site: Annotated[int, Field(ge=0, lt=1 << 16)]
    genesis: Path
    data_dir: Path
    keys_dir: Path
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535 - PORTS_PER_SITE + 1)] = 0
    roles: tuple[RoleName, ...] = ALL_ROLES
    addresses: dict[RoleName, str] = Field(default_factory=dict)
    worker: Annotated[int, Field(ge=0, lt=WORKERS_MAX)] = 0
    worker_ports: Annotated[int, Field(ge=PORTS_PER_SITE, le=1000)] = 10
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_file: Path | None = None
    stop_seconds_max: Annotated[float, Field(gt=0, le=300)] = 10.0
    crash_at: str | None = None
    chaos: ChaosSettings = ChaosSettings()
    ledger: dict[str, Any] = Field(default_factory=dict)
    integrity: dict[str, Any] = Field(default_factory=dict)
    consensus: dict[str, Any] = Field(default_factory=dict)
    ingestion: dict[str, Any] = Field(default_factory=dict)
    aggregation: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _roles_are_distinct(self) -> "SiteConfig":
        if not self.roles or len(dict.fromkeys(self.roles)) != len(self.roles):
            raise ValueError("name each role once, and at least one")
        return self

    @model_validator(mode="after")
    def _workers_are_processes_of_their_own(self) -> "SiteConfig":
        if (self.worker or self.shares_client_port) and self.roles != ("ingestion",):
            raise ValueError("ingestion with several workers is served by processes of its own")
        return self

    @property
    def shares_client_port(self) -> bool:
        """Say whether other processes of the site listen at the same port for clients."""
        return "ingestion" in self.roles and self.ingestion.get("workers", 1) != 1

    def role_settings(self, role: str) -> dict[str, Any]:
        """Return the table of one role as it stands in the file."""
        table: dict[str, Any] = getattr(self, role)
        return table

    def listen_port(self, offset: int) -> int:
        """Return the port at `offset` from the base, or 0 when the system chooses.

        Workers of one site have the port for clients in common, and no other.
        """
        apart = self.worker_ports * self.worker if offset else 0
        return self.port + apart + offset if self.port else 0


def load(path: Path, **overrides: object) -> SiteConfig:
    """Return the settings in a TOML file; `overrides` replace top-level members.

    Relative paths are relative to the file's directory.

    Raises:
        LocalError: SITE_CONFIG with the field, or the place in the file.
        OperationalError: SITE_CONFIG_READ when there is no such file.

    """
    try:
        data = path.read_bytes()
    except OSError as fault:
        hint = f"cannot read {path}: {fault.strerror}"
        raise OperationalError("SITE_CONFIG_READ", hint) from fault
    if len(data) > CONFIG_SIZE_BYTES_MAX:
        raise LocalError("SITE_CONFIG", "keep the file below 1 MiB")
    try:
        table = tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise LocalError("SITE_CONFIG", f"not TOML: {fault}") from fault
    config = check(SiteConfig, {**table, **overrides})
    base = path.resolve().parent
    return config.model_copy(
        update={
            "genesis": base / config.genesis,
            "data_dir": base / config.data_dir,
            "keys_dir": base / config.keys_dir,
            "log_file": base / config.log_file if config.log_file else None,
        }
    )


def check(kind: type[S], table: dict[str, Any], *, place: str = "") -> S:
    """Return `table` as settings of one kind.

    Raises:
        LocalError: SITE_CONFIG with the field of the first fault; `place` stands before it.

    """
    try:
        return kind.model_validate(table)
    except ValidationError as faults:
        first = faults.errors(include_url=False, include_input=False)[0]
        field = ".".join([place] * bool(place) + [str(part) for part in first["loc"]])
        raise LocalError("SITE_CONFIG", first["msg"], field=field or None) from faults
