"""Commit summaries and the digest that chains commits."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.codec import (
    commit_digest,
    decode_commit_summary,
    encode_commit_summary,
    sign_block,
    summarise,
)
from seawall.codec.refs import decode_refs, encode_refs
from seawall.crypto.signing import SigningKey
from seawall.domain.block import Block, BlockFlags, CoinShares, Ref
from seawall.domain.commit import Commit, CommitSummary
from seawall.errors import PeerError
from tests.unit.codec.strategies import refs, summaries


@given(summaries)
def test_decoding_returns_what_was_encoded(summary: CommitSummary) -> None:
    data = encode_commit_summary(summary)
    assert decode_commit_summary(data) == summary
    with pytest.raises(PeerError, match="COMMIT_TRAILING"):
        decode_commit_summary(data + b"\0")
    with pytest.raises(PeerError, match="COMMIT_TRUNCATED"):
        decode_commit_summary(data[:-1])


@given(st.lists(refs, max_size=4))
def test_references(some: list[Ref]) -> None:
    assert list(decode_refs(encode_refs(some))) == some


def test_the_digest_covers_every_argument() -> None:
    leader, other = Ref(3, 1, bytes(32)), Ref(3, 2, bytes(32))
    digests = {
        commit_digest(bytes(32), 1, leader, 7, [leader]),
        commit_digest(bytes(31) + b"\1", 1, leader, 7, [leader]),
        commit_digest(bytes(32), 2, leader, 7, [leader]),
        commit_digest(bytes(32), 1, other, 7, [leader]),
        commit_digest(bytes(32), 1, leader, 8, [leader]),
        commit_digest(bytes(32), 1, leader, 7, [other, leader]),
        commit_digest(bytes(32), 1, leader, 7, [leader, other]),
        commit_digest(bytes(32), 1, leader, 7, []),
    }
    assert len(digests) == 8


def test_a_summary_names_the_blocks() -> None:
    block = Block(
        epoch=0,
        round=3,
        author=1,
        timestamp_ms=0,
        flags=BlockFlags.NONE,
        parents=(),
        batches=(),
        transactions=(),
        rejects=(),
        vote_cutoff=0,
        coin_shares=CoinShares(),
        commit_votes=(),
    )
    signed = sign_block(block, "seawall/0", SigningKey.from_seed(bytes(32)))
    later = sign_block(
        msgspec.structs.replace(block, round=4), "seawall/0", SigningKey.from_seed(bytes(32))
    )
    commit = Commit(
        index=1,
        previous_digest=bytes(32),
        digest=b"d" * 32,
        leader=later.ref,
        clock_ms=5,
        gc_round=0,
        blocks=(signed, later),
    )
    summary = summarise(commit)
    assert summary.delivered == (signed.ref, later.ref)
    assert summary.leader == later.ref
    assert (summary.index, summary.digest, summary.clock_ms) == (1, b"d" * 32, 5)
