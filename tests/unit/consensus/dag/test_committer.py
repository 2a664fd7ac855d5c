"""The committer against the written rules, over random DAGs with twins; invariants I3 to I7."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.consensus.dag.committer import Committer, support
from seawall.consensus.dag.leaders import PermutationLeaders
from seawall.consensus.dag.linearizer import Linearizer
from seawall.consensus.dag.stakes import StakeTable
from seawall.consensus.dag.store import BlockStore
from seawall.domain.block import Ref, VerifiedBlock
from seawall.domain.committee import Committee
from tests.unit.consensus.cluster import make_committee
from tests.unit.consensus.dag.drawing import (
    RandomDag,
    draw_block,
    full_rounds,
    genesis,
    own_first,
)
from tests.unit.consensus.dag.specification import SKIP, Specification

COMMITTEES = [
    ((1, 1, 1, 1), (3,)),
    ((1, 1, 1, 1, 1), (0,)),
    ((1, 1, 1, 1, 1, 1), (2,)),
    ((1, 1, 1, 1, 1, 1, 1), (1, 5)),
    ((3, 1, 1, 2), (3,)),
    ((4, 2, 2, 1, 1), (1, 3)),
]


class Replay:
    """One replica's committer and linearizer, fed block by block."""

    def __init__(self, committee: Committee, wave: int, slots: int, gc_depth: int = 60) -> None:
        self.stakes = StakeTable(committee)
        self.store = BlockStore()
        self.schedule = PermutationLeaders(committee, slots)
        self.committer = Committer(self.store, self.stakes, self.schedule, wave)
        self.linearizer = Linearizer(self.store, self.stakes, gc_depth)
        self.verdicts: list[tuple[tuple[int, int], Ref | str]] = []
        self.direct: list[tuple[tuple[int, int], Ref | str]] = []
        self.digests: list[bytes] = []
        self.delivered: list[Ref] = []

    def accept(self, block: VerifiedBlock) -> None:
        """Accept a block and take note of what it decides."""
        self.committer.on_accept(self.store.add(block))
        for verdict in self.committer.decide():
            slot = (verdict.round, verdict.author)
            outcome = SKIP if verdict.leader is None else verdict.leader.ref
            self.verdicts.append((slot, outcome))
            if verdict.direct:
                self.direct.append((slot, outcome))
            if verdict.leader is not None:
                commit = self.linearizer.commit(verdict.leader)
                self.digests.append(commit.digest)
                self.delivered.extend(block.ref for block in commit.blocks)


@settings(max_examples=60)
@given(
    st.sampled_from(COMMITTEES),
    st.sampled_from([3, 4, 5]),
    st.sampled_from([1, 2, 4]),
    st.integers(0, 2**32),
)
def test_random_dags_with_twins(
    committee_and_faulty: tuple[tuple[int, ...], tuple[int, ...]], wave: int, slots: int, seed: int
) -> None:
    stakes, faulty = committee_and_faulty
    committee = make_committee(stakes)
    dag = RandomDag(committee, frozenset(faulty), rounds=14, seed=seed)
    replicas = []
    for order in range(2):
        replica = Replay(committee, wave, slots)
        for block in dag.order(seed + order):
            replica.accept(block)
        replicas.append(replica)
    specification = Specification(committee, wave, replicas[0].schedule.leaders, dag.blocks)
    expected = specification.verdicts()
    for replica in replicas:
        # I6: the incremental committer says what the rules say, whatever the order of arrival.
        assert replica.verdicts == expected
        # I7: one order, no block twice, causally complete.
        assert replica.digests == replicas[0].digests
        assert len(set(replica.delivered)) == len(replica.delivered)
        for ref in replica.delivered:
            assert specification.history(ref) <= set(replica.delivered)
        check_invariants(specification, replica)


def check_invariants(specification: Specification, replica: Replay) -> None:
    """Check I3, I4 and I5 over all blocks."""
    certified: dict[tuple[int, int], set[Ref]] = {}
    for ref in specification.blocks:
        if specification.certificates(ref):
            certified.setdefault(ref.slot, set()).add(ref)
    assert all(len(leaders) == 1 for leaders in certified.values())
    for slot, outcome in replica.direct:
        if isinstance(outcome, str):
            assert slot not in certified
            continue
        certificates = set(specification.certificates(outcome))
        for later in specification.blocks:
            if later.round > specification.decide_round(outcome.round):
                assert certificates & specification.history(later)


@pytest.mark.parametrize("stakes", [(1,) * n for n in (4, 5, 6, 7)] + [(3, 1, 1, 2)])
@pytest.mark.parametrize("wave", [3, 4, 5])
def test_full_rounds_commit_every_leader_directly(stakes: tuple[int, ...], wave: int) -> None:
    committee = make_committee(stakes)
    replica = Replay(committee, wave, 2)
    for block in full_rounds(committee, 10):
        replica.accept(block)
    assert len(replica.verdicts) == 2 * (10 - wave + 1)
    assert replica.direct == replica.verdicts
    assert all(outcome != SKIP for _, outcome in replica.verdicts)
    assert replica.committer.next_slot == (10 - wave + 2, 0)


def test_an_absent_leader_is_skipped_one_round_later() -> None:
    committee = make_committee()
    leader = PermutationLeaders(committee, 1).leaders(3)[0]
    replica = Replay(committee, 3, 1)
    for block in full_rounds(committee, 4, absent=[(3, leader)]):
        replica.accept(block)
    assert replica.committer.decided_directly(3)
    assert [slot[0] for slot, _ in replica.verdicts] == [1, 2, 3]
    assert replica.verdicts[-1] == ((3, leader), SKIP)
    assert replica.committer.next_slot == (4, 0)


def test_going_on_behind_a_known_commit() -> None:
    committee = make_committee()
    replica = Replay(committee, 3, 2)
    blocks = full_rounds(committee, 12)
    for block in blocks[: 4 * 3]:
        replica.accept(block)
    leaders = replica.schedule.leaders(8)
    replica.committer.jump_behind(8, leaders[1])
    assert replica.committer.next_slot == (9, 0)
    for block in blocks[4 * 3 :]:
        replica.accept(block)
    assert [slot for slot, _ in replica.verdicts if slot[0] > 8] == [
        (round_, author) for round_ in (9, 10) for author in replica.schedule.leaders(round_)
    ]
    assert replica.committer.has_clear_votes(4)


def test_clear_votes_need_stake_one_way_or_the_other() -> None:
    committee = make_committee()
    replica = Replay(committee, 3, 1)
    leader = replica.schedule.leaders(1)[0]
    first = full_rounds(committee, 1)
    for block in first:
        replica.accept(block)
    assert not replica.committer.has_clear_votes(1)
    others = [block.ref for block in first if block.ref.author != leader]
    everything = [block.ref for block in first]
    voters = [author for author in range(4) if author != leader]
    replica.accept(draw_block(2, leader, own_first(everything, leader)))
    replica.accept(draw_block(2, voters[0], own_first(everything, voters[0])))
    replica.accept(draw_block(2, voters[1], own_first(others, voters[1])))
    assert not replica.committer.has_clear_votes(1)
    replica.accept(draw_block(2, voters[2], own_first(everything, voters[2])))
    assert replica.committer.has_clear_votes(1)


def test_blame_is_by_slot_and_support_by_the_first_block_met() -> None:
    committee = make_committee()
    store = BlockStore()
    start = genesis(committee)
    one, two = (store.add(draw_block(1, 0, own_first(start, 0), time_ms=t)) for t in (1, 2))
    direct = store.add(draw_block(2, 1, [start[1], two.ref]))
    assert support(direct, 1, 0) is two
    hidden = store.add(draw_block(3, 2, [start[2], direct.ref, one.ref]))
    # The walk goes depth first: the twin behind the first parent wins over a direct reference.
    assert support(hidden, 1, 0) is two
    turned = store.add(draw_block(3, 3, [start[3], one.ref, direct.ref]))
    assert support(turned, 1, 0) is one
    assert support(turned, 1, 2) is None
    assert support(turned, 1, 2) is None
