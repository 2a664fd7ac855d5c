import pytest

from seawall.consensus.byzantine.content import GarbageShares
from seawall.consensus.byzantine.site import Site
from seawall.consensus.byzantine.table import Script
from seawall.consensus.dag.core import Core
from seawall.consensus.dag.leaders import PermutationLeaders
from seawall.domain.block import Block, BlockFlags, CoinShares
from tests.unit.consensus.byzantine.scripts import QUICK, ScriptedCluster
from tests.unit.consensus.cluster import make_committee, make_identity

SECOND_US = 1_000_000


def test_a_censor_leaves_its_victim_out_where_it_can() -> None:
    cluster = ScriptedCluster({3: [Script(behaviour="censor", peers=(0,))]})
    cluster.run(SECOND_US)
    own = [block.block for block in cluster.delivered(3)]
    assert len(own) > 10
    named = [block for block in own if any(parent.author == 0 for parent in block.parents)]
    assert len(named) < len(own) / 4
    honest = [block.block for block in cluster.delivered(2)]
    named = [block for block in honest if any(parent.author == 0 for parent in block.parents)]
    assert len(named) > len(honest) / 2


def test_a_censor_takes_blocks_that_the_rules_demand() -> None:
    cluster = ScriptedCluster({3: [Script(behaviour="censor", peers=(0, 1, 2))]})
    cluster.run(SECOND_US)
    for block in cluster.delivered(3):
        assert sum(p.round == block.ref.round - 1 for p in block.block.parents) == 3


@pytest.mark.parametrize("rounds", [1, 4, 1000])
def test_stale_parents_are_old_and_the_newest_just_enough(rounds: int) -> None:
    cluster = ScriptedCluster({3: [Script(behaviour="stale_parents", rounds=rounds)]})
    cluster.run(SECOND_US)
    own = [block.block for block in cluster.delivered(3) if block.ref.round > 12]
    assert len(own) > 10
    ages = [max(block.round - 1 - p.round for p in block.parents) for block in own]
    assert max(ages) >= min(rounds, QUICK.gc_depth)
    assert max(ages) <= rounds
    for block in own:
        fresh = [p for p in block.parents if p.round == block.round - 1]
        assert len(fresh) == 3


def test_all_updates_that_newly_enter_its_history_are_rejected() -> None:
    cluster = ScriptedCluster({3: [Script(behaviour="reject_all")]})
    for number in range(8):
        cluster.submit(number % 4, number, updates=1 + number % 3)
    cluster.run(SECOND_US)
    carried = {
        block.ref: sum(len(batch.records_bytes) for batch in block.block.batches)
        for author in range(4)
        for block in cluster.delivered(author)
        if block.block.batches
    }
    rejected = [reject for block in cluster.delivered(3) for reject in block.block.rejects]
    assert {reject.target for reject in rejected} == set(carried)
    assert len(rejected) == len(carried), "each once"
    assert max(len(reject.indices) for reject in rejected) > 1


def test_garbage_shares_are_of_the_owed_rounds_and_wrong() -> None:
    committee, identity = make_committee(), make_identity(0)
    core = Core(identity, committee, QUICK, PermutationLeaders(committee, 2))
    site = Site(identity=identity, committee=committee, core=core)
    owed = CoinShares(4, (bytes(range(48)), b"\x01" + bytes(47)))
    block = Block(0, 9, 0, 1, BlockFlags.NONE, (), (), (), (), 8, owed, ())
    paid = GarbageShares().content(block, site).coin_shares
    assert paid.first_round == 4
    assert [len(share) for share in paid.shares] == [48, 48]
    assert all(made != true for made, true in zip(paid.shares, owed.shares, strict=True))
