"""Whether a block is valid: one deterministic answer, from its bytes and the committee alone.

Nothing here looks at a parent's content, at state, or at a clock: a rule that did would let one
site send blocks that some accept and others refuse for ever. What can only be judged with more
knowledge (an unknown reject target, a wrong cosignature) never makes a block invalid.

Source: docs/protocol.md, section 1.
"""

from itertools import pairwise

from seawall.codec import (
    attestation_message,
    batch_root,
    block_signing_message,
    genesis_ref,
    record_count,
)
from seawall.crypto.signing import verify
from seawall.domain.block import (
    GENESIS_ROUND,
    Batch,
    Block,
    CommitVote,
    SignedBlock,
    VerifiedBlock,
)
from seawall.domain.committee import Committee, Member
from seawall.domain.parameters import ConsensusParameters
from seawall.errors import PeerError
from seawall.formats.checkpoint import Checkpoint
from seawall.formats.cosignature import verify_cosignature

COIN_SHARES_MAX = 8
"""Most shares of the common coin in one block."""


def verify_block(
    signed: SignedBlock, committee: Committee, parameters: ConsensusParameters
) -> VerifiedBlock:
    """Return the block as valid, with those of its commit votes whose cosignature verifies.

    Raises PeerError:
        BLOCK_EPOCH, BLOCK_AUTHOR, BLOCK_ROUND: not of this committee, or of round 0.
        BLOCK_LIMIT: more bytes, batches, updates, transactions, votes or shares than allowed.
        BLOCK_PARENT_*: see `_check_parents`.
        BLOCK_VOTE_CUTOFF, BLOCK_REJECT_*: see `_check_rejects`.
        BLOCK_COIN_ROUND: a share of a round that is not over.
        BLOCK_VOTE_ORDER: commit votes not strictly ascending by index from 1.
        BLOCK_SIGNATURE: not signed by its author.
        BATCH_*: see `check_batch`.
    """
    block = signed.block
    if block.epoch != committee.epoch:
        raise PeerError("BLOCK_EPOCH", "this committee serves another epoch", field="epoch")
    if block.author >= committee.size:
        raise PeerError("BLOCK_AUTHOR", "not a member of the committee", field="author")
    if block.round == GENESIS_ROUND:
        raise PeerError("BLOCK_ROUND", "rounds of blocks start at 1", field="round")
    _check_limits(signed, parameters)
    _check_parents(block, committee)
    _check_rejects(block, committee)
    _check_coin(block, parameters)
    _check_vote_order(block)
    author = committee.members[block.author]
    message = block_signing_message(committee.origin, block.epoch, signed.ref)
    if not verify(author.consensus_key, message, signed.signature):
        raise PeerError("BLOCK_SIGNATURE", "not signed by its author", field="signature")
    for batch in block.batches:
        check_batch(batch, committee)
    votes = tuple(
        [vote for vote in block.commit_votes if is_valid_vote(vote, author, committee.origin)]
    )
    return VerifiedBlock(block=block, ref=signed.ref, raw=signed.raw, valid_votes=votes)


def check_batch(batch: Batch, committee: Committee) -> None:
    """Refuse a batch without a certificate: valid signatures of distinct sites of stake V.

    Raises PeerError:
        BATCH_ATTESTER: an attestation of no member, or authors not strictly ascending.
        BATCH_STAKE: attested by less than stake V.
        BATCH_SIGNATURE: a signature that is not over this batch.
    """
    authors = [attestation.author for attestation in batch.certificate]
    if any(author >= committee.size for author in authors) or not _ascends(authors):
        raise PeerError("BATCH_ATTESTER", "members, strictly ascending", field="batches")
    if committee.stake_of(authors) < committee.validity:
        raise PeerError("BATCH_STAKE", "attestations of stake V are needed", field="batches")
    message = attestation_message(
        committee.origin,
        committee.epoch,
        batch.site,
        batch.number,
        batch.pinned_height,
        batch_root(batch.records_bytes),
    )
    for attestation in batch.certificate:
        key = committee.members[attestation.author].consensus_key
        if not verify(key, message, attestation.signature):
            raise PeerError("BATCH_SIGNATURE", "not over this batch", field="batches")


def is_valid_vote(vote: CommitVote, member: Member, origin: str) -> bool:
    """Return whether the vote's cosignature is the member's over the checkpoint that it names."""
    body = Checkpoint(origin, vote.tree_size, vote.root).body()
    try:
        verify_cosignature(member.cosigner_name, member.cosigner_key, body, vote.cosignature)
    except PeerError:
        return False
    return True


def updates_in(block: Block) -> int:
    """Return the number of updates in all batches of a block."""
    return sum([record_count(batch.records_bytes) for batch in block.batches])


def _ascends(values: list[int]) -> bool:
    """Return whether each value is greater than the one before."""
    return all(low < high for low, high in pairwise(values))


def _check_limits(signed: SignedBlock, parameters: ConsensusParameters) -> None:
    """Refuse a block with more of anything than the parameters allow."""
    block = signed.block
    for field, size, limit in (
        ("raw", len(signed.raw), parameters.block_size_bytes_max),
        ("batches", len(block.batches), parameters.block_batches_max),
        ("batches.updates", updates_in(block), parameters.block_updates_max),
        ("transactions", len(block.transactions), parameters.block_transactions_max),
        (
            "transactions.size",
            max(map(len, block.transactions), default=0),
            parameters.transaction_size_bytes_max,
        ),
        ("commit_votes", len(block.commit_votes), parameters.block_commit_votes_max),
        ("coin_shares", len(block.coin_shares.shares), COIN_SHARES_MAX),
    ):
        if size > limit:
            raise PeerError("BLOCK_LIMIT", f"at most {limit}", field=field)


def _check_parents(block: Block, committee: Committee) -> None:
    """Check the references as written.

    Raises PeerError:
        BLOCK_PARENT_COUNT: none, or more than members.
        BLOCK_PARENT_FIRST: the first parent is not by the author.
        BLOCK_PARENT_AUTHOR: a parent by no member, or two by one author.
        BLOCK_PARENT_ROUND: a parent that is not of an earlier round.
        BLOCK_PARENT_GENESIS: round 0, but not that author's genesis block.
        BLOCK_PARENT_STAKE: parents of the previous round have less than stake Q.
    """
    parents, previous = block.parents, block.round - 1
    if not 0 < len(parents) <= committee.size:
        raise PeerError("BLOCK_PARENT_COUNT", "one parent per member at most", field="parents")
    if parents[0].author != block.author:
        raise PeerError("BLOCK_PARENT_FIRST", "own last block comes first", field="parents.0")
    members, origin, epoch = committee.members, committee.origin, committee.epoch
    seen = stake = 0
    for ref in parents:
        author, round_ = ref.author, ref.round
        if author >= len(members) or seen >> author & 1:
            raise PeerError("BLOCK_PARENT_AUTHOR", "distinct members", field="parents")
        seen |= 1 << author
        if round_ > previous:
            raise PeerError("BLOCK_PARENT_ROUND", "parents are of earlier rounds", field="parents")
        if round_ == GENESIS_ROUND and ref != genesis_ref(origin, epoch, author):
            raise PeerError("BLOCK_PARENT_GENESIS", "not that genesis block", field="parents")
        if round_ == previous:
            stake += members[author].stake
    if stake < committee.quorum:
        raise PeerError("BLOCK_PARENT_STAKE", "stake Q of the previous round", field="parents")


def _check_rejects(block: Block, committee: Committee) -> None:
    """Check the form of the fast path's votes.

    Raises PeerError:
        BLOCK_VOTE_CUTOFF: not below the block's own round.
        BLOCK_REJECT_TARGET: targets not strictly ascending, by no member, or of a round that is
            not between the cutoff and the block.
        BLOCK_REJECT_INDICES: none, or not strictly ascending.
    """
    if block.vote_cutoff >= block.round:
        raise PeerError("BLOCK_VOTE_CUTOFF", "below the block's round", field="vote_cutoff")
    previous = None
    for reject in block.rejects:
        target = reject.target
        in_order = previous is None or previous < target
        in_range = block.vote_cutoff < target.round < block.round
        if not (in_order and in_range and target.author < committee.size):
            raise PeerError("BLOCK_REJECT_TARGET", "ascending, in range", field="rejects")
        if not reject.indices or not _ascends(list(reject.indices)):
            raise PeerError("BLOCK_REJECT_INDICES", "strictly ascending", field="rejects")
        previous = target


def _check_coin(block: Block, parameters: ConsensusParameters) -> None:
    """Refuse shares of rounds whose coin nobody may know yet; first_round 0 does not exist."""
    shares = block.coin_shares
    if not shares.shares:
        return
    last = shares.first_round + len(shares.shares) - 1
    if shares.first_round == 0 or last > block.round - parameters.wave_length + 1:
        raise PeerError("BLOCK_COIN_ROUND", "only rounds that are over", field="coin_shares")


def _check_vote_order(block: Block) -> None:
    """Refuse commit votes that are not strictly ascending by index, from 1."""
    indices = [vote.index for vote in block.commit_votes]
    if not _ascends([0, *indices]):
        raise PeerError("BLOCK_VOTE_ORDER", "ascending by index, from 1", field="commit_votes")
