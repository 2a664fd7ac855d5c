"""The decision rules of docs/protocol.md, written down once more, slowly and without state."""

from collections.abc import Callable, Iterable

from seawall.domain.block import Ref, VerifiedBlock
from seawall.domain.committee import Committee

Slot = tuple[int, int]
SKIP = "skip"
UNDECIDED = "undecided"


class Specification:
    """All verdicts that a set of blocks implies."""

    def __init__(
        self,
        committee: Committee,
        wave: int,
        leaders: Callable[[int], tuple[int, ...]],
        blocks: Iterable[VerifiedBlock],
    ) -> None:
        self.committee = committee
        self.wave = wave
        self.leaders = leaders
        self.blocks = {block.ref: block for block in blocks}
        self.top = max((ref.round for ref in self.blocks), default=0)
        self._supports: dict[tuple[Ref, Slot], Ref | None] = {}
        self._histories: dict[Ref, frozenset[Ref]] = {}
        for ref in sorted(self.blocks):
            self._history(ref)

    def _history(self, ref: Ref) -> None:
        """Compute the ancestors of a block whose parents' are known."""
        found: set[Ref] = set()
        for parent in self.blocks[ref].block.parents:
            if parent in self.blocks:
                found |= {parent, *self._histories[parent]}
        self._histories[ref] = frozenset(found)

    def history(self, ref: Ref) -> frozenset[Ref]:
        """Return the ancestors of a block, without itself."""
        return self._histories[ref]

    def vote_round(self, round_: int) -> int:
        """Return the round whose blocks vote."""
        return max(round_ + 1, round_ + self.wave - 2)

    def decide_round(self, round_: int) -> int:
        """Return the round whose blocks certify."""
        return round_ + self.wave - 1

    def at_slot(self, slot: Slot) -> list[Ref]:
        """Return the blocks of a slot."""
        return sorted(ref for ref in self.blocks if ref.slot == slot)

    def at_round(self, round_: int) -> list[Ref]:
        """Return the blocks of a round."""
        return sorted(ref for ref in self.blocks if ref.round == round_)

    def support(self, ref: Ref, slot: Slot) -> Ref | None:
        """Walk the parents in stored order, depth first, to the first block of the slot."""
        key = (ref, slot)
        if key not in self._supports:
            self._supports[key] = None
            for parent in self.blocks[ref].block.parents:
                found = None
                if parent.slot == slot:
                    found = parent
                elif parent in self.blocks and parent.round > slot[0]:
                    found = self.support(parent, slot)
                if found is not None:
                    self._supports[key] = found
                    break
        return self._supports[key]

    def is_vote(self, ref: Ref, leader: Ref) -> bool:
        """Return whether a block votes for a leader."""
        return ref in self.blocks and self.support(ref, leader.slot) == leader

    def is_certificate(self, ref: Ref, leader: Ref) -> bool:
        """Return whether a block holds votes of stake Q for a leader among its parents."""
        parents = self.blocks[ref].block.parents
        authors = [parent.author for parent in parents if self.is_vote(parent, leader)]
        return self.committee.stake_of(authors) >= self.committee.quorum

    def certificates(self, leader: Ref) -> list[Ref]:
        """Return the blocks of the decide round that certify a leader."""
        candidates = self.at_round(self.decide_round(leader.round))
        return [ref for ref in candidates if self.is_certificate(ref, leader)]

    def direct(self, slot: Slot) -> Ref | str:
        """Return the direct verdict of a slot."""
        votes = self.at_round(self.vote_round(slot[0]))
        blames = [ref.author for ref in votes if self.support(ref, slot) is None]
        if self.committee.stake_of(blames) >= self.committee.quorum:
            return SKIP
        for leader in self.at_slot(slot):
            authors = [ref.author for ref in self.certificates(leader)]
            if self.committee.stake_of(authors) >= self.committee.quorum:
                return leader
        return UNDECIDED

    def indirect(self, slot: Slot, later: list[tuple[Slot, Ref | str]]) -> Ref | str:
        """Return the verdict of a slot by those of higher slots, ascending."""
        for judge, verdict in later:
            if judge[0] < slot[0] + self.wave or verdict == SKIP:
                continue
            if isinstance(verdict, str):
                return UNDECIDED
            found = [
                leader
                for leader in self.at_slot(slot)
                if set(self.certificates(leader)) & self.history(verdict)
            ]
            return found[0] if found else SKIP
        return UNDECIDED

    def verdicts(self) -> list[tuple[Slot, Ref | str]]:
        """Return the decided prefix in slot order."""
        slots = [
            (round_, author) for round_ in range(1, self.top + 1) for author in self.leaders(round_)
        ]
        later: list[tuple[Slot, Ref | str]] = []
        for slot in reversed(slots):
            verdict = self.direct(slot)
            if verdict == UNDECIDED:
                verdict = self.indirect(slot, later)
            later.insert(0, (slot, verdict))
        decided: list[tuple[Slot, Ref | str]] = []
        for slot, verdict in later:
            if verdict == UNDECIDED:
                break
            decided.append((slot, verdict))
        return decided
