"""Ancestry by bits stays right while blocks come and go."""

from seawall.consensus.dag.store import BlockStore, Vertex
from seawall.domain.block import Ref
from tests.unit.consensus.cluster import make_committee
from tests.unit.consensus.dag.drawing import RandomDag, draw_block, full_rounds, genesis, own_first

COMMITTEE = make_committee()


def ancestors(store: BlockStore, vertex: Vertex) -> set[Ref]:
    """Return what the bits say."""
    return {other.ref for other in store if vertex.history & other.bit}


def test_bits_name_exactly_the_ancestors() -> None:
    dag = RandomDag(COMMITTEE, frozenset({3}), rounds=10, seed=1)
    store = BlockStore()
    expected: dict[Ref, set[Ref]] = {}
    for block in dag.order(2):
        vertex = store.add(block)
        parents = [ref for ref in block.block.parents if ref in store]
        expected[block.ref] = set(parents).union(*(expected[ref] for ref in parents))
        assert ancestors(store, vertex) == expected[block.ref]
    assert len(store) == len(dag.blocks)


def test_slots_rounds_and_heights() -> None:
    store = BlockStore()
    blocks = full_rounds(COMMITTEE, 3, absent=[(3, 2)])
    vertices = {block.ref: store.add(block) for block in blocks}
    twin = store.add(draw_block(3, 1, own_first([b.ref for b in blocks[4:8]], 1), time_ms=1))
    assert store.highest_round == 3
    assert [store.highest_round_of(author) for author in range(4)] == [3, 3, 2, 3]
    assert store.at_slot(3, 1)[1] is twin
    assert store.at_slot(3, 2) == []
    assert store.authors_at(3) == 0b1011
    assert store.authors_at(4) == 0
    assert [vertex.author for vertex in store.at_round(3)] == [0, 1, 3, 1]
    assert store.get(blocks[0].ref) is vertices[blocks[0].ref]
    assert store.get(genesis(COMMITTEE)[0]) is None


def test_the_window_moves_on_and_its_bits_with_it() -> None:
    store = BlockStore()
    for block in full_rounds(COMMITTEE, 700):
        vertex = store.add(block)
        if block.ref.author == 3 and block.ref.round > 20:
            store.prune(block.ref.round - 20)
        if block.ref.round % 2:
            store.settle(vertex)
    assert len(store) == 4 * 20
    newest = store.at_slot(700, 0)[0]
    assert ancestors(store, newest) == {other.ref for other in store if other.round < 700}
    unsettled = store.unsettled_until(newest)
    assert {vertex.round % 2 for vertex in unsettled} == {0}
    assert len(unsettled) == 9 * 4 + 1
    assert max(other.bit.bit_length() for other in store) < 2048
    assert store.is_settled(store.at_slot(699, 0)[0])
    assert not store.is_settled(newest)


def test_pruned_blocks_are_gone_and_never_looked_up_again() -> None:
    store = BlockStore()
    blocks = full_rounds(COMMITTEE, 6)
    for block in blocks:
        store.add(block)
    gone = store.prune(3)
    assert [vertex.ref for vertex in gone] == [block.ref for block in blocks[:12]]
    assert all(vertex.parents == () for vertex in gone)
    assert store.at_round(3) == []
    assert store.at_slot(3, 0) == []
    newest = store.at_slot(6, 0)[0]
    assert {vertex.round for vertex in store.unsettled_until(newest)} == {4, 5, 6}
    assert store.prune(3) == []
