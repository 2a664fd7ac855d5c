"""The total order: what each committed leader delivers, and the chain of commit digests.

A commit delivers the leader and all its ancestors that no commit has delivered and that are above
the gc round, sorted by round and then by a hash that the leader's digest seeds, so that nobody
can choose a place in the order. The gc round follows from the commit before, so it is equal
everywhere: blocks at or below it are never delivered.

Source: docs/protocol.md, section 4.
"""

from collections.abc import Sequence

from seawall.codec import commit_digest
from seawall.consensus.dag.stakes import StakeTable
from seawall.consensus.dag.store import BlockStore, Vertex
from seawall.crypto.hashing import DIGEST_BYTES, sha256
from seawall.domain.block import GENESIS_ROUND, Ref, VerifiedBlock
from seawall.domain.commit import Commit

NO_DIGEST = bytes(DIGEST_BYTES)
"""What stands as previous digest in the first commit."""


class Linearizer:
    """Turns committed leaders into commits; knows where the order stands."""

    def __init__(self, store: BlockStore, stakes: StakeTable, gc_depth: int) -> None:
        self._store = store
        self._stakes = stakes
        self._gc_depth = gc_depth
        self.index = 0
        self.digest = NO_DIGEST
        self.leader_round = 0
        self.clock_ms = 0

    @property
    def gc_round(self) -> int:
        """Return the round at and below which no further commit delivers anything."""
        return max(0, self.leader_round - self._gc_depth)

    def restore(self, index: int, digest: bytes, leader_round: int, clock_ms: int) -> None:
        """Go on from a commit that is known from the journal."""
        self.index = index
        self.digest = digest
        self.leader_round = leader_round
        self.clock_ms = clock_ms

    def commit(self, leader: Vertex) -> Commit:
        """Return the next commit, led by this block, and take its blocks as delivered."""
        gc_round = self.gc_round
        found = self._store.unsettled_until(leader)
        for vertex in found:
            self._store.settle(vertex)
        seed = leader.ref.digest
        delivered = sorted(
            [vertex for vertex in found if vertex.round > gc_round],
            key=lambda vertex: (vertex.round, sha256(seed + vertex.ref.digest)),
        )
        blocks = tuple([vertex.block for vertex in delivered])
        clock_ms = max(self.clock_ms, self._median_time(leader, gc_round))
        return self._append(leader.ref, clock_ms, gc_round, blocks)

    def follows(self, commits: Sequence[Commit]) -> bool:
        """Return whether the commits continue the chain, by number and by digest.

        What the digest does not cover is compared with what it must be.
        """
        index, digest, leader_round = self.index, self.digest, self.leader_round
        for commit in commits:
            expected = commit_digest(
                digest,
                index + 1,
                commit.leader,
                commit.clock_ms,
                [block.ref for block in commit.blocks],
            )
            gc_round = max(0, leader_round - self._gc_depth)
            if (commit.index, commit.previous_digest, commit.digest, commit.gc_round) != (
                index + 1,
                digest,
                expected,
                gc_round,
            ):
                return False
            index, digest, leader_round = commit.index, commit.digest, commit.leader.round
        return True

    def adopt(self, leader: Ref, clock_ms: int, delivered: Sequence[Vertex]) -> Commit:
        """Return the next commit as known from elsewhere, and take its blocks as delivered."""
        blocks = tuple([vertex.block for vertex in delivered])
        for vertex in delivered:
            self._store.settle(vertex)
        return self._append(leader, clock_ms, self.gc_round, blocks)

    def _append(
        self, leader: Ref, clock_ms: int, gc_round: int, blocks: tuple[VerifiedBlock, ...]
    ) -> Commit:
        """Return the commit with the next number, chained to the one before."""
        previous = self.digest
        self.index += 1
        self.digest = commit_digest(
            previous, self.index, leader, clock_ms, [block.ref for block in blocks]
        )
        self.leader_round = leader.round
        self.clock_ms = clock_ms
        return Commit(
            index=self.index,
            previous_digest=previous,
            digest=self.digest,
            leader=leader,
            clock_ms=clock_ms,
            gc_round=gc_round,
            blocks=blocks,
        )

    def _median_time(self, leader: Vertex, gc_round: int) -> int:
        """Return the stake-weighted median of the times of the leader's parents, in ms.

        Parents at or below the gc round are left out: not every site has them. A leader of round
        1 has only genesis blocks for parents, which say no time: 0.
        """
        times = sorted(
            [
                (parent.block.block.timestamp_ms, self._stakes.weights[parent.author])
                for parent in leader.parents
                if parent.round > max(gc_round, GENESIS_ROUND)
            ]
        )
        half = sum([stake for _, stake in times])
        passed = 0
        for time_ms, stake in times:
            passed += stake
            if 2 * passed >= half:
                return time_ms
        return 0
