"""Validity has one answer: each rule is broken once, and answered with its code."""

from typing import Any

import msgspec
import pytest

from seawall.codec import genesis_ref, seal_block
from seawall.consensus.verification import (
    COIN_SHARES_MAX,
    check_batch,
    updates_in,
    verify_block,
)
from seawall.domain.block import (
    Attestation,
    Block,
    BlockFlags,
    CoinShares,
    CommitVote,
    Ref,
    RejectSet,
)
from seawall.domain.parameters import ConsensusParameters
from seawall.errors import PeerError
from seawall.formats.checkpoint import Checkpoint
from seawall.formats.cosignature import cosign
from tests.unit.consensus.cluster import consensus_key, cosigner_key, make_batch, make_committee

COMMITTEE = make_committee((2, 1, 1, 1, 1))  # S = 6, Q = 5, V = 2
PARAMETERS = ConsensusParameters(
    block_batches_max=2,
    block_updates_max=4,
    block_transactions_max=2,
    transaction_size_bytes_max=10,
    block_commit_votes_max=2,
    block_size_bytes_max=4000,
)
ORIGIN = COMMITTEE.origin
ROOT = b"r" * 32


def ref(round_: int, author: int, digest: bytes = b"d" * 32) -> Ref:
    """Return a reference; whether such a block exists is not a matter of validity."""
    return Ref(round_, author, digest)


def vote(index: int = 1, cosigner: int = 1) -> CommitVote:
    """Return a commit vote cosigned by a member."""
    blob = cosign(cosigner_key(cosigner), Checkpoint(ORIGIN, 9, ROOT).body(), 1_700_000_000)
    return CommitVote(index, b"c" * 32, 9, ROOT, blob)


VALID = Block(
    epoch=0,
    round=7,
    author=1,
    timestamp_ms=1_700_000_000_000,
    flags=BlockFlags.NONE,
    parents=(ref(6, 1), ref(6, 0), ref(6, 2), ref(6, 3), ref(4, 4)),
    batches=(make_batch(COMMITTEE, 1, 1, updates=2),),
    transactions=(b"{}",),
    rejects=(RejectSet(ref(5, 2), (0, 3)), RejectSet(ref(6, 0), (1,))),
    vote_cutoff=4,
    coin_shares=CoinShares(4, (bytes(48), bytes(48))),
    commit_votes=(vote(1), vote(2)),
)


def code_of(block: Block, *, signer: int = 1, origin: str = ORIGIN) -> str:
    """Return the code with which a signed block is refused, or an empty string."""
    try:
        verify_block(seal_block(block, origin, consensus_key(signer)), COMMITTEE, PARAMETERS)
    except PeerError as error:
        return error.code
    return ""


def test_a_valid_block_keeps_its_content_and_votes() -> None:
    sealed = seal_block(VALID, ORIGIN, consensus_key(1))
    verified = verify_block(sealed, COMMITTEE, PARAMETERS)
    assert verified.block == VALID
    assert (verified.ref, verified.raw) == (sealed.ref, sealed.raw)
    assert verified.valid_votes == VALID.commit_votes
    assert updates_in(VALID) == 2


def test_a_block_may_be_empty() -> None:
    empty = msgspec.structs.replace(
        VALID,
        flags=BlockFlags.CLOSING,
        batches=(),
        transactions=(),
        rejects=(),
        coin_shares=CoinShares(),
        commit_votes=(),
    )
    assert code_of(empty) == ""


def genesis_parents(*, wrong: int = -1) -> tuple[Ref, ...]:
    """Return the genesis blocks of all, own first; that of `wrong` is not."""
    order = (1, 0, 2, 3, 4)
    return tuple(
        ref(0, author) if author == wrong else genesis_ref(ORIGIN, 0, author) for author in order
    )


FIRST: dict[str, Any] = {"round": 1, "vote_cutoff": 0, "rejects": (), "coin_shares": CoinShares()}


def test_round_1_rests_on_genesis() -> None:
    assert code_of(msgspec.structs.replace(VALID, parents=genesis_parents(), **FIRST)) == ""


CASES: list[tuple[str, dict[str, Any]]] = [
    ("BLOCK_EPOCH", {"epoch": 1}),
    ("BLOCK_AUTHOR", {"author": 5, "batches": ()}),
    ("BLOCK_ROUND", {"round": 0}),
    ("BLOCK_LIMIT", {"batches": tuple(make_batch(COMMITTEE, 1, i) for i in range(3))}),
    ("BLOCK_LIMIT", {"batches": (make_batch(COMMITTEE, 1, 1, updates=5),)}),
    ("BLOCK_LIMIT", {"transactions": (b"1", b"2", b"3")}),
    ("BLOCK_LIMIT", {"transactions": (b"x" * 11,)}),
    ("BLOCK_LIMIT", {"commit_votes": (vote(1), vote(2), vote(3))}),
    ("BLOCK_LIMIT", {"coin_shares": CoinShares(1, (bytes(48),) * (COIN_SHARES_MAX + 1))}),
    ("BLOCK_LIMIT", {"rejects": (RejectSet(ref(5, 2), tuple(range(1000))),)}),
    ("BLOCK_PARENT_COUNT", {"parents": ()}),
    ("BLOCK_PARENT_COUNT", {"parents": (*VALID.parents, ref(3, 2))}),
    ("BLOCK_PARENT_FIRST", {"parents": (ref(6, 0), ref(6, 1), ref(6, 2), ref(6, 3))}),
    ("BLOCK_PARENT_AUTHOR", {"parents": (ref(6, 1), ref(6, 0), ref(6, 2), ref(6, 5))}),
    ("BLOCK_PARENT_AUTHOR", {"parents": (ref(6, 1), ref(6, 0), ref(6, 2), ref(5, 2))}),
    ("BLOCK_PARENT_AUTHOR", {"parents": (ref(6, 1), ref(5, 1), ref(6, 0), ref(6, 2))}),
    ("BLOCK_PARENT_ROUND", {"parents": (ref(6, 1), ref(6, 0), ref(6, 2), ref(7, 3))}),
    ("BLOCK_PARENT_STAKE", {"parents": (ref(6, 1), ref(6, 2), ref(6, 3), ref(6, 4))}),
    ("BLOCK_PARENT_STAKE", {"parents": (ref(6, 1), ref(5, 0), ref(6, 2), ref(6, 3), ref(6, 4))}),
    ("BLOCK_PARENT_GENESIS", {"parents": genesis_parents(wrong=3), **FIRST}),
    ("BLOCK_PARENT_GENESIS", {"parents": (*VALID.parents[:4], ref(0, 4))}),
    ("BLOCK_VOTE_CUTOFF", {"vote_cutoff": 7}),
    ("BLOCK_REJECT_TARGET", {"rejects": (RejectSet(ref(4, 2), (0,)),)}),
    ("BLOCK_REJECT_TARGET", {"rejects": (RejectSet(ref(7, 2), (0,)),)}),
    ("BLOCK_REJECT_TARGET", {"rejects": (RejectSet(ref(6, 5), (0,)),)}),
    ("BLOCK_REJECT_TARGET", {"rejects": (VALID.rejects[0], VALID.rejects[0])}),
    ("BLOCK_REJECT_TARGET", {"rejects": VALID.rejects[::-1]}),
    ("BLOCK_REJECT_INDICES", {"rejects": (RejectSet(ref(6, 2), ()),)}),
    ("BLOCK_REJECT_INDICES", {"rejects": (RejectSet(ref(6, 2), (1, 1)),)}),
    ("BLOCK_REJECT_INDICES", {"rejects": (RejectSet(ref(6, 2), (2, 1)),)}),
    ("BLOCK_COIN_ROUND", {"coin_shares": CoinShares(5, (bytes(48), bytes(48)))}),
    ("BLOCK_COIN_ROUND", {"coin_shares": CoinShares(0, (bytes(48),))}),
    ("BLOCK_VOTE_ORDER", {"commit_votes": (vote(2), vote(1))}),
    ("BLOCK_VOTE_ORDER", {"commit_votes": (vote(1), vote(1))}),
    ("BLOCK_VOTE_ORDER", {"commit_votes": (vote(0),)}),
]


@pytest.mark.parametrize(("code", "change"), CASES)
def test_each_rule_has_its_code(code: str, change: dict[str, Any]) -> None:
    assert code_of(msgspec.structs.replace(VALID, **change)) == code


def test_only_the_author_can_sign_and_only_for_this_chain() -> None:
    assert code_of(VALID, signer=2) == "BLOCK_SIGNATURE"
    assert code_of(VALID, origin="seawall/other") == "BLOCK_SIGNATURE"


def test_wrong_cosignatures_are_sorted_out_not_refused() -> None:
    wrong = vote(2, cosigner=2)
    block = msgspec.structs.replace(VALID, commit_votes=(vote(1), wrong))
    verified = verify_block(seal_block(block, ORIGIN, consensus_key(1)), COMMITTEE, PARAMETERS)
    assert verified.block.commit_votes == (vote(1), wrong)
    assert verified.valid_votes == (vote(1),)


def test_a_batch_needs_stake_not_heads() -> None:
    assert COMMITTEE.validity == 2
    check_batch(make_batch(COMMITTEE, 1, 1, attesters=(0,)), COMMITTEE)
    check_batch(make_batch(COMMITTEE, 1, 1, attesters=(1, 4)), COMMITTEE)
    with pytest.raises(PeerError, match="BATCH_STAKE"):
        check_batch(make_batch(COMMITTEE, 1, 1, attesters=(3,)), COMMITTEE)


def test_attesters_are_distinct_members_in_order() -> None:
    batch = make_batch(COMMITTEE, 1, 1, attesters=(1, 2))
    one, two = batch.certificate
    for certificate in [(two, one), (one, one), (one, Attestation(5, bytes(64)))]:
        with pytest.raises(PeerError, match="BATCH_ATTESTER"):
            check_batch(msgspec.structs.replace(batch, certificate=certificate), COMMITTEE)


@pytest.mark.parametrize(
    "change",
    [
        {"number": 2},
        {"site": 2},
        {"pinned_height": 1},
        {"records_bytes": make_batch(COMMITTEE, 1, 2).records_bytes},
    ],
)
def test_attestations_cover_the_whole_batch(change: dict[str, Any]) -> None:
    batch = msgspec.structs.replace(make_batch(COMMITTEE, 1, 1), **change)
    with pytest.raises(PeerError, match="BATCH_SIGNATURE"):
        check_batch(batch, COMMITTEE)


def test_a_block_with_an_uncertified_batch_is_refused() -> None:
    batch = make_batch(COMMITTEE, 1, 1, attesters=(3,))
    assert code_of(msgspec.structs.replace(VALID, batches=(batch,))) == "BATCH_STAKE"
