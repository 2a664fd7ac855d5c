"""The union of all DAGs of a world's honest replicas, judged by rules written a second time.

What replicas keep as bit sets is kept here as plain references; nothing is shared with the
committer, so an error there does not hide itself here.
"""

from seawall.domain.block import GENESIS_ROUND, Ref, VerifiedBlock
from seawall.domain.committee import Committee

Slot = tuple[int, int]


class UnionDag:
    """Every block that some honest replica accepted, and which leaders are certified by it."""

    def __init__(self, committee: Committee, wave_length: int) -> None:
        """Judge with the true committee."""
        self._committee = committee
        self._decide_offset = wave_length - 1
        self._parents: dict[Ref, tuple[Ref, ...]] = {}
        self._slots: dict[Slot, list[Ref]] = {}
        self._rounds: dict[int, list[Ref]] = {}
        self._supports: dict[tuple[Ref, Slot], Ref | None] = {}

    def __contains__(self, ref: Ref) -> bool:
        return ref in self._parents

    def add(self, block: VerifiedBlock) -> None:
        """Add a block; its ancestors, as far as anybody needs them, are here already."""
        ref = block.ref
        self._parents[ref] = block.block.parents
        self._slots.setdefault(ref.slot, []).append(ref)
        self._rounds.setdefault(ref.round, []).append(ref)

    def at_slot(self, slot: Slot) -> list[Ref]:
        """Return the blocks of a slot."""
        return self._slots.get(slot, [])

    def at_round(self, number: int) -> list[Ref]:
        """Return the blocks of a round."""
        return self._rounds.get(number, [])

    def support(self, block: Ref, slot: Slot) -> Ref | None:
        """Return the first block of `slot` on a depth-first walk of stored parents."""
        key = (block, slot)
        if key in self._supports:
            return self._supports[key]
        found: Ref | None = None
        for parent in self._parents.get(block, ()):
            if parent.slot == slot:
                found = parent
            elif parent.round > slot[0] and parent.round > GENESIS_ROUND:
                found = self.support(parent, slot)
            if found is not None:
                break
        self._supports[key] = found
        return found

    def certifies(self, block: Ref, leader: Ref) -> bool:
        """Return whether votes of stake Q for `leader` stand among the block's parents."""
        voters = [
            parent.author
            for parent in self._parents[block]
            if parent.round > leader.round and self.support(parent, leader.slot) == leader
        ]
        return self._committee.stake_of(voters) >= self._committee.quorum

    def certified(self, slot: Slot) -> list[Ref]:
        """Return the blocks of a slot that some block of its decide round certifies."""
        deciding = self.at_round(slot[0] + self._decide_offset)
        return [
            leader
            for leader in self.at_slot(slot)
            if any(self.certifies(block, leader) for block in deciding)
        ]
