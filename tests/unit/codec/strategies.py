"""Any block that the codec can write, valid or not."""

from typing import TypeVar

from hypothesis import strategies as st

from seawall.codec import encode_records
from seawall.codec.block import COIN_SHARE_BYTES, INTEGER_MAX
from seawall.domain.block import (
    Attestation,
    Batch,
    Block,
    BlockFlags,
    CoinShares,
    CommitVote,
    Ref,
    RejectSet,
    UpdateKind,
    UpdateRecord,
)
from seawall.domain.commit import CommitSummary

T = TypeVar("T")

digests = st.binary(min_size=32, max_size=32)
integers = st.integers(0, INTEGER_MAX)
refs = st.builds(Ref, st.integers(0, 2**64 - 1), st.integers(0, 2**16 - 1), digests)
records = st.builds(
    UpdateRecord,
    contributor=digests,
    update_id=digests,
    payload_digest=digests,
    task=st.integers(0, 2**16 - 1),
    kind=st.sampled_from(UpdateKind),
    seq=st.integers(0, 2**48 - 1),
    base_version=st.integers(0, 2**32 - 1),
    expires_height=st.integers(0, 2**48 - 1),
    payload_size_bytes=st.integers(0, 2**48 - 1),
    num_examples=st.integers(0, 2**32 - 1),
)
attestations = st.builds(
    Attestation, st.integers(0, 2**16 - 1), st.binary(min_size=64, max_size=64)
)
votes = st.builds(
    CommitVote,
    index=integers,
    commit_digest=digests,
    tree_size=integers,
    root=digests,
    cosignature=st.binary(min_size=72, max_size=72),
)
rejects = st.builds(RejectSet, refs, st.lists(st.integers(0, 2**32 - 1), max_size=4).map(tuple))
coin_shares = st.one_of(
    st.just(CoinShares()),
    st.builds(
        CoinShares,
        integers,
        st.lists(
            st.binary(min_size=COIN_SHARE_BYTES, max_size=COIN_SHARE_BYTES),
            min_size=1,
            max_size=3,
        ).map(tuple),
    ),
)


def tuples(elements: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    """Return short tuples of these elements."""
    return st.lists(elements, max_size=3).map(tuple)


def batches(site: int) -> st.SearchStrategy[Batch]:
    """Return batches of a site."""
    return st.builds(
        Batch,
        site=st.just(site),
        number=integers,
        pinned_height=integers,
        records_bytes=st.lists(records, min_size=1, max_size=3).map(encode_records),
        certificate=tuples(attestations),
    )


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """Draw any block that has an encoding."""
    author = draw(st.integers(0, 2**16 - 1))
    return Block(
        epoch=draw(integers),
        round=draw(integers),
        author=author,
        timestamp_ms=draw(integers),
        flags=draw(st.sampled_from([BlockFlags.NONE, BlockFlags.CLOSING])),
        parents=draw(tuples(refs)),
        batches=draw(tuples(batches(author))),
        transactions=draw(tuples(st.binary(min_size=1, max_size=40))),
        rejects=draw(tuples(rejects)),
        vote_cutoff=draw(integers),
        coin_shares=draw(coin_shares),
        commit_votes=draw(tuples(votes)),
    )


summaries = st.builds(
    CommitSummary,
    index=st.integers(0, 2**64 - 1),
    previous_digest=digests,
    digest=digests,
    leader=refs,
    clock_ms=st.integers(0, 2**64 - 1),
    gc_round=st.integers(0, 2**64 - 1),
    delivered=tuples(refs),
)
