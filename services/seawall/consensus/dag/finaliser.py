"""Verdicts on updates in delivered blocks, from commits alone.

An *instance* is one place (B, i) of an update in a block; its key is (contributor, seq), its
digest the update id. At each commit the first votes in newly delivered blocks are counted, and
then each pending instance is judged, in the order of delivery:

1. accepts of stake Q: ACCEPT, or DUPLICATE when its key has this digest accepted already;
2. rejects of stake Q: REJECT;
3. two digests of its key delivered, and the leader at least D rounds above the one that delivered
   B: REJECT, and a key without an ACCEPT is closed;
4. B at or below the gc round of the commit: REJECT.

Two finalisers fed equal commits say the same, whatever else their sites hold. The rules exist a
second time, slow and plain, in `seawall.sim.fastpath.finaliser`.

Source: docs/protocol.md, section 6; docs/fast-path-model.md.
"""

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from seawall.codec import RECORD_BYTES
from seawall.consensus.dag.stakes import StakeTable
from seawall.consensus.dag.store import Vertex
from seawall.crypto.hashing import tagged
from seawall.domain.block import Batch
from seawall.domain.commit import Judgement, Verdict

Key: TypeAlias = tuple[bytes, bytes]
"""Contributor, and the eight bytes of the sequence number."""

_CONTRIBUTOR_END: Final = 32
_DIGEST_END: Final = 64
_SEQ_START: Final = 99
_SEQ_END: Final = 107

_STATE_TAG: Final = b"seawall/finaliser"


def updates_in(batches: Sequence[Batch]) -> list[tuple[Key, bytes]]:
    """Return key and digest of every update, counted through all batches in stored order."""
    found: list[tuple[Key, bytes]] = []
    for batch in batches:
        data = batch.records_bytes
        for start in range(0, len(data), RECORD_BYTES):
            contributor = data[start : start + _CONTRIBUTOR_END]
            seq = data[start + _SEQ_START : start + _SEQ_END]
            digest = data[start + _CONTRIBUTOR_END : start + _DIGEST_END]
            found.append(((contributor, seq), digest))
    return found


class _Carrier:
    """A delivered block with pending instances, and the first votes on it.

    `accepts` is the mask of authors with a block that accepts all of it; `mixed` are the votes
    that reject some of it. Accepts and rejects stand apart: an equivocator may be in both.
    `stirred` says that something changed since the block was last judged.
    """

    __slots__ = ("accepts", "delivered_at", "mixed", "pending", "stirred", "updates", "vertex")

    def __init__(self, vertex: Vertex, delivered_at: int) -> None:
        self.vertex = vertex
        self.delivered_at = delivered_at
        self.updates = updates_in(vertex.block.block.batches)
        self.pending = list(range(len(self.updates)))
        self.accepts = 0
        self.mixed: dict[tuple[int, tuple[int, ...]], None] = {}
        self.stirred = True

    def count(self, author_bit: int, rejects: tuple[int, ...]) -> None:
        """Count a vote that rejects these indices and accepts the others."""
        if rejects:
            self.mixed[author_bit, rejects] = None
        else:
            self.accepts |= author_bit
        self.stirred = True

    def tally(self, index: int) -> tuple[int, int]:
        """Return the masks of authors that accept and that reject an instance."""
        accepts, rejects = self.accepts, 0
        for author_bit, rejected in self.mixed:
            if index in rejected:
                rejects |= author_bit
            else:
                accepts |= author_bit
        return accepts, rejects

    def state(self) -> bytes:
        """Return canonical bytes of what was counted and what is open."""
        mixed = sorted(self.mixed)
        return repr((self.delivered_at, self.pending, self.accepts, mixed)).encode()


class Finaliser:
    """Judges instances commit by commit, for one epoch."""

    def __init__(self, stakes: StakeTable, delay: int) -> None:
        """Begin an epoch; `delay` is D, in rounds."""
        self._stakes = stakes
        self._delay = delay
        self._carriers: list[_Carrier] = []
        self._digests: dict[Key, bytes] = {}
        self._contested: dict[Key, None] = {}
        self.accepted: dict[Key, bytes] = {}
        self.closed: dict[Key, None] = {}
        self.digest = b""
        """Digest of the state, 32 bytes; empty before there has been anything to judge."""

    def on_commit(
        self, delivered: Sequence[Vertex], leader_round: int, gc_round: int
    ) -> tuple[Verdict, ...]:
        """Return the verdicts that a commit brings, in order of delivery of their instances.

        `delivered` are its blocks in their order, all above `gc_round`, the one in force for it.
        """
        self._count_all(delivered, leader_round, gc_round)
        has_changed = any(carrier.stirred for carrier in self._carriers)
        verdicts: list[Verdict] = []
        for carrier in self._carriers:
            verdicts.extend(self._judge_all(carrier, leader_round, gc_round))
        if has_changed or verdicts:
            self._carriers = [carrier for carrier in self._carriers if carrier.pending]
            self.digest = self._state_digest()
        return tuple(verdicts)

    def _count_all(self, delivered: Sequence[Vertex], leader_round: int, gc_round: int) -> None:
        """Count the votes in delivered blocks, and take in the instances that they carry.

        Only a vote on a block above the gc round counts: with an older one it may be unknown
        whether the author has voted before. Bits may move between commits, never within one.
        """
        open_ = {c.vertex.bit: c for c in self._carriers if c.vertex.round > gc_round}
        mask = sum(open_)
        for vertex in delivered:
            fresh = vertex.history & mask
            if fresh:
                fresh &= ~_before(vertex, gc_round)
            while fresh:
                lowest = fresh & -fresh
                fresh ^= lowest
                _vote(vertex, open_[lowest])
            if vertex.block.block.batches:
                carrier = _Carrier(vertex, leader_round)
                self._carriers.append(carrier)
                open_[vertex.bit] = carrier
                mask |= vertex.bit
                for key, digest in carrier.updates:
                    if self._digests.setdefault(key, digest) != digest:
                        self._contested[key] = None

    def _judge_all(self, carrier: _Carrier, leader_round: int, gc_round: int) -> Iterator[Verdict]:
        """Apply the rules to all pending instances of a block; yield runs of equal verdicts."""
        is_late = leader_round >= carrier.delivered_at + self._delay
        is_old = carrier.vertex.round <= gc_round
        if not (carrier.stirred or is_late or is_old):
            return
        carrier.stirred = False
        judged: list[tuple[int, Judgement, int]] = []
        still: list[int] = []
        for index in carrier.pending:
            verdict = self._judge(carrier, index, is_late=is_late, is_old=is_old)
            if verdict is None:
                still.append(index)
            else:
                judged.append((index, *verdict))
        carrier.pending = still
        yield from _grouped(carrier.vertex, judged)

    def _judge(
        self, carrier: _Carrier, index: int, *, is_late: bool, is_old: bool
    ) -> tuple[Judgement, int] | None:
        """Return judgement and rule for one instance, or None while it stays pending."""
        key, digest = carrier.updates[index]
        accepts, rejects = carrier.tally(index)
        if self._stakes.is_quorum(accepts):
            if self.accepted.get(key) == digest:
                return Judgement.DUPLICATE, 1
            self.accepted[key] = digest
            return Judgement.ACCEPT, 1
        if self._stakes.is_quorum(rejects):
            return Judgement.REJECT, 2
        if is_late and key in self._contested:
            if key not in self.accepted:
                self.closed[key] = None
            return Judgement.REJECT, 3
        return (Judgement.REJECT, 4) if is_old else None

    def _state_digest(self) -> bytes:
        """Return the digest of the tallies of pending instances and of the closed keys."""
        parts = [len(self._carriers).to_bytes(4)]
        for carrier in self._carriers:
            parts += [carrier.vertex.ref.digest, carrier.state()]
        parts += [owner + seq for owner, seq in self.closed]
        return tagged(_STATE_TAG, *parts)


def _before(vertex: Vertex, gc_round: int) -> int:
    """Return the history of the author's block before; nothing when that does not matter.

    A block at or below the gc round has no ancestor that still counts, and may be forgotten.
    """
    own = vertex.block.block.parents[0]
    for parent in vertex.parents:
        if parent.author == own.author and parent.round > gc_round:
            return parent.history
    return 0


def _vote(vertex: Vertex, carrier: _Carrier) -> None:
    """Count a block's vote on a carrier: what it lists it rejects, unless it abstains."""
    content, target = vertex.block.block, carrier.vertex
    listed: tuple[int, ...] = ()
    for reject in content.rejects:
        if reject.target == target.ref:
            count = len(carrier.updates)
            listed = tuple([index for index in reject.indices if index < count])
    if target.round > content.vote_cutoff:
        carrier.count(vertex.author_bit, listed)


def _grouped(vertex: Vertex, judged: Sequence[tuple[int, Judgement, int]]) -> Iterator[Verdict]:
    """Yield the verdicts on one block's instances, runs of equal ones in a batch as one."""
    place, first = 0, 0
    for batch in vertex.block.block.batches:
        end = first + len(batch.records_bytes) // RECORD_BYTES
        while place < len(judged) and judged[place][0] < end:
            _, judgement, rule = judged[place]
            positions: list[int] = []
            while (
                place < len(judged)
                and judged[place][0] < end
                and judged[place][1:] == (judgement, rule)
            ):
                positions.append(judged[place][0] - first)
                place += 1
            yield Verdict(vertex.ref, batch, first, tuple(positions), judgement, rule)
        first = end
