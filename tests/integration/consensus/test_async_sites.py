"""Four replicas whose leaders come from a common coin, over real sockets and with real keys."""

from pathlib import Path

import pytest

from seawall.codec import decode_block
from seawall.errors import LocalError
from seawall.runtime.coin_key import COIN_KEY
from tests.integration.consensus.cluster import Cluster, cluster
from tests.integration.sites import FAST, TestSites, make_sites


@pytest.fixture(params=[4, 5])
def sites(request: pytest.FixtureRequest, tmp_path: Path) -> TestSites:
    """Make a chain of four sites with a coin."""
    return make_sites(tmp_path, consensus=FAST.asynchronous(request.param))


def contents(group: Cluster, site: int = 0) -> tuple[list[tuple[int, int]], set[int]]:
    """Return (site, number) of every batch in one ledger's commits, and who paid coin shares."""
    blocks = [decode_block(raw) for one in group.memories[site].commits for raw in one.blocks]
    batches = [(one.site, one.number) for block in blocks for one in block.block.batches]
    payers = {block.block.author for block in blocks if block.block.coin_shares.shares}
    return sorted(batches), payers


async def test_batches_are_committed_and_certified_everywhere(sites: TestSites) -> None:
    async with cluster(sites) as group:
        await group.start(0, 1, 2, 3)
        for site in range(4):
            assert await group.submit(site, *range(1, 6)) == [""] * 5
        await group.until_commits(30)
        await group.until_certified(20)
        assert group.agree()
        batches, payers = contents(group)
        assert batches == [(site, number) for site in range(4) for number in range(1, 6)]
        assert payers == {0, 1, 2, 3}
        registry = group.running[0].running.context.registry
        decided = "seawall_consensus_leaders_total"
        labels = {"protocol": "async", "outcome": "direct"}
        assert registry.get_sample_value(decided, labels)


async def test_three_of_four_go_on_and_the_fourth_comes_back(sites: TestSites) -> None:
    async with cluster(sites) as group:
        await group.start(0, 1, 2, 3)
        await group.until_commits(5)
        await group.stop(3)
        assert await group.submit(0, *range(1, 6)) == [""] * 5
        there = (0, 1, 2)
        await group.until_commits(len(group.memories[0].commits) + 20, there)
        await group.start(3)
        await group.until_commits(len(group.memories[0].commits) + 5)
        assert group.agree()
        assert contents(group, 3)[0] == [(0, number) for number in range(1, 6)]


async def test_a_site_with_the_coin_key_of_another_does_not_start(sites: TestSites) -> None:
    first, second = (sites.config(site).keys_dir / COIN_KEY for site in (0, 1))
    first.write_bytes(second.read_bytes())
    with pytest.raises(ExceptionGroup) as raised:
        async with cluster(sites) as group:
            await group.start(0)
    (fault,) = raised.value.exceptions
    assert isinstance(fault, LocalError)
    assert fault.code == "KEY_FILE_MISMATCH"
