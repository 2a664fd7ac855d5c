"""The canonical bytes of a block: header, then each list in the order of the header's counts.

    header: version (1), epoch (8), round (8), author (2), timestamp in ms (8), flags (1),
            vote cutoff (8), first coin round (8), then six counts of 2 bytes each
    parents: round (8), author (2), digest (32)
    batches: number (8), pinned height (8), attestations (2), records (4);
             each attestation author (2) and signature (64); then the records
    transactions: length (4), bytes
    rejects: target (42), count (2), indices (4 each)
    commit votes: index (8), commit digest (32), tree size (8), root (32), cosignature (72)
    coin shares: 48 bytes each

The site of a batch is the author, so it is not written. What travels is the unsigned bytes
followed by the author's signature, 64 bytes. `decode_block` accepts exactly what `encode_block`
writes; whether the content is *valid* is the matter of `seawall.consensus.verification`.
"""

from struct import Struct
from typing import Final

from seawall.codec.domains import block_signing_message
from seawall.codec.reading import Reader
from seawall.codec.records import RECORD_BYTES, check_records, record_count
from seawall.codec.refs import REF
from seawall.crypto.hashing import tagged
from seawall.crypto.signing import SIGNATURE_BYTES, SigningKey
from seawall.domain.block import (
    Attestation,
    Batch,
    Block,
    BlockFlags,
    CoinShares,
    CommitVote,
    Ref,
    RejectSet,
    SignedBlock,
    VerifiedBlock,
)
from seawall.errors import PeerError

BLOCK_VERSION: Final = 1
BLOCK_BYTES_MAX: Final = 16 << 20
"""Nothing longer is even looked at; the protocol's own limit is a parameter, and smaller."""

COIN_SHARE_BYTES: Final = 48
INTEGER_MAX: Final = 2**53 - 1
"""Rounds and times stay exact in any JSON."""

_BLOCK: Final = b"seawall/block/v1"
_HEADER: Final = Struct(">BQQHQBQQ6H")
_BATCH: Final = Struct(">QQHI")
_ATTESTATION: Final = Struct(">H64s")
_LENGTH: Final = Struct(">I")
_REJECT: Final = Struct(">QH32sH")
_INDEX: Final = Struct(">I")
_VOTE: Final = Struct(">Q32sQ32s72s")
_SHARE: Final = Struct(f">{COIN_SHARE_BYTES}s")
_FLAGS: Final = tuple(BlockFlags(value) for value in range(2))


def encode_block(block: Block) -> bytes:
    """Return the canonical unsigned bytes of a block whose fields are in range."""
    pieces = [
        _HEADER.pack(
            BLOCK_VERSION,
            block.epoch,
            block.round,
            block.author,
            block.timestamp_ms,
            block.flags,
            block.vote_cutoff,
            block.coin_shares.first_round,
            len(block.parents),
            len(block.batches),
            len(block.transactions),
            len(block.rejects),
            len(block.commit_votes),
            len(block.coin_shares.shares),
        )
    ]
    pieces.extend([REF.pack(ref.round, ref.author, ref.digest) for ref in block.parents])
    for batch in block.batches:
        assert batch.site == block.author, "a block carries batches of its author only"
        encode_batch(batch, pieces)
    for transaction in block.transactions:
        pieces.append(_LENGTH.pack(len(transaction)))
        pieces.append(transaction)
    for reject in block.rejects:
        target = reject.target
        count = len(reject.indices)
        pieces.append(_REJECT.pack(target.round, target.author, target.digest, count))
        pieces.extend([_INDEX.pack(index) for index in reject.indices])
    pieces.extend(
        [
            _VOTE.pack(vote.index, vote.commit_digest, vote.tree_size, vote.root, vote.cosignature)
            for vote in block.commit_votes
        ]
    )
    pieces.extend(block.coin_shares.shares)
    return b"".join(pieces)


def encode_batch(batch: Batch, pieces: list[bytes]) -> None:
    """Append the bytes of one batch."""
    records = record_count(batch.records_bytes)
    certificate = batch.certificate
    pieces.append(_BATCH.pack(batch.number, batch.pinned_height, len(certificate), records))
    pieces.extend([_ATTESTATION.pack(one.author, one.signature) for one in certificate])
    pieces.append(batch.records_bytes)


def block_digest(unsigned: bytes) -> bytes:
    """Return the digest that names a block, 32 bytes."""
    return tagged(_BLOCK, unsigned)


def seal_block(block: Block, origin: str, key: SigningKey) -> SignedBlock:
    """Return the block with its reference and its author's signature."""
    unsigned = encode_block(block)
    ref = Ref(block.round, block.author, block_digest(unsigned))
    signature = key.sign(block_signing_message(origin, block.epoch, ref))
    return SignedBlock(block=block, ref=ref, raw=unsigned + signature, signature=signature)


def sign_block(block: Block, origin: str, key: SigningKey) -> VerifiedBlock:
    """Return an own block, signed; its commit votes are our own and count as valid."""
    sealed = seal_block(block, origin, key)
    return VerifiedBlock(
        block=block, ref=sealed.ref, raw=sealed.raw, valid_votes=block.commit_votes
    )


def signature_of(raw: bytes) -> bytes:
    """Return the author's signature in the bytes of a signed block, 64 bytes."""
    return raw[-SIGNATURE_BYTES:]


def decode_block(raw: bytes) -> SignedBlock:
    """Return the block in these bytes: unsigned bytes, then 64 bytes of signature.

    The signature itself is not checked.

    Raises PeerError:
        BLOCK_SIZE: longer than any block may be.
        BLOCK_TRUNCATED, BLOCK_TRAILING: the bytes end too early, or something follows.
        BLOCK_VERSION, BLOCK_FLAGS: not of this format.
        BLOCK_RANGE: a round, time, number or size beyond 2^53 - 1.
        BLOCK_COIN_FIRST: no shares, yet a first round of shares.
        BLOCK_TRANSACTION_EMPTY: a transaction without bytes.
        RECORD_*: a batch whose records are malformed.
    """
    if len(raw) > BLOCK_BYTES_MAX:
        raise PeerError("BLOCK_SIZE", "longer than any block may be", offset=BLOCK_BYTES_MAX)
    reader = Reader(raw, "BLOCK_TRUNCATED")
    header = reader.unpack(_HEADER)
    _check_header(header)
    (_, epoch, round_, author, timestamp_ms, flags, vote_cutoff, coin_first) = header[:8]
    (parents, batches, transactions, rejects, votes, shares) = header[8:]
    block = Block(
        epoch=epoch,
        round=round_,
        author=author,
        timestamp_ms=timestamp_ms,
        flags=_FLAGS[flags],
        parents=tuple([Ref(*fields) for fields in reader.unpack_many(REF, parents)]),
        batches=tuple([decode_batch(reader, author) for _ in range(batches)]),
        transactions=tuple([_decode_transaction(reader) for _ in range(transactions)]),
        rejects=tuple([_decode_reject(reader) for _ in range(rejects)]),
        vote_cutoff=vote_cutoff,
        commit_votes=tuple([_decode_vote(fields) for fields in reader.unpack_many(_VOTE, votes)]),
        coin_shares=CoinShares(
            coin_first, tuple([share for (share,) in reader.unpack_many(_SHARE, shares)])
        ),
    )
    signed_until = reader.offset
    signature = reader.take(SIGNATURE_BYTES)
    reader.end("BLOCK_TRAILING")
    ref = Ref(round_, author, block_digest(raw[:signed_until]))
    return SignedBlock(block=block, ref=ref, raw=raw, signature=signature)


def _check_header(header: tuple[int, ...]) -> None:
    """Refuse a header that `encode_block` does not write."""
    version, epoch, round_, _, timestamp_ms, flags, vote_cutoff, coin_first = header[:8]
    if version != BLOCK_VERSION:
        raise PeerError("BLOCK_VERSION", "this site reads version 1", field="version", offset=0)
    if flags >= len(_FLAGS):
        raise PeerError("BLOCK_FLAGS", "unknown bits must be zero", field="flags")
    if max(epoch, round_, timestamp_ms, vote_cutoff, coin_first) > INTEGER_MAX:
        raise PeerError("BLOCK_RANGE", "rounds and times are at most 2^53 - 1")
    if coin_first and not header[-1]:
        raise PeerError("BLOCK_COIN_FIRST", "zero when there are no shares", field="coin_shares")


def decode_batch(reader: Reader, site: int) -> Batch:
    """Read one batch."""
    number, pinned_height, attestations, records = reader.unpack(_BATCH)
    if max(number, pinned_height) > INTEGER_MAX:
        raise PeerError("BLOCK_RANGE", "at most 2^53 - 1", field="batches", offset=reader.offset)
    certificate = tuple(
        [Attestation(*fields) for fields in reader.unpack_many(_ATTESTATION, attestations)]
    )
    records_bytes = reader.take(records * RECORD_BYTES)
    check_records(records_bytes)
    return Batch(
        site=site,
        number=number,
        pinned_height=pinned_height,
        records_bytes=records_bytes,
        certificate=certificate,
    )


def _decode_vote(fields: tuple[int, bytes, int, bytes, bytes]) -> CommitVote:
    """Return one commit vote."""
    vote = CommitVote(*fields)
    if max(vote.index, vote.tree_size) > INTEGER_MAX:
        raise PeerError("BLOCK_RANGE", "at most 2^53 - 1", field="commit_votes")
    return vote


def _decode_transaction(reader: Reader) -> bytes:
    """Read one transaction."""
    (size,) = reader.unpack(_LENGTH)
    if not size:
        raise PeerError(
            "BLOCK_TRANSACTION_EMPTY", "leave it out instead", offset=reader.offset - _LENGTH.size
        )
    return reader.take(size)


def _decode_reject(reader: Reader) -> RejectSet:
    """Read the rejects of one target."""
    round_, author, digest, count = reader.unpack(_REJECT)
    indices = tuple([index for (index,) in reader.unpack_many(_INDEX, count)])
    return RejectSet(target=Ref(round_, author, digest), indices=indices)
