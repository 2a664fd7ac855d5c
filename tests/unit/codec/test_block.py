"""The codec accepts exactly what it writes, and every byte counts."""

from functools import partial

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.codec import (
    RECORD_BYTES,
    block_digest,
    block_signing_message,
    decode_block,
    encode_block,
    seal_block,
    sign_block,
)
from seawall.codec.block import _HEADER, BLOCK_BYTES_MAX
from seawall.crypto.signing import SigningKey, verify
from seawall.domain.block import Batch, Block, BlockFlags, CoinShares, CommitVote, Ref, RejectSet
from seawall.errors import PeerError
from tests.unit.codec.strategies import blocks

KEY = SigningKey.from_seed(bytes(32))
ORIGIN = "seawall/0123456789abcdef"
SIGNATURE = bytes(64)
EMPTY = Block(
    epoch=0,
    round=1,
    author=2,
    timestamp_ms=3,
    flags=BlockFlags.NONE,
    parents=(),
    batches=(),
    transactions=(),
    rejects=(),
    vote_cutoff=0,
    coin_shares=CoinShares(),
    commit_votes=(),
)


@given(blocks())
def test_decoding_returns_what_was_encoded(block: Block) -> None:
    unsigned = encode_block(block)
    decoded = decode_block(unsigned + SIGNATURE)
    assert decoded.block == block
    assert decoded.signature == SIGNATURE
    assert decoded.ref == Ref(block.round, block.author, block_digest(unsigned))
    assert isinstance(decoded.block.flags, BlockFlags)


@given(blocks(), st.data())
def test_every_changed_byte_is_refused_or_names_another_block(
    block: Block, data: st.DataObject
) -> None:
    raw = encode_block(block) + SIGNATURE
    place = data.draw(st.integers(0, len(raw) - len(SIGNATURE) - 1))
    change = data.draw(st.integers(1, 255))
    changed = raw[:place] + bytes([raw[place] ^ change]) + raw[place + 1 :]
    try:
        decoded = decode_block(changed)
    except PeerError:
        return
    assert decoded.ref.digest != decode_block(raw).ref.digest
    assert encode_block(decoded.block) + decoded.signature == changed


@given(blocks(), st.data())
def test_every_shorter_block_is_refused(block: Block, data: st.DataObject) -> None:
    raw = encode_block(block) + SIGNATURE
    size = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(PeerError) as refused:
        decode_block(raw[:size])
    assert refused.value.code in {"BLOCK_TRUNCATED", "RECORD_SIZE"}


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_with_a_code(data: bytes) -> None:
    with pytest.raises(PeerError, match=r"^(BLOCK|RECORD)_"):
        decode_block(data)


def test_nothing_may_follow_the_signature() -> None:
    with pytest.raises(PeerError) as refused:
        decode_block(encode_block(EMPTY) + SIGNATURE + b"\0")
    assert refused.value.code == "BLOCK_TRAILING"


def header_with(**changes: int) -> bytes:
    """Return an empty block whose header has other values."""
    front = ("version", "epoch", "round", "author", "timestamp_ms", "flags", "vote_cutoff")
    back = ("coin_first", "parents", "batches", "transactions", "rejects", "votes", "shares")
    names = (*front, *back)
    values = dict(zip(names, _HEADER.unpack(encode_block(EMPTY)), strict=True)) | changes
    return _HEADER.pack(*values.values()) + SIGNATURE


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (bytes(BLOCK_BYTES_MAX + 1), "BLOCK_SIZE"),
        (b"", "BLOCK_TRUNCATED"),
        (header_with(version=0), "BLOCK_VERSION"),
        (header_with(version=2), "BLOCK_VERSION"),
        (header_with(flags=2), "BLOCK_FLAGS"),
        (header_with(epoch=2**53), "BLOCK_RANGE"),
        (header_with(round=2**53), "BLOCK_RANGE"),
        (header_with(timestamp_ms=2**53), "BLOCK_RANGE"),
        (header_with(vote_cutoff=2**53), "BLOCK_RANGE"),
        (header_with(coin_first=1), "BLOCK_COIN_FIRST"),
        (header_with(parents=1), "BLOCK_TRUNCATED"),
        (header_with(batches=0xFFFF), "RECORD_SIZE"),
        (header_with(shares=0xFFFF), "BLOCK_TRUNCATED"),
    ],
)
def test_malformed_headers(raw: bytes, code: str) -> None:
    with pytest.raises(PeerError) as refused:
        decode_block(raw)
    assert refused.value.code == code


def vote(index: int = 1, tree_size: int = 1) -> CommitVote:
    """Return a commit vote."""
    return CommitVote(index, bytes(32), tree_size, bytes(32), bytes(72))


def batch(number: int = 1, pinned_height: int = 1, records_bytes: bytes = b"") -> Batch:
    """Return a batch without certificate."""
    return Batch(2, number, pinned_height, records_bytes, ())


ONE_RECORD = bytes(RECORD_BYTES)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"batches": (batch(),)}, "RECORD_SIZE"),
        ({"batches": (batch(number=2**53, records_bytes=ONE_RECORD),)}, "BLOCK_RANGE"),
        ({"batches": (batch(pinned_height=2**53, records_bytes=ONE_RECORD),)}, "BLOCK_RANGE"),
        ({"transactions": (b"",)}, "BLOCK_TRANSACTION_EMPTY"),
        ({"commit_votes": (vote(index=2**53),)}, "BLOCK_RANGE"),
        ({"commit_votes": (vote(tree_size=2**53),)}, "BLOCK_RANGE"),
    ],
)
def test_malformed_contents(change: dict[str, object], code: str) -> None:
    block = msgspec.structs.replace(EMPTY, **change)
    with pytest.raises(PeerError) as refused:
        decode_block(encode_block(block) + SIGNATURE)
    assert refused.value.code == code


def test_a_batch_of_another_site_has_no_encoding() -> None:
    block = msgspec.structs.replace(EMPTY, author=1, batches=(batch(records_bytes=ONE_RECORD),))
    with pytest.raises(AssertionError):
        encode_block(block)


def test_the_author_signs_origin_epoch_and_reference() -> None:
    signed = sign_block(EMPTY, ORIGIN, KEY)
    decoded = decode_block(signed.raw)
    assert decoded == seal_block(EMPTY, ORIGIN, KEY)
    assert signed.ref == decoded.ref
    other = partial(msgspec.structs.replace, signed.ref)
    checks = [
        (block_signing_message(ORIGIN, 0, signed.ref), True),
        (block_signing_message(ORIGIN, 1, signed.ref), False),
        (block_signing_message("seawall/other", 0, signed.ref), False),
        (block_signing_message(ORIGIN, 0, other(round=signed.ref.round + 1)), False),
        (block_signing_message(ORIGIN, 0, other(author=signed.ref.author + 1)), False),
        (block_signing_message(ORIGIN, 0, other(digest=bytes(32))), False),
    ]
    for message, expected in checks:
        assert verify(KEY.public, message, decoded.signature) is expected


def test_rejects_keep_their_order() -> None:
    sets = (RejectSet(Ref(5, 1, bytes(32)), (0, 7, 9)), RejectSet(Ref(6, 1, bytes(32)), (1,)))
    block = msgspec.structs.replace(EMPTY, rejects=sets)
    assert decode_block(encode_block(block) + SIGNATURE).block.rejects == sets
