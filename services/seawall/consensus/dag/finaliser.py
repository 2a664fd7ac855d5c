"""Verdicts on updates in delivered blocks, from commits alone.

At each commit the first votes in newly delivered blocks are counted, and then each pending
instance is judged, in the order of delivery:

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
from struct import Struct
from typing import Final

import msgspec

from seawall.consensus.dag.instances import by_batch, denied, granted, places
from seawall.consensus.dag.owners import Owner, OwnerState
from seawall.consensus.dag.stakes import StakeTable
from seawall.consensus.dag.store import BlockStore, Vertex
from seawall.crypto.hashing import tagged
from seawall.domain.block import Ref
from seawall.domain.commit import Judgement, Verdict

_STATE_TAG: Final = b"seawall/finaliser/v1"
_CARRIER_TAG: Final = b"seawall/finaliser-block/v1"
_ROUNDS: Final = Struct(">QQ")
_AUTHOR: Final = Struct(">H")


class CarrierState(msgspec.Struct, frozen=True, array_like=True):
    """A delivered block with pending instances, as a journal's base keeps it.

    Masks are big-endian bytes; `votes` are (author, mask of rejected instances).
    """

    block: Ref
    delivered_at: int
    pending: bytes
    votes: tuple[tuple[int, bytes], ...]


class FinaliserState(msgspec.Struct, frozen=True, array_like=True):
    """Everything that verdicts to come depend on, besides the blocks themselves."""

    carriers: tuple[CarrierState, ...]
    owners: tuple[OwnerState, ...]
    digest: bytes


class _Carrier:
    """A delivered block with pending instances, and the first votes on it.

    `votes` are (author bit, mask of rejected instances), each once: accepts and rejects stand
    apart, an equivocator may be in both. `stirred` says that votes came since it was last judged.
    """

    __slots__ = ("_digest", "delivered_at", "pending", "stirred", "universe", "vertex", "votes")

    def __init__(self, vertex: Vertex, delivered_at: int) -> None:
        self.vertex = vertex
        self.delivered_at = delivered_at
        self.universe = (1 << len(vertex.instances)) - 1
        self.pending = self.universe
        self.votes: dict[tuple[int, int], None] = {}
        self.stirred = True
        self._digest = b""

    @property
    def width(self) -> int:
        """Return how many bytes a mask of instances takes."""
        return (len(self.vertex.instances) + 7) // 8

    def count(self, author_bit: int, rejected: int) -> None:
        """Count a vote that rejects these instances and accepts the others."""
        self.votes[author_bit, rejected] = None
        self.stirred = True
        self._digest = b""

    def settle(self, judged: int) -> None:
        """Take instances as judged."""
        self.pending &= ~judged
        self._digest = b""

    def digest(self) -> bytes:
        """Return the digest of what was counted and what is open."""
        if not self._digest:
            width = self.width
            parts = [
                self.vertex.ref.digest,
                _ROUNDS.pack(self.vertex.round, self.delivered_at),
                self.pending.to_bytes(width, "big"),
            ]
            for author_bit, rejected in sorted(self.votes):
                parts.append(_AUTHOR.pack(author_bit.bit_length() - 1))
                parts.append(rejected.to_bytes(width, "big"))
            self._digest = tagged(_CARRIER_TAG, *parts)
        return self._digest


class Finaliser:
    """Judges instances commit by commit, for one epoch."""

    def __init__(self, stakes: StakeTable, delay: int) -> None:
        """Begin an epoch; `delay` is D, in rounds."""
        self._stakes = stakes
        self._delay = delay
        self._carriers: list[_Carrier] = []
        self._touched: dict[bytes, Owner] = {}
        self._loud: dict[bytes, bytes] = {}
        self.owners: dict[bytes, Owner] = {}
        self.accepted_now: list[tuple[bytes, int]] = []
        """The keys that the last commit accepted."""
        self.digest = b""
        """Digest of the state, 32 bytes; empty before there has been anything to judge."""

    @property
    def pending_count(self) -> int:
        """Return how many delivered instances have no verdict."""
        return sum([carrier.pending.bit_count() for carrier in self._carriers])

    @property
    def is_idle(self) -> bool:
        """Return whether every delivered instance has its verdict."""
        return not self._carriers

    def is_shut(self, contributor: bytes, seq: int) -> bool:
        """Return whether a key is accepted, closed, or too old to be remembered."""
        owner = self.owners.get(contributor)
        return owner is not None and owner.is_shut(seq)

    def on_commit(
        self, delivered: Sequence[Vertex], leader_round: int, gc_round: int
    ) -> tuple[Verdict, ...]:
        """Return the verdicts that a commit brings, in order of delivery of their instances.

        `delivered` are its blocks in their order, all above `gc_round`, the one in force for it.
        """
        self.accepted_now = []
        self._count_all(delivered, leader_round, gc_round)
        has_changed = any(carrier.stirred for carrier in self._carriers)
        verdicts: list[Verdict] = []
        for carrier in self._carriers:
            verdicts.extend(self._judge_all(carrier, leader_round, gc_round))
        if has_changed or verdicts:
            self._carriers = [carrier for carrier in self._carriers if carrier.pending]
            self.digest = self._state_digest()
        return tuple(verdicts)

    # --- counting -------------------------------------------------------------------------------

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
                fresh &= ~history_before(vertex, gc_round)
            while fresh:
                lowest = fresh & -fresh
                fresh ^= lowest
                _vote(vertex, open_[lowest])
            if vertex.instances:
                carrier = _Carrier(vertex, leader_round)
                self._carriers.append(carrier)
                open_[vertex.bit] = carrier
                mask |= vertex.bit
                self._deliver(vertex)

    def _deliver(self, vertex: Vertex) -> None:
        """Note which digests a block brings for which keys."""
        owners = self.owners
        for contributor, digest, seq, _ in vertex.instances:
            owner = owners.get(contributor)
            if owner is None:
                owner = owners[contributor] = Owner()
            if owner.deliver(seq, digest):
                self._touched[contributor] = owner

    # --- judging --------------------------------------------------------------------------------

    def _judge_all(self, carrier: _Carrier, leader_round: int, gc_round: int) -> Iterator[Verdict]:
        """Apply the rules to all pending instances of a block; yield runs of equal verdicts."""
        is_late = leader_round >= carrier.delivered_at + self._delay
        is_old = carrier.vertex.round <= gc_round
        if not (carrier.stirred or is_late or is_old):
            return
        carrier.stirred = False
        pending, votes = carrier.pending, tuple(carrier.votes)
        accepted = granted(self._stakes, votes, carrier.universe) & pending
        rejected = denied(self._stakes, votes) & pending & ~accepted
        rest = pending & ~(accepted | rejected)
        repeated = self._accept(carrier.vertex, accepted)
        late = self._close(carrier.vertex, rest) if is_late and rest else 0
        old = rest & ~late if is_old else 0
        self._settle(carrier.vertex, rejected | late | old)
        by_rule = (
            (accepted & ~repeated, Judgement.ACCEPT, 1),
            (repeated, Judgement.DUPLICATE, 1),
            (rejected, Judgement.REJECT, 2),
            (late, Judgement.REJECT, 3),
            (old, Judgement.REJECT, 4),
        )
        carrier.settle(accepted | rejected | late | old)
        yield from _in_order(carrier.vertex, [one for one in by_rule if one[0]])

    def _accept(self, vertex: Vertex, accepted: int) -> int:
        """Accept these instances, in order; return those whose digest was accepted before."""
        repeated = 0
        instances, owners = vertex.instances, self.owners
        for index in places(accepted):
            contributor, digest, seq, _ = instances[index]
            owner = owners[contributor]
            if owner.accepted.get(seq) == digest:
                repeated |= 1 << index
                continue
            if not owner.is_quiet:
                self._touched[contributor] = owner
            owner.accept(seq, digest)
            self.accepted_now.append((contributor, seq))
        return repeated

    def _close(self, vertex: Vertex, rest: int) -> int:
        """Close the contested keys among these instances; return the contested ones."""
        late = 0
        for index in places(rest):
            contributor, _, seq, _ = vertex.instances[index]
            owner = self.owners[contributor]
            if seq in owner.contested:
                late |= 1 << index
                owner.close(seq)
                self._touched[contributor] = owner
        return late

    def _settle(self, vertex: Vertex, rejected: int) -> None:
        """Note keys that had a REJECT."""
        for index in places(rejected):
            contributor, _, seq, _ = vertex.instances[index]
            owner = self.owners[contributor]
            owner.settle(seq)
            self._touched[contributor] = owner

    # --- state ----------------------------------------------------------------------------------

    def _state_digest(self) -> bytes:
        """Return the digest of pending instances with their tallies, and of unusual keys.

        The digests of accepted updates stand in the ledger, those of pending ones in their blocks.
        """
        for contributor, owner in self._touched.items():
            self._loud.pop(contributor, None)
            if not owner.is_quiet:
                self._loud[contributor] = owner.digest(contributor)
        self._touched.clear()
        parts = [len(self._carriers).to_bytes(4, "big")]
        parts += [carrier.digest() for carrier in self._carriers]
        parts += [self._loud[contributor] for contributor in sorted(self._loud)]
        return tagged(_STATE_TAG, *parts)

    def snapshot(self) -> FinaliserState:
        """Return the state after the last commit."""
        carriers = [
            CarrierState(
                carrier.vertex.ref,
                carrier.delivered_at,
                carrier.pending.to_bytes(carrier.width, "big"),
                tuple(
                    [
                        (author_bit.bit_length() - 1, rejected.to_bytes(carrier.width, "big"))
                        for author_bit, rejected in carrier.votes
                    ]
                ),
            )
            for carrier in self._carriers
        ]
        owners = [owner.snapshot(name) for name, owner in self.owners.items()]
        return FinaliserState(tuple(carriers), tuple(owners), self.digest)

    def restore(self, state: FinaliserState, store: BlockStore) -> bool:
        """Go on from a snapshot; False when a block with pending instances is not held."""
        self._carriers = []
        for one in state.carriers:
            vertex = store.get(one.block)
            if vertex is None:
                return False
            carrier = _Carrier(vertex, one.delivered_at)
            carrier.pending = int.from_bytes(one.pending, "big")
            carrier.votes = {
                (1 << author, int.from_bytes(rejected, "big")): None
                for author, rejected in one.votes
            }
            carrier.stirred = False
            self._carriers.append(carrier)
        self.owners = {one.contributor: Owner.restored(one) for one in state.owners}
        self._touched = {name: one for name, one in self.owners.items() if not one.is_quiet}
        self._loud = {}
        self.digest = state.digest
        return True


def history_before(vertex: Vertex, gc_round: int) -> int:
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
    target = carrier.vertex
    if target.round > vertex.block.block.vote_cutoff:
        carrier.count(vertex.author_bit, vertex.rejected(target))


def _in_order(vertex: Vertex, by_rule: Sequence[tuple[int, Judgement, int]]) -> Iterator[Verdict]:
    """Yield the verdicts on one block's instances: runs of equal ones within a batch as one."""
    batches = vertex.block.block.batches
    if len(by_rule) == 1:
        mask, judgement, rule = by_rule[0]
        for batch, first, positions in by_batch(batches, mask):
            yield Verdict(vertex.ref, batch, first, positions, judgement, rule)
        return
    judged = sum([mask for mask, _, _ in by_rule])
    for batch, first, positions in by_batch(batches, judged):
        run: list[int] = []
        current: tuple[Judgement, int] | None = None
        for position in positions:
            bit = 1 << (first + position)
            found = next((j, r) for mask, j, r in by_rule if mask & bit)
            if run and current is not None and found != current:
                yield Verdict(vertex.ref, batch, first, tuple(run), *current)
                run = []
            current = found
            run.append(position)
        assert current is not None, "a batch in the mask has a judged instance"
        yield Verdict(vertex.ref, batch, first, tuple(run), *current)
