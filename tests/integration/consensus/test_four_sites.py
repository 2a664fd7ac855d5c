"""Four replicas over real sockets: equal commits, whatever single peers do."""

import shutil
from pathlib import Path

import pytest

from seawall.codec import decode_block
from seawall.errors import OperationalError
from tests.integration.consensus.cluster import Cluster, cluster
from tests.integration.sites import TestSites, make_sites


@pytest.fixture
def sites(tmp_path: Path) -> TestSites:
    """Make a chain of four sites."""
    return make_sites(tmp_path)


async def test_batches_are_committed_and_certified_everywhere(sites: TestSites) -> None:
    async with cluster(sites) as group:
        await group.start(0, 1, 2, 3)
        for site in range(4):
            assert await group.submit(site, *range(1, 11)) == [""] * 10
        await group.until_commits(30)
        await group.until_certified(20)
        assert group.agree()
        assert delivered(group) == [(site, number) for site in range(4) for number in range(1, 11)]
        for site in range(4):
            standing = await group.status(site)
            assert list(standing.connected) == [peer for peer in range(4) if peer != site]
            assert standing.certified_index >= 20
            assert standing.pending_batches == 0


def delivered(group: Cluster, site: int = 0) -> list[tuple[int, int]]:
    """Return (site, number) of every batch in one ledger's commits, sorted."""
    blocks = [decode_block(raw) for one in group.memories[site].commits for raw in one.blocks]
    return sorted((batch.site, batch.number) for block in blocks for batch in block.block.batches)


async def test_a_link_that_ends_is_opened_again(sites: TestSites) -> None:
    async with cluster(sites) as group:
        await group.start(0, 1, 2, 3)
        await group.until_commits(5)
        for _ in range(3):
            host = group.running[2].running
            for link in tuple(host.links.values()):
                link.end(OperationalError("LINK_CLOSED", "cut by the test"))
            assert await group.submit(2, 1) == [""]
            await group.until_commits(len(group.memories[0].commits) + 10)
        await group.until_certified(len(group.memories[0].commits))
        assert group.agree()
        assert sorted(group.running[2].running.links) == [0, 1, 3]


async def test_a_site_that_was_away_catches_up(sites: TestSites) -> None:
    async with cluster(sites) as group:
        await group.start(0, 1, 2, 3)
        await group.until_commits(5)
        await group.stop(3)
        assert await group.submit(0, *range(1, 6)) == [""] * 5
        there = (0, 1, 2)
        await group.until_commits(len(group.memories[0].commits) + 40, there)
        behind = len(group.memories[3].commits)
        await group.start(3)
        await group.until_commits(len(group.memories[0].commits) + 5)
        assert len(group.memories[3].commits) > behind
        assert group.agree()
        assert delivered(group, 3) == [(0, number) for number in range(1, 6)]


async def test_a_site_that_lost_its_memory_of_the_ledger_gets_every_commit(
    sites: TestSites,
) -> None:
    async with cluster(sites) as group:
        await group.start(0, 1, 2, 3)
        await group.until_commits(20)
        await group.stop(1)
        group.memories[1].commits.clear()
        await group.start(1)
        await group.until_commits(30)
        assert group.agree()


async def test_a_site_that_lost_its_disk_never_signs_a_round_again(sites: TestSites) -> None:
    async with cluster(sites) as group:
        await group.start(0, 1, 2, 3)
        await group.until_commits(20)
        await group.stop(3)
        shutil.rmtree(sites.config(3).data_dir / "consensus")
        await group.until_commits(len(group.memories[0].commits) + 5, (0, 1, 2))
        await group.start(3)
        assert await group.submit(3, 1) == [""]
        while (3, 1) not in delivered(group):
            await group.until_commits(len(group.memories[0].commits) + 1)
        assert group.agree()
        evidence = "seawall_consensus_byzantine_evidence_total"
        for site in range(4):
            registry = group.running[site].running.context.registry
            assert not registry.get_sample_value(evidence, {"kind": "equivocation"})
            links = [
                registry.get_sample_value("seawall_consensus_validators", {"state": state})
                for state in ("connected", "disconnected")
            ]
            assert None not in links
            assert links[0] == len(group.running[site].running.links)
            assert sum(count or 0 for count in links) == 3
            timeout = registry.get_sample_value("seawall_consensus_timeout_seconds")
            assert timeout is not None
            assert timeout >= 0.25


async def test_two_of_four_are_too_few_and_resume(sites: TestSites) -> None:
    async with cluster(sites) as group:
        await group.start(0, 1, 2, 3)
        await group.until_commits(5)
        await group.stop(2, 3)
        assert await group.submit(0, 1) == [""]
        before = (await group.status(0)).round
        await group.start(2)
        await group.until_commits(len(group.memories[0].commits) + 10, (0, 1, 2))
        await group.start(3)
        await group.until_commits(len(group.memories[0].commits) + 10)
        assert (await group.status(0)).round > before
        assert group.agree()
        assert delivered(group) == [(0, 1)]


async def test_too_much_and_bad_submissions_are_refused(sites: TestSites) -> None:
    async with cluster(sites) as group:
        await group.start(0)  # alone, so that nothing is delivered
        host = group.running[0].running
        limit = 8 * sites.genesis.consensus.block_batches_max
        assert await group.submit(0, *range(1, limit + 2)) == [""] * limit + ["QUOTA_CONSENSUS"]
        assert len(host.pending) == limit
        stolen = group.batch(1, 1)
        forged = group.batch(0, 9000)
        forged.batch_number = 9001
        thin = group.batch(0, 9002)
        del thin.attestations[1:]
        empty = group.batch(0, 9003)
        empty.records = b""
        answers = [
            await group.hand_in(0, batches=[stolen]),
            await group.hand_in(0, batches=[forged]),
            await group.hand_in(0, batches=[thin]),
            await group.hand_in(0, batches=[empty]),
            await group.hand_in(0),
            await group.hand_in(0, transactions=[b"x" * 20_000]),
            await group.hand_in(0, transactions=[b'{"b":1,"a":1}']),
        ]
        assert answers == [
            "BATCH_SITE",
            "BATCH_SIGNATURE",
            "BATCH_STAKE",
            "BATCH_EMPTY",
            "BATCH_COUNT",
            "TX_SIZE",
            "JSON_NOT_CANONICAL",
        ]
        assert len(host.pending) == limit
