"""Masks of instances: quorums over them, and which batch they stand in."""

from itertools import product

import pytest
from msgspec.structs import replace

from seawall.codec import encode_records
from seawall.consensus.dag.instances import (
    WORK_PAYLOAD_BYTES,
    by_batch,
    denied,
    granted,
    mask_of,
    places,
    work_in,
)
from seawall.consensus.dag.stakes import StakeTable
from seawall.domain.block import Batch
from tests.unit.consensus.cluster import make_committee, make_record


@pytest.mark.parametrize("stakes", [(1, 1, 1, 1), (3, 1, 1, 2)])
def test_quorums_over_masks_equal_counting_one_by_one(stakes: tuple[int, ...]) -> None:
    table = StakeTable(make_committee(stakes))
    choices = (None, 0, 1, 2, 3)
    for left_out in product(choices, repeat=5):
        # The fifth is a twin of author 0: it may stand on both sides.
        votes = [
            (1 << author % 4, mask) for author, mask in enumerate(left_out) if mask is not None
        ]
        for index in (0, 1):
            accepts = sum({bit for bit, mask in votes if not mask >> index & 1})
            rejects = sum({bit for bit, mask in votes if mask >> index & 1})
            assert granted(table, votes, 3) >> index & 1 == table.is_quorum(accepts)
            assert denied(table, votes) >> index & 1 == table.is_quorum(rejects)


def test_places_ascend() -> None:
    assert list(places(0)) == []
    assert list(places(0b111)) == [0, 1, 2]
    assert list(places(0b1011000)) == [3, 4, 6]


def test_places_that_do_not_exist_cost_nothing() -> None:
    assert mask_of((0, 2, 3, (1 << 32) - 1), 3) == 0b101
    assert mask_of((), 3) == 0


def test_masks_are_split_by_batch() -> None:
    sizes = (2, 1, 3)
    batches = [
        Batch(0, number, 0, encode_records([make_record(i) for i in range(size)]), ())
        for number, size in enumerate(sizes)
    ]
    found = [(batch.number, first, at) for batch, first, at in by_batch(batches, 0b101010)]
    assert found == [(0, 0, (1,)), (2, 3, (0, 2))]


def batch_of(*sizes_bytes: int) -> Batch:
    records = [
        replace(make_record(at), payload_size_bytes=one) for at, one in enumerate(sizes_bytes)
    ]
    return Batch(0, 1, 0, encode_records(records), ())


def test_work_counts_updates_and_their_payload() -> None:
    large = 3 * WORK_PAYLOAD_BYTES - 300
    assert work_in(()) == 0
    assert work_in([batch_of(100, 100, 100)]) == 3
    assert work_in([batch_of(100, 100, 100, large)]) == 4 + 3
    assert work_in([batch_of(100, 100, 100), batch_of(large)]) == 4 + 2
