"""A real site that lies is seen to lie by all others, and costs nobody an acknowledged update."""

import asyncio
from pathlib import Path

from bench import scraping
from bench.faults.load import loading
from bench.faults.measure import look_back
from bench.faults.network import FaultNetwork, running
from bench.faults.table import FAULTS, VICTIM
from seawall.config import PORTS_PER_SITE
from seawall.testbed.judging import Findings, convicted
from tests.e2e.command import audit

SEED = 5
RATE = 16.0
MORE = 40
"""Updates that are acknowledged after all others have seen the lie."""

SECONDS_MAX = 60.0
EVIDENCE = "seawall_consensus_byzantine_evidence_total"
METRICS_PORT = PORTS_PER_SITE - 1


async def evidence(network: FaultNetwork) -> list[float]:
    """Return the equivocations that each site has counted."""
    ports = [
        int(site.client_address.rpartition(":")[2]) + METRICS_PORT
        for site in network.chain.genesis.sites
    ]
    samples = await asyncio.gather(*(asyncio.to_thread(scraping.scrape, port) for port in ports))
    return [scraping.total([one], EVIDENCE, kind="equivocation") for one in samples]


async def test_an_equivocating_site_is_reported_by_all_others_who_lose_nothing(
    tmp_path: Path,
) -> None:
    settings = {f"site-{VICTIM}": FAULTS["byzantine-equivocate"].settings}
    async with running(tmp_path, settings=settings, liar=VICTIM) as network:
        honest = [name for name in network.names if name != f"site-{VICTIM}"]
        async with loading(network, RATE, SEED) as load:
            await network.until(
                lambda _: all(network.logged(name, "equivocation") for name in honest), SECONDS_MAX
            )
            seen = len(load.acknowledged)
            await load.until(lambda one: len(one.acknowledged) >= seen + MORE, SECONDS_MAX)
        counted = await evidence(network)
        assert [count for site, count in enumerate(counted) if site != VICTIM] == [1.0] * 3
        assert load.refused == []
        assert await look_back(network, load, tmp_path, VICTIM) == Findings()
        ledgers = await network.export(tmp_path / "again")
    for name in honest:
        assert convicted(ledgers[name].entries) == (f"site-{VICTIM}",)
    done = audit(tmp_path / "again")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"twins of site-{VICTIM}\n" in done.stdout


async def test_honest_sites_report_nobody(tmp_path: Path) -> None:
    async with running(tmp_path) as network:
        async with loading(network, RATE, SEED) as load:
            await load.until(lambda one: len(one.acknowledged) >= MORE, SECONDS_MAX)
        assert await evidence(network) == [0.0] * 4
        ledgers = await network.export(tmp_path / "exported")
    assert [convicted(one.entries) for one in ledgers.values()] == [()] * 4
