"""Sites with a common coin, as users start them: updates are proven, aggregated and audited."""

import asyncio
from pathlib import Path

from tests.e2e.command import answer, audit, seawall, serving
from tests.e2e.local_network import PACE, contributing, findings, running

LIMIT_SECONDS = 120


def test_an_update_of_an_async_network_has_a_receipt_that_verifies(tmp_path: Path) -> None:
    home = tmp_path / "sites"
    plan = ("-n", 4, "--contributors", 3, "--interval-ms", 300, "--protocol", "async")
    try:
        answer("up", *plan, "--dir", home, "--detach")
        receipt = tmp_path / "receipt.json"
        words = ("--dir", home, "--name", "contributor-01", "--receipt", receipt)
        assert answer("submit", *words, "--wait", "aggregated")["version"] == 1
        assert answer("verify", receipt, "--dir", home)["valid"] is True
        sites = answer("status", "--dir", home)["sites"]
        assert isinstance(sites, list)
        assert [(site["up"], site["updates"]) for site in sites] == [(True, 1)] * 4
    finally:
        seawall("down", "--dir", home)
    assert serving(home) == []


async def test_an_async_chain_survives_a_kill_and_its_export_is_audited(tmp_path: Path) -> None:
    async with (
        asyncio.timeout(LIMIT_SECONDS),
        running(tmp_path, consensus=PACE.asynchronous(4)) as network,
    ):
        async with contributing(network, 3):
            await network.acknowledge(4)
            network.supervisor.kill("site-2", hold=True)
            await network.acknowledge(4)
            network.supervisor.release("site-2")
            await network.acknowledge(4)
        await network.level()
        assert network.acknowledged
        assert (await findings(network, network.acknowledged)).clean
        await network.export()
        done = audit(tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("ok   | ") == 4
