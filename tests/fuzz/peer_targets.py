"""Fuzz targets: what peers and the own site's services send, up to the replica's door."""

from struct import Struct
from typing import Final

from google.protobuf.message import DecodeError

from seawall.api.v1 import consensus_pb2
from seawall.codec import (
    attestation_message,
    batch_root,
    block_digest,
    block_signing_message,
    decode_block,
    encode_block,
)
from seawall.consensus import messages
from seawall.consensus.engine import Message
from seawall.consensus.messages import BlockVerifier, Inbound, PeerMessage
from seawall.consensus.verification import check_batch, is_valid_vote, verify_block
from seawall.crypto.signing import SIGNATURE_BYTES
from seawall.domain.block import (
    Attestation,
    Batch,
    Block,
    CommitVote,
    Ref,
    SignedBlock,
    VerifiedBlock,
)
from seawall.domain.parameters import ConsensusParameters
from seawall.formats.checkpoint import Checkpoint
from seawall.formats.cosignature import TIMESTAMP_BYTES, TIMESTAMP_MAX_S, cosign
from tests.fuzz.properties import REFUSALS, accepts, attempt, check_refusal
from tests.unit.consensus.cluster import consensus_key, cosigner_key, make_committee

COMMITTEE: Final = make_committee()
PARAMETERS: Final = ConsensusParameters()
PLACEHOLDER: Final = bytes(SIGNATURE_BYTES)
"""Stands where the target is to put a good signature: fuzzers cannot sign."""

_LENGTH: Final = Struct(">H")
_VOTE: Final = Struct(">BQ32sQ32s72s")


# --- signing for the fuzzer ----------------------------------------------------------------------


def signed(block: Block) -> SignedBlock:
    """Return the block with good signatures where placeholders stand, signed by its author."""
    author = block.author % COMMITTEE.size
    sealed = Block(
        **{name: getattr(block, name) for name in block.__struct_fields__}
        | {
            "batches": tuple([_attested(batch) for batch in block.batches]),
            "commit_votes": tuple([_cosigned(vote, author) for vote in block.commit_votes]),
        }
    )
    unsigned = encode_block(sealed)
    ref = Ref(block.round, block.author, block_digest(unsigned))
    message = block_signing_message(COMMITTEE.origin, block.epoch, ref)
    return decode_block(unsigned + consensus_key(author).sign(message))


def _attested(batch: Batch) -> Batch:
    message = attestation_message(
        COMMITTEE.origin,
        COMMITTEE.epoch,
        batch.site,
        batch.number,
        batch.pinned_height,
        batch_root(batch.records_bytes),
    )
    certificate = tuple(
        [
            Attestation(one.author, consensus_key(one.author % COMMITTEE.size).sign(message))
            if one.signature == PLACEHOLDER
            else one
            for one in batch.certificate
        ]
    )
    return Batch(batch.site, batch.number, batch.pinned_height, batch.records_bytes, certificate)


def _cosigned(vote: CommitVote, author: int) -> CommitVote:
    time, signature = vote.cosignature[:TIMESTAMP_BYTES], vote.cosignature[TIMESTAMP_BYTES:]
    time_s = int.from_bytes(time, "big")
    if signature != PLACEHOLDER or time_s > TIMESTAMP_MAX_S:
        return vote
    body = Checkpoint(COMMITTEE.origin, vote.tree_size, vote.root).body()
    blob = cosign(cosigner_key(author), body, time_s)
    return CommitVote(vote.index, vote.commit_digest, vote.tree_size, vote.root, blob)


# --- blocks, batches, votes ----------------------------------------------------------------------


def verified_block(data: bytes) -> None:
    """Verify a block that is well signed: only what its author wrote can be wrong."""
    decoded = attempt(decode_block, data + PLACEHOLDER)
    if decoded is None:
        return
    block = signed(decoded.block)
    found = attempt(lambda _: verify_block(block, COMMITTEE, PARAMETERS), data)
    if found is not None:
        check_valid(found)
        assert verify_block(decode_block(found.raw), COMMITTEE, PARAMETERS) == found


def check_valid(block: VerifiedBlock) -> None:
    """Check what everybody relies on in a valid block."""
    content = block.block
    authors = [ref.author for ref in content.parents]
    previous = [ref.author for ref in content.parents if ref.round == content.round - 1]
    assert authors[0] == content.author
    assert len(set(authors)) == len(authors)
    assert COMMITTEE.stake_of(previous) >= COMMITTEE.quorum
    assert all(ref.round < content.round for ref in content.parents)
    assert all(reject.target.round < content.round for reject in content.rejects)
    assert set(block.valid_votes) <= set(content.commit_votes)
    assert len(block.raw) <= PARAMETERS.block_size_bytes_max


def batch(data: bytes) -> None:
    """Read a batch as the own site's services hand it in, and check its certificate."""

    def read(raw: bytes) -> Batch:
        message = consensus_pb2.CertifiedBatch.FromString(raw)
        return _attested(messages.decode_batch(message, message.site % COMMITTEE.size))

    try:
        found = attempt(read, data)
    except DecodeError:
        return
    if found is None:
        return
    valid = accepts(lambda _: check_batch(found, COMMITTEE), data)
    authors = [one.author for one in found.certificate]
    assert not valid or COMMITTEE.stake_of(authors) >= COMMITTEE.validity


def commit_vote(data: bytes) -> None:
    """Judge a commit vote: member, index, digest, size, root, cosignature."""
    if len(data) != _VOTE.size:
        return
    member, *fields = _VOTE.unpack(data)
    author = member % COMMITTEE.size
    vote = CommitVote(*fields)
    if max(vote.index, vote.tree_size) <= messages.INTEGER_MAX:
        made = _cosigned(vote, author)
        valid = is_valid_vote(made, COMMITTEE.members[author], COMMITTEE.origin)
        assert valid or made is vote, "a good cosignature makes a valid vote"


# --- messages ------------------------------------------------------------------------------------


def split(data: bytes) -> list[bytes]:
    """Return the messages in these bytes: length (2), then so many bytes, again and again."""
    found = []
    offset = 0
    while offset + _LENGTH.size <= len(data):
        (size,) = _LENGTH.unpack_from(data, offset)
        offset += _LENGTH.size
        found.append(data[offset : offset + size])
        offset += size
    return found


def join(pieces: list[bytes]) -> bytes:
    """Return the bytes that `split` takes apart."""
    return b"".join([_LENGTH.pack(len(piece)) + piece for piece in pieces])


def peer_messages(data: bytes) -> None:
    """Read messages that came over one link, fragments too, until the first bad one."""
    inbound = Inbound(BlockVerifier(COMMITTEE, PARAMETERS), COMMITTEE)
    for piece in split(data):
        try:
            message = PeerMessage.FromString(piece)
        except DecodeError:
            return  # gRPC ends the stream before the message is seen
        try:
            found = inbound.decode(message)
        except REFUSALS as fault:
            check_refusal(fault, len(data))
            return
        if found is not None:
            check_round_trip(found)


def check_round_trip(message: Message) -> None:
    """Check that a message arrives as it was sent."""
    inbound = Inbound(BlockVerifier(COMMITTEE, PARAMETERS), COMMITTEE)
    arrived = [inbound.decode(piece) for piece in messages.encode(message)]
    assert arrived[-1] == message
    assert all(piece is None for piece in arrived[:-1])
