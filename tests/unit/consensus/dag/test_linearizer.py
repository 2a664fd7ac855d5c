"""The order: sorted, seeded by the leader, collected at the gc round, chained."""

import msgspec
import pytest

from seawall.codec import commit_digest
from seawall.consensus.dag.linearizer import NO_DIGEST, Linearizer
from seawall.consensus.dag.stakes import StakeTable
from seawall.consensus.dag.store import BlockStore
from seawall.crypto.hashing import sha256
from seawall.domain.block import VerifiedBlock
from seawall.domain.commit import Commit
from seawall.domain.committee import Committee
from tests.unit.consensus.cluster import make_committee
from tests.unit.consensus.dag.drawing import draw_block, full_rounds, genesis, own_first

COMMITTEE = make_committee()


def accepted(blocks: list[VerifiedBlock], committee: Committee = COMMITTEE) -> Linearizer:
    """Return a linearizer with gc depth 3 over these blocks."""
    store = BlockStore()
    for block in blocks:
        store.add(block)
    return Linearizer(store, StakeTable(committee), 3)


def commit_led_by(linearizer: Linearizer, block: VerifiedBlock) -> Commit:
    """Return the commit that this block leads."""
    vertex = linearizer._store.get(block.ref)  # noqa: SLF001 - the leader as the committer gives it
    assert vertex is not None
    return linearizer.commit(vertex)


def test_a_commit_delivers_the_leader_and_its_undelivered_ancestors_in_seeded_order() -> None:
    blocks = full_rounds(COMMITTEE, 3)
    linearizer = accepted(blocks)
    leader = blocks[4]
    first = commit_led_by(linearizer, leader)
    assert {block.ref for block in first.blocks} == {*[b.ref for b in blocks[:4]], leader.ref}
    for commit in (first, commit_led_by(linearizer, blocks[9])):
        seed = commit.leader.digest
        keys = [(block.ref.round, sha256(seed + block.ref.digest)) for block in commit.blocks]
        assert keys == sorted(keys)
        assert commit.blocks[-1].ref == commit.leader
    assert linearizer.index == 2


def test_commits_chain_and_the_clock_is_the_median_of_the_parents() -> None:
    blocks = full_rounds(COMMITTEE, 3)
    linearizer = accepted(blocks)
    first = commit_led_by(linearizer, blocks[0])
    assert (first.index, first.previous_digest, first.clock_ms) == (1, NO_DIGEST, 0)
    second = commit_led_by(linearizer, blocks[6])
    # Parents say 1000, 1001, 1002, 1003.
    assert second.clock_ms == 1001
    assert second.previous_digest == first.digest
    refs = [block.ref for block in second.blocks]
    assert second.digest == commit_digest(first.digest, 2, second.leader, 1001, refs)


def test_the_clock_weighs_by_stake_and_never_goes_back() -> None:
    committee = make_committee((3, 1, 1, 2))
    blocks = full_rounds(committee, 2)
    linearizer = accepted(blocks, committee)
    assert commit_led_by(linearizer, blocks[5]).clock_ms == 1001
    linearizer = accepted(blocks, committee)
    linearizer.clock_ms = 5000
    assert commit_led_by(linearizer, blocks[5]).clock_ms == 5000


def test_nothing_at_or_below_the_gc_round_is_delivered() -> None:
    blocks = full_rounds(COMMITTEE, 8, absent=[(r, 3) for r in (3, 4, 5, 6, 7)])
    hidden = draw_block(2, 3, own_first([b.ref for b in blocks[:4]], 3), time_ms=7)
    chain = [block for block in blocks if block.ref != blocks[7].ref]
    linearizer = accepted([*chain, hidden])
    leader = next(block for block in blocks if block.ref.slot == (7, 0))
    commit_led_by(linearizer, leader)
    assert linearizer.gc_round == 4
    last = next(block for block in blocks if block.ref.slot == (8, 1))
    late = draw_block(
        9, 1, [last.ref, hidden.ref, *[b.ref for b in blocks if b.ref.slot in ((8, 0), (8, 2))]]
    )
    linearizer._store.add(late)  # noqa: SLF001 - accepted after the commit
    commit = commit_led_by(linearizer, late)
    assert commit.gc_round == 4
    assert hidden.ref not in {block.ref for block in commit.blocks}
    assert linearizer.gc_round == 6


def test_a_chain_follows_only_if_everything_fits() -> None:
    blocks = full_rounds(COMMITTEE, 6)
    source = accepted(blocks)
    commits = [commit_led_by(source, blocks[place]) for place in (0, 5, 21)]
    target = accepted([])
    assert target.follows(commits)
    assert target.follows([])
    assert not target.follows(commits[1:])
    replace = msgspec.structs.replace
    for broken in (
        replace(commits[1], index=3),
        replace(commits[1], previous_digest=bytes(32)),
        replace(commits[1], digest=bytes(32)),
        replace(commits[1], clock_ms=commits[1].clock_ms + 1),
        replace(commits[1], gc_round=1),
        replace(commits[1], blocks=commits[1].blocks[1:]),
        replace(commits[1], leader=commits[0].leader),
    ):
        assert not target.follows([commits[0], broken, commits[2]])


def test_adopting_gives_the_same_commits() -> None:
    blocks = full_rounds(COMMITTEE, 6)
    source, target = accepted(blocks), accepted(blocks)
    for place in (0, 5, 21):
        commit = commit_led_by(source, blocks[place])
        vertices = [target._store.get(block.ref) for block in commit.blocks]  # noqa: SLF001 - as the core does
        adopted = target.adopt(
            commit.leader, commit.clock_ms, [vertex for vertex in vertices if vertex]
        )
        assert adopted == commit
    assert commit_led_by(target, blocks[22]) == commit_led_by(source, blocks[22])


@pytest.mark.parametrize("round_", [1, 2])
def test_genesis_tells_no_time(round_: int) -> None:
    start = genesis(COMMITTEE)
    block = draw_block(1, 0, own_first(start, 0), time_ms=99)
    leader = block if round_ == 1 else draw_block(2, 0, [block.ref], time_ms=100)
    linearizer = accepted([block] if round_ == 1 else [block, leader])
    assert commit_led_by(linearizer, leader).clock_ms == (0 if round_ == 1 else 99)
