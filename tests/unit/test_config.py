"""Settings of a process: a TOML file with nothing unknown, every fault with its field."""

from pathlib import Path

import pytest

from seawall.config import ALL_ROLES, SiteConfig, check, load
from seawall.consensus.config import ConsensusSettings
from seawall.errors import LocalError, OperationalError
from seawall.ingestion.config import IngestionSettings
from seawall.runtime.service import ROLES

FILE = """
site = 2
genesis = "genesis.json"
data_dir = "data"
keys_dir = "/keys"
port = 4000
roles = ["consensus", "ledger"]
log_level = "warning"
crash_at = "host.before_send:3"

[addresses]
integrity = "10.0.0.1:4001"

[chaos]
enabled = true

[consensus]
heartbeat_seconds = 0.5
"""


def write(path: Path, text: str) -> Path:
    place = path / "site.toml"
    place.write_text(text)
    return place


def test_a_file_becomes_settings_with_paths_beside_it(tmp_path: Path) -> None:
    config = load(write(tmp_path, FILE), port=5000)
    assert (config.site, config.port) == (2, 5000)
    assert config.genesis == tmp_path / "genesis.json"
    assert config.data_dir == tmp_path / "data"
    assert config.keys_dir == Path("/keys")
    assert config.log_file is None
    assert config.roles == ("consensus", "ledger")
    assert config.chaos.enabled
    assert [config.listen_port(offset) for offset in range(4)] == [5000, 5001, 5002, 5003]
    settings = check(ConsensusSettings, config.role_settings("consensus"), place="consensus")
    assert settings.heartbeat_seconds == 0.5
    assert load(write(tmp_path, FILE), log_file="x.log").log_file == tmp_path / "x.log"


def test_defaults_serve_every_role_on_ports_that_the_system_chooses() -> None:
    config = SiteConfig.model_validate(
        {"site": 0, "genesis": "g", "data_dir": "d", "keys_dir": "k"}
    )
    assert set(config.roles) == set(ALL_ROLES) == set(ROLES)
    assert config.listen_port(3) == 0
    assert not config.chaos.enabled


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("site = -1", "site"),
        ("port = 65533", "port"),
        ('roles = ["judge"]', "roles.0"),
        ('roles = ["ledger", "ledger"]', None),
        ("roles = []", None),
        ('log_level = "loud"', "log_level"),
        ("stop_seconds_max = 0", "stop_seconds_max"),
        ("unknown = 1", "unknown"),
        ("chaos = 1", "chaos"),
    ],
)
def test_every_fault_names_its_field(tmp_path: Path, line: str, field: str | None) -> None:
    name = line.partition(" ")[0]
    kept = [row for row in FILE.splitlines() if not row.startswith(name)]
    if name == "chaos":
        kept = [row for row in kept if row not in ("[chaos]", "enabled = true")]
    with pytest.raises(LocalError, match="SITE_CONFIG") as raised:
        load(write(tmp_path, line + "\n" + "\n".join(kept)))
    assert raised.value.field == field


def test_faults_of_a_role_s_table_name_the_role() -> None:
    with pytest.raises(LocalError) as raised:
        check(ConsensusSettings, {"heartbeat_seconds": 0}, place="consensus")
    assert raised.value.field == "consensus.heartbeat_seconds"


@pytest.mark.parametrize("data", [b"site = ", b"\xff", b"a" * (1 << 20) + b"b"])
def test_files_that_are_no_toml(tmp_path: Path, data: bytes) -> None:
    place = tmp_path / "site.toml"
    place.write_bytes(data)
    with pytest.raises(LocalError, match="SITE_CONFIG"):
        load(place)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OperationalError, match=r"SITE_CONFIG_READ.*none\.toml"):
        load(tmp_path / "none.toml")


def test_workers_have_the_port_for_clients_in_common() -> None:
    site = {"site": 0, "genesis": "g", "data_dir": "d", "keys_dir": "k", "port": 7000}
    table = {"workers": 3, "redis": {"url": "redis://there:6379/0"}}
    for worker in range(3):
        config = SiteConfig.model_validate(
            {**site, "roles": ["ingestion"], "worker": worker, "ingestion": table}
        )
        assert config.shares_client_port
        ports = [config.listen_port(offset) for offset in range(4)]
        assert ports == [7000, *(7000 + 10 * worker + offset for offset in (1, 2, 3))]
    alone = SiteConfig.model_validate({**site, "roles": ["ingestion"]})
    assert not alone.shares_client_port
    # The table stands in the file of all roles, and means nothing to others.
    ledger = SiteConfig.model_validate({**site, "roles": ["ledger"], "ingestion": table})
    assert not ledger.shares_client_port
    for members in ({"ingestion": table}, {"worker": 1}):
        with pytest.raises(LocalError, match="processes of its own"):
            check(SiteConfig, {**site, **members})


@pytest.mark.parametrize(
    "redis",
    [None, {"url": "http://there"}, {"url": "redis://:secret@there"}, {"url": "redis://t", "x": 1}],
)
def test_workers_need_a_redis_whose_address_has_no_password(redis: object) -> None:
    with pytest.raises(LocalError, match="SITE_CONFIG") as raised:
        check(IngestionSettings, {"workers": 2, "redis": redis}, place="ingestion")
    assert "secret" not in str(raised.value)
