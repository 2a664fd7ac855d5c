"""Commit votes: sites say which commit they reached and what tree their ledger has with it.

Votes of stake Q that agree on commit digest, tree size and root certify the commit, every commit
before it (digests chain), and make the checkpoint. A vote is a site's once its block is signed;
it carries a C2SP cosignature, so the same votes sign the checkpoint for any log client.
"""

from collections import deque
from typing import Final, TypeAlias

import msgspec

from seawall.consensus.dag.effects import Effects
from seawall.consensus.dag.stakes import StakeTable
from seawall.consensus.engine import Identity
from seawall.domain.block import CommitVote, VerifiedBlock
from seawall.domain.commit import CertifiedCheckpoint, Cosignature
from seawall.domain.committee import Committee
from seawall.formats.checkpoint import Checkpoint
from seawall.formats.cosignature import cosign

AHEAD_MAX: Final = 1024
"""Votes for commits further ahead of our own than this are not counted."""

CERTIFICATES_KEPT: Final = 64
"""Certificates kept to help others catch up."""

Statement: TypeAlias = tuple[bytes, int, bytes]
"""(commit digest, tree size, root): what has to agree."""


class Certificate(msgspec.Struct, frozen=True):
    """A certified checkpoint and the signed blocks that its votes stand in."""

    checkpoint: CertifiedCheckpoint
    blocks: tuple[VerifiedBlock, ...]


class CommitVotes:
    """Makes own votes from the ledger's answers and counts everybody's."""

    def __init__(
        self, identity: Identity, committee: Committee, stakes: StakeTable, votes_max: int
    ) -> None:
        self._identity = identity
        self._origin = committee.origin
        self._stakes = stakes
        self._tally: dict[int, dict[Statement, dict[int, tuple[bytes, VerifiedBlock]]]] = {}
        self._counted: dict[int, int] = {}
        self._certificates: dict[int, Certificate] = {}
        self._ready: deque[CommitVote] = deque(maxlen=votes_max)
        self.certified_index = 0
        self.voted_index = 0

    def rooted(self, index: int, digest: bytes, clock_ms: int, size: int, root: bytes) -> None:
        """Prepare an own vote: the ledger has this tree after this commit.

        Times are seconds of the ledger clock. Commits without one (led from round 1), and those
        that others have already certified, need no vote of ours.
        """
        if index <= max(self.voted_index, self.certified_index) or clock_ms == 0:
            return
        self.voted_index = index
        body = Checkpoint(self._origin, size, root).body()
        blob = cosign(self._identity.cosigner_key, body, clock_ms // 1000)
        self._ready.append(
            CommitVote(
                index=index, commit_digest=digest, tree_size=size, root=root, cosignature=blob
            )
        )

    def has_ready(self) -> bool:
        """Return whether own votes wait for a block."""
        return bool(self._ready)

    def take_ready(self) -> tuple[CommitVote, ...]:
        """Return own votes for the next block, ascending; they count once it is accepted."""
        votes = tuple(self._ready)
        self._ready.clear()
        return votes

    def count(self, block: VerifiedBlock, commit_index: int) -> None:
        """Count the votes of an accepted block; `commit_index` is our own last commit.

        An author's first vote on a commit counts: honest ones never vote otherwise again.
        """
        author = block.ref.author
        for vote in block.valid_votes:
            if not self.certified_index < vote.index <= commit_index + AHEAD_MAX:
                continue
            counted = self._counted.get(vote.index, 0)
            if counted >> author & 1:
                continue
            self._counted[vote.index] = counted | 1 << author
            statement = (vote.commit_digest, vote.tree_size, vote.root)
            voters = self._tally.setdefault(vote.index, {}).setdefault(statement, {})
            voters[author] = (vote.cosignature, block)
        if author == self._identity.index and block.block.commit_votes:
            self.voted_index = max(self.voted_index, block.block.commit_votes[-1].index)

    def certify(self, index: int, digest: bytes, effects: Effects) -> bool:
        """Report the checkpoint of an own commit if votes of stake Q agree on it.

        Returns whether this is new. Votes of stake Q for another digest mean that more than a
        third of the stake is faulty, or that this site is broken: then it stops here.
        """
        if not self._stakes.is_quorum(self._counted.get(index, 0)):
            return False
        for statement, voters in self._tally.get(index, {}).items():
            authors = sum([1 << author for author in voters])
            if not self._stakes.is_quorum(authors):
                continue
            assert statement[0] == digest, f"commit {index} is certified with another digest"
            certificate = _certificate(index, statement, voters)
            self._certificates[index] = certificate
            if len(self._certificates) > CERTIFICATES_KEPT:
                del self._certificates[next(iter(self._certificates))]
            effects.certify.append(certificate.checkpoint)
            self._advance(index)
            return True
        return False

    def certificate(self, index: int) -> Certificate | None:
        """Return the certificate of a commit, if it is still held."""
        return self._certificates.get(index)

    def restore(self, certified_index: int, voted_index: int) -> None:
        """Go on from what the journal says."""
        self.certified_index = certified_index
        self.voted_index = voted_index

    def _advance(self, index: int) -> None:
        """Forget votes that a later certificate has made superfluous."""
        self.certified_index = index
        for old in [known for known in self._tally if known <= index]:
            del self._tally[old], self._counted[old]
        while self._ready and self._ready[0].index <= index:
            self._ready.popleft()


def certificate_in(
    blocks: tuple[VerifiedBlock, ...], index: int, digest: bytes, stakes: StakeTable
) -> CertifiedCheckpoint | None:
    """Return the checkpoint for a commit that votes of stake Q in these blocks certify."""
    tally: dict[Statement, dict[int, tuple[bytes, VerifiedBlock]]] = {}
    for block in blocks:
        for vote in block.valid_votes:
            if vote.index == index and vote.commit_digest == digest:
                statement = (digest, vote.tree_size, vote.root)
                voters = tally.setdefault(statement, {})
                voters.setdefault(block.ref.author, (vote.cosignature, block))
    for statement, voters in tally.items():
        if stakes.is_quorum(sum([1 << author for author in voters])):
            return _certificate(index, statement, voters).checkpoint
    return None


def _certificate(
    index: int, statement: Statement, voters: dict[int, tuple[bytes, VerifiedBlock]]
) -> Certificate:
    """Return the certificate of these voters, in ascending order."""
    digest, size, root = statement
    ordered = sorted(voters)
    checkpoint = CertifiedCheckpoint(
        index=index,
        commit_digest=digest,
        tree_size=size,
        root=root,
        cosignatures=tuple([Cosignature(author, voters[author][0]) for author in ordered]),
    )
    return Certificate(checkpoint, tuple([voters[author][1] for author in ordered]))
