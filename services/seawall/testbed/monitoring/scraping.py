"""Where a Prometheus on the same machine finds the sites of a local network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import yaml

from seawall.domain.genesis import Genesis
from seawall.runtime.locks import write_durably
from seawall.testbed.directory import RULES_NAME, NetworkDirectory
from seawall.testbed.monitoring import rules
from seawall.testbed.supervisor import ProcessPlan, addresses

INTERVAL: Final = "5s"
READABLE: Final = 0o644


def configuration(network: str, sites: Sequence[str], plans: Sequence[ProcessPlan]) -> str:
    """Return a `prometheus.yml` that scrapes these processes and loads the rules beside it.

    Each target has the labels that rules and dashboards go by: `network`, and `site` by name.
    """
    targets = [
        {
            "targets": [addresses(plan)[-1]],
            "labels": {"network": network, "site": sites[plan.site], "process": plan.name},
        }
        for plan in plans
    ]
    document = {
        "global": {"scrape_interval": INTERVAL, "evaluation_interval": rules.GROUP_INTERVAL},
        "rule_files": [RULES_NAME],
        "scrape_configs": [{"job_name": rules.NETWORK_JOB, "static_configs": targets}],
    }
    return yaml.safe_dump(document, sort_keys=False)


def write_configuration(
    directory: NetworkDirectory, genesis: Genesis, plans: Sequence[ProcessPlan]
) -> Path:
    """Write `prometheus.yml` and its rules into the directory of a network; return the former."""
    sites = [site.name for site in genesis.sites]
    write_durably(directory.rules, rules.render().encode(), READABLE)
    text = configuration(genesis.chain, sites, plans)
    write_durably(directory.prometheus, text.encode(), READABLE)
    return directory.prometheus
