"""What the journal holds can be read back."""

import pytest

from seawall.consensus.dag.records import (
    BASE_BEGIN,
    BASE_END,
    BLOCK,
    Base,
    base_record,
    block_record,
    floor_record,
    read_base,
    read_block,
    read_floor,
    since_last_base,
)
from seawall.consensus.engine import Record
from seawall.domain.block import CommitVote, Ref, VerifiedBlock
from tests.unit.consensus.cluster import make_committee
from tests.unit.consensus.dag.drawing import draw_block, genesis

VOTES = tuple(CommitVote(i, bytes(32), i, bytes(32), bytes(72)) for i in (1, 2, 3))


@pytest.mark.parametrize("valid", [VOTES, VOTES[1:], (VOTES[0], VOTES[2]), ()])
def test_a_block_keeps_which_of_its_votes_are_valid(valid: tuple[CommitVote, ...]) -> None:
    block = draw_block(1, 0, genesis(make_committee())[:1], votes=VOTES)
    block = VerifiedBlock(block.block, block.ref, block.raw, valid)
    record = block_record(block)
    assert record.kind == BLOCK
    assert read_block(record.data) == block


def test_a_base() -> None:
    base = Base(
        index=7,
        digest=b"d" * 32,
        leader=Ref(9, 2, b"l" * 32),
        clock_ms=5,
        floor=11,
        voted_index=6,
        own_last=Ref(10, 0, b"o" * 32),
        settled=(Ref(8, 1, b"s" * 32),),
    )
    assert read_base(base_record(base).data) == base


def test_a_floor() -> None:
    assert read_floor(floor_record(1234).data) == 1234


def records(text: str) -> list[Record]:
    """Return records by letters: ( begins a base, ) ends it, anything else is a block."""
    kinds = {"(": BASE_BEGIN, ")": BASE_END}
    return [Record(kinds.get(letter, BLOCK), letter.encode()) for letter in text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("abc", "abc"),
        ("ab(cd)ef", "(cd)ef"),
        ("a(b)c(d)e", "(d)e"),
        ("a(b)c(d", "(b)c(d"),
        ("a(b(c)d", "(c)d"),
    ],
)
def test_only_a_complete_base_replaces_what_stands_before_it(text: str, expected: str) -> None:
    assert list(since_last_base(records(text))) == records(expected)


def test_a_base_that_ends_without_a_beginning_is_our_bug() -> None:
    with pytest.raises(AssertionError):
        since_last_base(records("ab)"))
