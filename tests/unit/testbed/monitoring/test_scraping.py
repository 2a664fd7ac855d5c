"""A Prometheus beside a local network is told of every process, by network and site."""

from pathlib import Path

import pytest
import yaml

from seawall.cli.up import watch_command
from seawall.runtime.service import ROLES
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.genesis_maker import NetworkPlan, make_network
from seawall.testbed.monitoring.rules import render
from seawall.testbed.monitoring.scraping import write_configuration
from seawall.testbed.supervisor import plans_of


@pytest.mark.parametrize("split", [False, True])
def test_every_process_is_a_target(tmp_path: Path, *, split: bool) -> None:
    made = make_network(
        tmp_path / "network", NetworkPlan(chain="north", contributors=3, split=split)
    )
    files = NetworkDirectory(tmp_path / "network")
    plans = plans_of(files, made.genesis)
    written = write_configuration(files, made.genesis, plans)
    document = yaml.safe_load(written.read_text("utf-8"))
    (scrape,) = document["scrape_configs"]
    assert scrape["job_name"] == "seawall"
    found = [(*one["targets"], one["labels"]) for one in scrape["static_configs"]]
    assert found == [
        (
            f"{plan.host}:{plan.port + 3}",
            {"network": "north", "site": made.genesis.sites[plan.site].name, "process": plan.name},
        )
        for plan in plans
    ]
    assert len({address for address, _ in found}) == 4 * (len(ROLES) if split else 1)
    (rules,) = document["rule_files"]
    assert (written.parent / rules).read_text("utf-8") == render()
    write_configuration(files, made.genesis, plans)


def test_the_command_survives_a_directory_with_a_space() -> None:
    command = watch_command(Path("my sites") / "prometheus.yml")
    assert command.startswith("prometheus --config.file='my sites/prometheus.yml' ")
    assert "--web.listen-address=127.0.0.1:" in command
