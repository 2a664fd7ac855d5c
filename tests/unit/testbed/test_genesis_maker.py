import stat
from itertools import count, pairwise
from pathlib import Path

import pytest

from seawall.config import load
from seawall.crypto.coin import combine, sign, verify
from seawall.domain.parameters import ConsensusParameters
from seawall.errors import LocalError
from seawall.formats import genesis as genesis_format
from seawall.formats.task_payload import Layout, payload_digest
from seawall.runtime.coin_key import read_coin_secret
from seawall.runtime.keys import read_key, read_site_secrets
from seawall.runtime.service import ROLES
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.genesis_maker import ROOT_OWNER, NetworkPlan, make_network, process_ports
from seawall.testbed.supervisor import plans_of
from seawall.testbed.tasks import digits_task, wide_task


def make(path: Path, **members: object) -> object:
    numbers = count(1)
    plan = NetworkPlan(contributors=3, port=21_000, **members)  # type: ignore[arg-type] # test data
    return make_network(path, plan, entropy=lambda size: next(numbers).to_bytes(size, "big"))


def test_everything_that_sites_need_is_written(tmp_path: Path) -> None:
    make(tmp_path, sites=4)
    data = (tmp_path / "genesis.json").read_bytes()
    genesis = genesis_format.decode(data)
    for index, site in enumerate(genesis.sites):
        config = load(tmp_path / site.name / "site.toml")
        assert (config.site, config.port) == (index, 21_000 + 4 * index)
        assert site.client_address == f"127.0.0.1:{config.port}"
        assert site.peer_address == f"127.0.0.1:{config.port + 1}"
        secrets = read_site_secrets(config.keys_dir, genesis, index)
        assert secrets.consensus.public == site.consensus_key
    for person in genesis.contributors:
        key = read_key(tmp_path / "contributors" / f"{person.name}.key")
        assert key.public == person.public_key
    assert [one.name for one in genesis.contributors if "root" in one.roles] == [ROOT_OWNER]


def test_sites_may_have_addresses_of_their_own(tmp_path: Path) -> None:
    make(tmp_path, sites=2, hosts=("10.1.0.2", "10.1.1.2"))
    genesis = genesis_format.decode((tmp_path / "genesis.json").read_bytes())
    assert [site.peer_address for site in genesis.sites] == ["10.1.0.2:21001", "10.1.1.2:21005"]
    assert [load(tmp_path / site.name / "site.toml").host for site in genesis.sites] == [
        "10.1.0.2",
        "10.1.1.2",
    ]


def test_each_role_of_a_split_site_has_ports_and_settings_of_its_own(tmp_path: Path) -> None:
    make(tmp_path, sites=2, split=True)
    genesis = genesis_format.decode((tmp_path / "genesis.json").read_bytes())
    ports = []
    for index, site in enumerate(genesis.sites):
        assert not (tmp_path / site.name / "site.toml").exists()
        for role in ROLES:
            config = load(tmp_path / site.name / f"{role}.toml")
            assert (config.site, config.roles) == (index, (role,))
            assert config.data_dir == tmp_path / site.name / "data"
            assert site.client_address_of(role) == f"127.0.0.1:{config.port}"
            assert site.peer_address_of(role) == f"127.0.0.1:{config.port + 1}"
            read_site_secrets(config.keys_dir, genesis, index)
            ports.append(config.port)
    assert ports == list(range(21_000, 21_040, 4))


def test_a_split_site_has_one_process_for_each_role_the_ledger_first(tmp_path: Path) -> None:
    make(tmp_path / "split", sites=2, split=True)
    make(tmp_path / "whole", sites=2)
    plans = {}
    for name in ("split", "whole"):
        home = NetworkDirectory(tmp_path / name)
        plans[name] = plans_of(home, genesis_format.decode(home.genesis.read_bytes()))
    assert [(plan.name, plan.roles) for plan in plans["whole"]] == [
        ("site-0", ROLES),
        ("site-1", ROLES),
    ]
    assert [plan.name for plan in plans["split"]] == [
        f"site-{index}/{role}" for index in range(2) for role in ROLES
    ]
    for plan in plans["split"]:
        config = load(plan.settings)
        assert (plan.port, plan.site, plan.roles) == (config.port, config.site, config.roles)
    assert plans["split"][0].roles == ("ledger",)
    assert len({plan.log for plan in plans["split"]}) == 2 * len(ROLES)


def test_secrets_are_their_owners_alone(tmp_path: Path) -> None:
    make(tmp_path)
    secret = [*tmp_path.rglob("*.key"), *tmp_path.rglob("tls.crt")]
    assert len(secret) == 4 * 4 + 3 + 4 + 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}


def test_an_async_network_has_a_coin_whose_secrets_each_site_has_its_own(tmp_path: Path) -> None:
    make(tmp_path, sites=5, consensus=ConsensusParameters().asynchronous(4))
    genesis = genesis_format.decode((tmp_path / "genesis.json").read_bytes())
    assert genesis.consensus.protocol == "async"
    assert genesis.coin is not None
    assert genesis.coin.threshold == 4
    files = [tmp_path / site.name / "keys" / "coin.key" for site in genesis.sites]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    secrets = [
        read_coin_secret(tmp_path / site.name / "keys", genesis, index)
        for index, site in enumerate(genesis.sites)
    ]
    made = combine({at: sign(secrets[at], b"round 7") for at in (0, 2, 3, 4)})
    assert made is not None
    assert verify(genesis.coin.group_key, b"round 7", made)


def test_a_sync_network_has_no_coin(tmp_path: Path) -> None:
    make(tmp_path, sites=4)
    assert genesis_format.decode((tmp_path / "genesis.json").read_bytes()).coin is None
    assert not list(tmp_path.rglob("coin.key"))


def test_a_coin_with_unequal_stakes_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="GENESIS_PLAN in stakes"):
        make(tmp_path, stakes=(1, 1, 1, 2), consensus=ConsensusParameters().asynchronous(5))
    assert not list(tmp_path.iterdir())


def test_base_models_are_named_by_their_digest(tmp_path: Path) -> None:
    make(tmp_path, tasks=(digits_task(3), wide_task(columns=8)))
    genesis = genesis_format.decode((tmp_path / "genesis.json").read_bytes())
    for task in genesis.tasks:
        data = (
            tmp_path / "payloads" / f"{task.base_payload_digest.hex()}.safetensors"
        ).read_bytes()
        assert payload_digest(data) == task.base_payload_digest
        assert Layout.of(task).decode(data).size == Layout.of(task).size


def test_a_genesis_is_never_overwritten(tmp_path: Path) -> None:
    make(tmp_path)
    before = (tmp_path / "genesis.json").read_bytes()
    with pytest.raises(LocalError, match="GENESIS_EXISTS"):
        make(tmp_path)
    assert (tmp_path / "genesis.json").read_bytes() == before


@pytest.mark.parametrize(
    "plan", [{"sites": 0}, {"sites": 4, "stakes": (1, 1)}, {"sites": 2, "stakes": (1, 2, 3)}]
)
def test_a_plan_that_does_not_add_up_is_refused(tmp_path: Path, plan: dict[str, object]) -> None:
    with pytest.raises(LocalError, match="GENESIS_PLAN"):
        make(tmp_path, **plan)


def test_stakes_are_kept(tmp_path: Path) -> None:
    make(tmp_path, sites=3, stakes=(5, 1, 2))
    genesis = genesis_format.decode((tmp_path / "genesis.json").read_bytes())
    assert [site.stake for site in genesis.sites] == [5, 1, 2]


def test_ports_beyond_the_last_are_refused() -> None:
    with pytest.raises(LocalError, match="GENESIS_PLAN in port"):
        process_ports(NetworkPlan(sites=4, port=65_530))


def test_free_ports_do_not_overlap() -> None:
    ports = process_ports(NetworkPlan(sites=5))
    assert all(later - earlier >= 4 for earlier, later in pairwise(ports))


@pytest.mark.parametrize(("contributors", "k", "k_min", "f"), [(20, 10, 9, 4), (3, 1, 1, 0)])
def test_a_cut_is_large_enough_for_its_rule(contributors: int, k: int, k_min: int, f: int) -> None:
    task = digits_task(1, contributors=contributors).task
    assert (task.cut.k, task.cut.k_min, dict(task.rule.parameters)["f"]) == (k, k_min, f)
    assert task.cut.k_min > 2 * f
