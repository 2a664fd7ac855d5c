"""The quota of what this site hands in: checked, counted, released on delivery."""

import pytest

from seawall.consensus.config import ConsensusSettings
from seawall.consensus.engine import Submitted
from seawall.consensus.pending import PendingSubmissions
from seawall.domain.block import Block, BlockFlags, CoinShares
from seawall.domain.parameters import ConsensusParameters
from seawall.errors import PeerError
from tests.unit.consensus.cluster import make_batch, make_committee

COMMITTEE = make_committee()


def pending(**limits: int) -> PendingSubmissions:
    settings = ConsensusSettings.model_validate(limits)
    return PendingSubmissions(COMMITTEE, 0, ConsensusParameters(), settings)


def batches(*numbers: int, updates: int = 1) -> Submitted:
    made = tuple(make_batch(COMMITTEE, 0, number, updates=updates) for number in numbers)
    return Submitted(batches=made)


def block(submitted: Submitted) -> Block:
    return Block(
        epoch=0,
        round=1,
        author=0,
        timestamp_ms=0,
        flags=BlockFlags.NONE,
        parents=(),
        batches=submitted.batches,
        transactions=submitted.transactions,
        rejects=(),
        vote_cutoff=0,
        coin_shares=CoinShares(),
        commit_votes=(),
    )


def test_delivery_releases_what_was_pending() -> None:
    one = pending()
    submitted = Submitted(batches=batches(1, 2, updates=3).batches, transactions=(b"1", b"1"))
    one.check(submitted)
    one.add(submitted, accepts=True)
    assert (len(one), one.updates) == (4, 6)
    one.delivered(block(submitted))
    assert (len(one), one.updates) == (0, 0)
    # Delivered twice, or from before a restart.
    one.delivered(block(submitted))
    assert (len(one), one.updates) == (0, 0)


@pytest.mark.parametrize(
    ("limits", "first", "second"),
    [
        ({"pending_batches_max": 2}, batches(1, 2), batches(3)),
        ({"pending_updates_max": 5}, batches(1, updates=5), batches(3)),
        (
            {"pending_transactions_max": 2},
            Submitted(transactions=(b"1", b"2")),
            Submitted(transactions=(b"3",)),
        ),
    ],
)
def test_more_than_the_quota_is_refused_whole(
    limits: dict[str, int], first: Submitted, second: Submitted
) -> None:
    one = pending(**limits)
    one.add(first, accepts=True)
    before = (len(one), one.updates)
    with pytest.raises(PeerError, match="QUOTA_CONSENSUS"):
        one.add(second, accepts=True)
    assert (len(one), one.updates) == before
    one.delivered(block(first))
    one.add(second, accepts=True)


def test_nothing_is_taken_under_back_pressure() -> None:
    one = pending()
    with pytest.raises(PeerError, match="QUOTA_CONSENSUS"):
        one.add(batches(1), accepts=False)
    assert len(one) == 0


def test_a_batch_number_counts_once() -> None:
    one = pending()
    one.add(batches(1, updates=2), accepts=True)
    one.add(batches(1, updates=2), accepts=True)
    assert (len(one), one.updates) == (1, 2)


@pytest.mark.parametrize(
    ("submitted", "code"),
    [
        (Submitted(batches=(make_batch(COMMITTEE, 1, 1),)), "BATCH_SITE"),
        (Submitted(batches=(make_batch(COMMITTEE, 0, 1, updates=4097),)), "BATCH_LIMIT"),
        (Submitted(batches=(make_batch(COMMITTEE, 0, 1, attesters=(0,)),)), "BATCH_STAKE"),
        (Submitted(transactions=(b"",)), "TX_SIZE"),
        (Submitted(transactions=(b"1" * 20_000,)), "TX_SIZE"),
        (Submitted(transactions=(b"1 ",)), "JSON_"),
    ],
)
def test_what_others_would_refuse_is_refused_here(submitted: Submitted, code: str) -> None:
    with pytest.raises(PeerError, match=code):
        pending().check(submitted)
