"""Four replicas over real sockets: equal commits, whatever single peers do."""

from pathlib import Path

import pytest

from tests.integration.consensus.cluster import cluster
from tests.integration.sites import TestSites, make_sites


@pytest.fixture
def sites(tmp_path: Path) -> TestSites:
    return make_sites(tmp_path)


async def test_batches_are_committed_and_certified_everywhere(sites: TestSites) -> None:
    async with cluster(sites) as group:
        await group.start(0, 1, 2, 3)
        for site in range(4):
            assert await group.submit(site, *range(1, 11)) == [""] * 10
        await group.until_commits(30)
        await group.until_certified(20)
        assert group.agree()
        for site in range(4):
            standing = await group.status(site)
            assert list(standing.connected) == [peer for peer in range(4) if peer != site]
            assert standing.certified_index >= 20
            assert standing.pending_batches == 0
