"""A site that ends at any point of its replica's work comes back, agrees, and never signs twice."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench import scraping
from seawall.api.v1 import consensus_pb2, consensus_pb2_grpc, ledger_pb2, ledger_pb2_grpc
from seawall.runtime.channels import client_channel
from seawall.runtime.crash import EXIT_CODE, POINTS
from seawall.runtime.serve import PROCESS_ENVIRONMENT
from tests.integration.sites import TestSites, make_sites

VICTIM = 3
EVIDENCE = "seawall_consensus_byzantine_evidence_total"
OWN_POINTS = [point for point in POINTS if point.partition(".")[0] in ("journal", "host")]


class Network:
    """Four sites, each a process with its ledger and its replica."""

    def __init__(self, sites: TestSites) -> None:
        self.sites = sites
        self.processes: dict[int, Process] = {}

    async def start(self, site: int, crash_at: str | None = None) -> None:
        """Start a site."""
        directory = self.sites.directory / f"site-{site}"
        settings = directory / "site.toml"
        settings.write_text(
            f'site = {site}\ngenesis = "../genesis.json"\ndata_dir = "data"\nkeys_dir = "keys"\n'
            f'port = {self.sites.bases[site]}\nroles = ["ledger", "consensus"]\n'
            f'log_level = "warning"\nlog_file = "site.log"\n'
            + (f'crash_at = "{crash_at}"\n' if crash_at else "")
        )
        self.processes[site] = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "seawall.cli.main", "serve", "--config", str(settings), "--stop-with-parent"),
            stdin=PIPE,
            stdout=DEVNULL,
            env={**os.environ, **PROCESS_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    async def ended(self, site: int) -> int:
        """Wait for the end of a site's process; return its exit code."""
        return await self.processes.pop(site).wait()

    async def stop(self) -> None:
        """End every process."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            assert await process.wait() == 0

    async def height(self, site: int) -> ledger_pb2.LedgerStatusResponse:
        """Ask a site's ledger where it stands."""
        async with client_channel(self.sites.genesis.sites[site]) as channel:
            stub = ledger_pb2_grpc.LedgerServiceStub(channel)
            request = ledger_pb2.LedgerStatusRequest()
            return await stub.LedgerStatus(request, wait_for_ready=True, timeout=30)

    async def until(self, site: int, height: int) -> None:
        """Wait until a ledger has certified commits up to a height."""
        async with client_channel(self.sites.genesis.sites[site]) as channel:
            stub = ledger_pb2_grpc.LedgerServiceStub(channel)
            request = ledger_pb2.EntriesRequest(follow=True)
            async for answer in stub.Entries(request, wait_for_ready=True, timeout=30):
                if answer.commit_index >= height:
                    return

    async def entries(self, site: int, count: int) -> list[bytes]:
        """Return the first entries of a ledger."""
        async with client_channel(self.sites.genesis.sites[site]) as channel:
            stub = ledger_pb2_grpc.LedgerServiceStub(channel)
            request = ledger_pb2.EntriesRequest(limit=count)
            return [
                entry
                async for answer in stub.Entries(request, timeout=30)
                for entry in answer.entries
            ]

    async def evidence(self, site: int) -> bool:
        """Say whether a site has seen anybody sign twice."""
        samples = await asyncio.to_thread(scraping.scrape, self.sites.bases[site] + 3)
        return scraping.total([samples], EVIDENCE, kind="equivocation") > 0


@asynccontextmanager
async def network(path: Path) -> AsyncIterator[Network]:
    made = Network(make_sites(path))
    try:
        async with asyncio.timeout(110):
            for site in range(4):
                await made.start(site)
            yield made
            await made.stop()
    finally:
        for process in made.processes.values():
            if process.returncode is None:
                process.kill()


async def standing(network: Network, site: int) -> consensus_pb2.ConsensusStatusResponse:
    async with client_channel(network.sites.genesis.sites[site]) as channel:
        stub = consensus_pb2_grpc.ConsensusServiceStub(channel)
        request = consensus_pb2.ConsensusStatusRequest()
        return await stub.ConsensusStatus(request, wait_for_ready=True, timeout=30)


async def test_every_crash_point_of_the_replica(tmp_path: Path) -> None:
    async with network(tmp_path) as one:
        await one.until(0, 5)
        one.processes[VICTIM].kill()
        assert await one.ended(VICTIM) == -signal.SIGKILL
        for point in OWN_POINTS:
            # Comes back from the last end, and works until it reaches the next.
            await one.start(VICTIM, f"{point}:7")
            assert await one.ended(VICTIM) == EXIT_CODE, point
        await one.start(VICTIM)
        await one.until(VICTIM, (await one.height(0)).height + 5)
        lowest = min([(await one.height(site)).tree_size for site in range(4)])
        first = await one.entries(0, lowest // 2)
        assert len(first) == lowest // 2
        for site in range(1, 4):
            assert await one.entries(site, lowest // 2) == first
        for site in range(3):
            assert not await one.evidence(site)
            assert (await standing(one, site)).suspended_blocks == 0
