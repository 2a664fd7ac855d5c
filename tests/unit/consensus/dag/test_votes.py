"""Commit votes become checkpoints when stake Q agrees, and only then."""

import pytest

from seawall.consensus.dag.effects import Effects
from seawall.consensus.dag.stakes import StakeTable
from seawall.consensus.dag.votes import (
    AHEAD_MAX,
    CERTIFICATES_KEPT,
    CommitVotes,
    certificate_in,
)
from seawall.domain.block import CommitVote, VerifiedBlock
from seawall.formats.checkpoint import Checkpoint
from seawall.formats.cosignature import verify_cosignature
from tests.unit.consensus.cluster import make_committee, make_identity
from tests.unit.consensus.dag.drawing import draw_block, genesis

COMMITTEE = make_committee((2, 1, 1, 1, 1))  # Q = 5
STAKES = StakeTable(COMMITTEE)
DIGEST, ROOT = b"d" * 32, b"r" * 32


def new_votes(votes_max: int = 64) -> CommitVotes:
    """Return the votes of member 1, nothing counted."""
    return CommitVotes(make_identity(1), COMMITTEE, STAKES, votes_max)


def block(author: int, *votes: CommitVote, round_: int = 1) -> VerifiedBlock:
    """Return a block that carries votes."""
    return draw_block(round_, author, [genesis(COMMITTEE)[author]], votes=votes)


def vote(index: int, digest: bytes = DIGEST, size: int = 9, root: bytes = ROOT) -> CommitVote:
    """Return a vote; nothing here looks at its cosignature."""
    return CommitVote(index, digest, size, root, bytes(72))


def test_an_own_vote_carries_a_cosignature_with_the_ledger_clock() -> None:
    votes = new_votes()
    votes.rooted(4, DIGEST, 1_700_000_000_999, 9, ROOT)
    (own,) = votes.take_ready()
    assert (own.index, own.commit_digest, own.tree_size, own.root) == (4, DIGEST, 9, ROOT)
    member = COMMITTEE.members[1]
    body = Checkpoint(COMMITTEE.origin, 9, ROOT).body()
    time_s = verify_cosignature(member.cosigner_name, member.cosigner_key, body, own.cosignature)
    assert time_s == 1_700_000_000
    assert votes.take_ready() == ()


def test_a_site_votes_once_and_not_without_a_clock() -> None:
    votes = new_votes(votes_max=2)
    votes.rooted(1, DIGEST, 0, 9, ROOT)
    assert votes.take_ready() == ()
    for index in (2, 3, 4, 3):
        votes.rooted(index, DIGEST, 1000, 9, ROOT)
    assert [own.index for own in votes.take_ready()] == [3, 4]
    # A block from before a crash reminds it of what it has voted on.
    votes.count(block(1, vote(7)), 5)
    votes.rooted(7, DIGEST, 1000, 9, ROOT)
    assert votes.take_ready() == ()


def test_stake_q_certifies_once() -> None:
    votes, effects = new_votes(), Effects()
    for author in (4, 2, 1):
        votes.count(block(author, vote(3)), 3)
        assert not votes.certify(3, DIGEST, effects)
    votes.count(block(2, vote(3), round_=2), 3)
    assert not votes.certify(3, DIGEST, effects)
    votes.count(block(0, vote(3)), 3)
    assert votes.certify(3, DIGEST, effects)
    assert not votes.certify(3, DIGEST, effects)
    (checkpoint,) = effects.certify
    assert (checkpoint.index, checkpoint.commit_digest) == (3, DIGEST)
    assert (checkpoint.tree_size, checkpoint.root) == (9, ROOT)
    assert [one.author for one in checkpoint.cosignatures] == [0, 1, 2, 4]
    certificate = votes.certificate(3)
    assert certificate is not None
    assert [one.ref.author for one in certificate.blocks] == [0, 1, 2, 4]
    assert votes.certificate(2) is None


def test_a_later_certificate_makes_earlier_votes_superfluous() -> None:
    votes, effects = new_votes(), Effects()
    votes.rooted(2, DIGEST, 1000, 9, ROOT)
    votes.rooted(3, DIGEST, 1000, 9, ROOT)
    votes.rooted(4, DIGEST, 1000, 9, ROOT)
    for author in (0, 1, 2, 3):
        votes.count(block(author, vote(2), vote(3)), 3)
    assert votes.certify(3, DIGEST, effects)
    assert not votes.certify(2, DIGEST, effects)
    assert [own.index for own in votes.take_ready()] == [4]
    votes.rooted(3, DIGEST, 1000, 9, ROOT)
    assert votes.take_ready() == ()


def test_different_trees_do_not_add_up_and_first_votes_count() -> None:
    votes, effects = new_votes(), Effects()
    votes.count(block(0, vote(3, root=b"x" * 32)), 3)
    votes.count(block(0, vote(3), round_=2), 3)
    for author in (1, 2, 3):
        votes.count(block(author, vote(3)), 3)
    assert not votes.certify(3, DIGEST, effects)
    votes.count(block(4, vote(3, size=10)), 3)
    assert not votes.certify(3, DIGEST, effects)


def test_votes_far_ahead_are_not_kept() -> None:
    votes, effects = new_votes(), Effects()
    for author in (0, 1, 2, 3):
        votes.count(block(author, vote(5 + AHEAD_MAX), vote(6 + AHEAD_MAX)), 5)
    assert not votes.certify(6 + AHEAD_MAX, DIGEST, effects)
    assert votes.certify(5 + AHEAD_MAX, DIGEST, effects)


def test_a_certificate_for_another_commit_stops_the_replica() -> None:
    votes = new_votes()
    for author in (0, 1, 2, 3):
        votes.count(block(author, vote(3, digest=b"e" * 32)), 3)
    with pytest.raises(AssertionError, match="another digest"):
        votes.certify(3, DIGEST, Effects())


def test_only_recent_certificates_are_kept() -> None:
    votes, effects = new_votes(), Effects()
    for index in range(1, CERTIFICATES_KEPT + 2):
        for author in (0, 1, 2, 3):
            votes.count(block(author, vote(index)), index)
        assert votes.certify(index, DIGEST, effects)
    assert votes.certificate(1) is None
    assert votes.certificate(2) is not None


def test_a_certificate_inside_blocks() -> None:
    blocks = tuple(block(author, vote(2), vote(3)) for author in (0, 1, 2, 3))
    found = certificate_in(blocks, 3, DIGEST, STAKES)
    assert found is not None
    assert [one.author for one in found.cosignatures] == [0, 1, 2, 3]
    assert certificate_in(blocks[1:], 3, DIGEST, STAKES) is None
    assert certificate_in(blocks, 4, DIGEST, STAKES) is None
    assert certificate_in(blocks, 3, b"e" * 32, STAKES) is None
    split = (*blocks[:2], block(2, vote(3, size=1)), block(3, vote(3, size=1)))
    assert certificate_in(split, 3, DIGEST, STAKES) is None
