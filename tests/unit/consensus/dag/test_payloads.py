"""Payload waits in order, fills blocks within their limits, and comes back when dropped."""

from seawall.codec import encode_block
from seawall.consensus.dag.payloads import BLOCKS_QUEUED_MAX, Payloads
from seawall.domain.block import Batch, VerifiedBlock
from seawall.domain.parameters import ConsensusParameters
from tests.unit.consensus.cluster import make_batch, make_committee
from tests.unit.consensus.dag.drawing import draw_block, genesis

COMMITTEE = make_committee()
PARAMETERS = ConsensusParameters(
    block_batches_max=3,
    block_updates_max=10,
    block_transactions_max=2,
    transaction_size_bytes_max=100,
    block_size_bytes_max=4096,
)


def batch(number: int, updates: int = 1) -> Batch:
    """Return a batch of site 0."""
    return make_batch(COMMITTEE, 0, number, updates=updates)


def own_block(
    round_: int, batches: tuple[Batch, ...], transactions: tuple[bytes, ...] = ()
) -> VerifiedBlock:
    """Return an own block with this payload."""
    return draw_block(round_, 0, genesis(COMMITTEE)[:1], batches=batches, transactions=transactions)


def test_blocks_are_filled_in_order_within_the_limits() -> None:
    payloads = Payloads(PARAMETERS)
    for number, updates in enumerate((4, 4, 4, 1, 1, 1, 1)):
        payloads.submit_batch(batch(number, updates))
    for transaction in (b"a", b"b", b"c"):
        payloads.submit_transaction(transaction)
    assert len(payloads) == 10
    taken = [payloads.take() for _ in range(4)]
    assert [[one.number for one in batches] for batches, _ in taken] == [
        [0, 1],
        [2, 3, 4],
        [5, 6],
        [],
    ]
    assert [transactions for _, transactions in taken] == [(b"a", b"b"), (b"c",), (), ()]
    assert not payloads.has_queued()


def test_size_in_bytes_is_a_limit_too() -> None:
    parameters = ConsensusParameters(block_size_bytes_max=4096)
    payloads = Payloads(parameters)
    assert payloads.fits(batch(0, 14))
    assert not payloads.fits(batch(0, 15))
    payloads.submit_batch(batch(1, 8))
    payloads.submit_batch(batch(2, 8))
    payloads.submit_transaction(b"x" * 1500)
    payloads.submit_transaction(b"y" * 1500)
    first = payloads.take()
    assert ([one.number for one in first[0]], first[1]) == ([], (b"x" * 1500,))
    second = payloads.take()
    assert ([one.number for one in second[0]], second[1]) == ([], (b"y" * 1500,))
    batches, _ = payloads.take()
    assert [one.number for one in batches] == [1]
    assert len(encode_block(own_block(1, batches).block)) < parameters.block_size_bytes_max


def test_what_fits_into_a_block() -> None:
    payloads = Payloads(PARAMETERS)
    assert payloads.fits(batch(0, 10))
    assert not payloads.fits(batch(0, 11))
    assert payloads.fits_transaction(b"x" * 100)
    assert not payloads.fits_transaction(b"x" * 101)
    assert not payloads.fits_transaction(b"")
    small = ConsensusParameters(block_size_bytes_max=200)
    assert not Payloads(small).fits_transaction(b"x" * 100)


def test_the_queue_is_bounded() -> None:
    payloads = Payloads(PARAMETERS)
    for number in range(BLOCKS_QUEUED_MAX * PARAMETERS.block_batches_max):
        assert payloads.has_room()
        payloads.submit_batch(batch(number))
    assert not payloads.has_room()
    payloads = Payloads(PARAMETERS)
    for _ in range(BLOCKS_QUEUED_MAX * PARAMETERS.block_transactions_max):
        assert payloads.has_room()
        payloads.submit_transaction(b"x")
    assert not payloads.has_room()
    payloads = Payloads(PARAMETERS)
    for number in range(BLOCKS_QUEUED_MAX):
        assert payloads.has_room()
        payloads.submit_batch(batch(number, 10))
    assert not payloads.has_room()
    payloads.take()
    assert payloads.has_room()


def test_dropped_payload_is_proposed_again_in_its_old_order() -> None:
    payloads = Payloads(PARAMETERS)
    blocks = [
        own_block(1, (batch(0), batch(1)), (b"a",)),
        own_block(2, (batch(2),), (b"b", b"c")),
        own_block(3, (batch(3),)),
        own_block(4, ()),
    ]
    for block in blocks:
        payloads.proposed(block)
    payloads.submit_batch(batch(4))
    assert len(payloads) == 8
    payloads.delivered(blocks[2].ref)
    payloads.delivered(blocks[3].ref)
    assert payloads.dropped(0) == 0
    assert payloads.dropped(3) == 2
    batches, transactions = payloads.take()
    assert [one.number for one in batches] == [0, 1, 2]
    assert transactions == (b"a", b"b")
    batches, transactions = payloads.take()
    assert [one.number for one in batches] == [4]
    assert transactions == (b"c",)
    assert len(payloads) == 0
