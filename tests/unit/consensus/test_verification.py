"""Validity has one answer: each rule is broken once, and answered with its code."""

import msgspec
import pytest

from seawall.codec import seal_block
from seawall.consensus.verification import (
    check_batch,
    updates_in,
    verify_block,
)
from seawall.domain.block import (
    Block,
    BlockFlags,
    CoinShares,
)
from seawall.errors import PeerError
from tests.cases.bad_blocks import (
    BLOCKS,
    COMMITTEE,
    FIRST,
    PARAMETERS,
    VALID,
    BadBlock,
    genesis_parents,
    vote,
)
from tests.unit.consensus.cluster import consensus_key, make_batch

ORIGIN = COMMITTEE.origin


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


def test_round_1_rests_on_genesis() -> None:
    assert code_of(msgspec.structs.replace(VALID, parents=genesis_parents(), **FIRST)) == ""


@pytest.mark.parametrize("case", [case for _, cases in BLOCKS for case in cases])
def test_each_rule_has_its_code(case: BadBlock) -> None:
    assert code_of(msgspec.structs.replace(VALID, **case.change)) == case.code


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
