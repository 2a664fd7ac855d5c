"""Suspended blocks come free exactly when their last missing parent is there."""

from seawall.consensus.dag.pending import PendingBlocks
from seawall.domain.block import VerifiedBlock
from tests.unit.consensus.cluster import make_committee
from tests.unit.consensus.dag.drawing import draw_block, full_rounds, own_first

BLOCKS = full_rounds(make_committee(), 3)
FIRST, SECOND, THIRD = BLOCKS[:4], BLOCKS[4:8], BLOCKS[8:]


def refs(blocks: list[VerifiedBlock]) -> list[object]:
    """Return the references of the blocks."""
    return [block.ref for block in blocks]


def test_a_block_waits_for_all_its_parents() -> None:
    pending = PendingBlocks(4, 10)
    missing = [FIRST[0].ref, FIRST[1].ref]
    assert pending.add(SECOND[0], missing) == missing
    assert pending.add(SECOND[1], missing[:1]) == missing[:1]
    assert (len(pending), SECOND[0].ref in pending) == (2, True)
    assert pending.get(SECOND[0].ref) is SECOND[0]
    assert pending.get(FIRST[0].ref) is None
    assert pending.wants(FIRST[0].ref)
    assert refs(pending.resolve(FIRST[0].ref)) == refs([SECOND[1]])
    assert refs(pending.resolve(FIRST[1].ref)) == refs([SECOND[0]])
    assert not pending.wants(FIRST[1].ref)
    assert len(pending) == 0
    assert pending.resolve(FIRST[1].ref) == []


def test_a_parent_that_is_suspended_itself_is_not_missing_anew() -> None:
    pending = PendingBlocks(4, 10)
    pending.add(SECOND[0], [FIRST[0].ref])
    assert pending.add(THIRD[0], [SECOND[0].ref, SECOND[1].ref]) == [SECOND[1].ref]


def test_room_is_bounded_by_author() -> None:
    pending = PendingBlocks(4, 2)
    pending.add(SECOND[0], [FIRST[0].ref])
    assert pending.has_room(0)
    pending.add(THIRD[0], [FIRST[0].ref])
    assert not pending.has_room(0)
    assert pending.has_room(1)
    pending.drop(THIRD[0].ref)
    assert pending.has_room(0)


def test_dropping_a_block_forgets_what_it_waited_for() -> None:
    pending = PendingBlocks(4, 10)
    pending.add(SECOND[0], [FIRST[0].ref, FIRST[1].ref])
    pending.add(SECOND[1], [FIRST[1].ref])
    pending.drop(SECOND[0].ref)
    pending.drop(SECOND[0].ref)
    assert not pending.wants(FIRST[0].ref)
    assert pending.wants(FIRST[1].ref)
    assert refs(pending.resolve(FIRST[1].ref)) == refs([SECOND[1]])


def test_the_gc_round_frees_children_and_drops_the_old() -> None:
    pending = PendingBlocks(4, 10)
    pending.add(SECOND[0], [FIRST[0].ref])
    pending.add(SECOND[1], [FIRST[1].ref])
    late = draw_block(3, 2, own_first([block.ref for block in SECOND], 2), time_ms=5)
    pending.add(late, [SECOND[0].ref])
    pending.add(THIRD[3], [SECOND[1].ref, FIRST[2].ref])
    assert refs(pending.collect(2)) == refs([late, THIRD[3]])
    assert len(pending) == 0
    assert not pending.wants(FIRST[0].ref)
