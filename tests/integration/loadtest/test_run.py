"""Locust itself against live sites in processes of their own."""

import asyncio
import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from loadtest.run import local_network
from seawall.api.v1 import ledger_pb2, ledger_pb2_grpc
from seawall.domain.genesis import Genesis
from seawall.runtime.channels import client_channel
from tests.tidy.checkout import ROOT

pytestmark = [
    pytest.mark.skipif(
        find_spec("locust") is None, reason="locust is not installed: make load-setup"
    ),
    pytest.mark.timeout(400),
]

SECONDS = 6
RATE = 4
USERS = 16


async def accepted(genesis: Genesis) -> list[int]:
    """Return how many updates each site's ledger has accepted."""
    found = []
    for site in genesis.sites:
        async with client_channel(site) as channel:
            stub = ledger_pb2_grpc.LedgerServiceStub(channel)
            request = ledger_pb2.LedgerStatusRequest()
            found.append((await stub.LedgerStatus(request, wait_for_ready=True)).updates)
    return found


def unmeasured() -> dict[str, str]:
    """Return the environment without coverage: that of the sites counts, not that of their load."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


async def load(network: Path, tally: Path, *words: str) -> tuple[int, str]:
    """Run the load test; return its exit code and what it prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtest.run", "--network", str(network), "--tally", str(tally)),
        *("--seconds", str(SECONDS), "--users", str(USERS), "--rate", str(RATE), *words),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**unmeasured(), "PYTHONPATH": str(ROOT)},
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_clients_and_ledgers_count_the_same(tmp_path: Path) -> None:
    network, file = tmp_path / "network", tmp_path / "tally.json"
    async with local_network(network) as genesis:
        code, output = await load(network, file, "--malicious-share", "0.4", "--alone")
        assert code == 0, output
        tally = json.loads(file.read_text())
        assert (tally["verdict"], tally["faults"]) == ("PASS", [])
        acknowledged = tally["acknowledged"]
        assert acknowledged > 0
        assert tally["lookups"] == {"verified": acknowledged, "lost": {}, "foundLate": 0}
        sites = len(genesis.sites)
        assert (tally["ledgers"]["before"], tally["ledgers"]["after"]) == (
            [0] * sites,
            [acknowledged] * sites,
        )
        assert await accepted(genesis) == [acknowledged] * sites
        sent = {row["transport"] for row in tally["latencyMilliseconds"]}
        assert sent == {"grpc", "http"}
        # Once more, with numbers that go on: a run finds out which are used.
        again, output = await load(network, file, "--malicious-share", "0", "--seed", "2")
        assert again == 0, output
        more = json.loads(file.read_text())["acknowledged"]
        assert await accepted(genesis) == [acknowledged + more] * sites
