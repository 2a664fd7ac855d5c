"""Decides leader slots from the DAG alone, by one rule with the wave length w as parameter.

A block supports the first block of a slot that a depth-first walk of its parents, in their stored
order, meets. A block is a certificate for leader L when parents of stake Q support L. A slot is

- skipped directly, when blocks of the vote round of stake Q support nothing in it;
- committed directly, when blocks of the decide round of stake Q are certificates for one L;
- else judged by the first later slot, at least w rounds on, that is not skipped: committed if
  that leader's history holds a certificate, skipped if not; undecided while that one is.

Verdicts leave here in slot order and never change. Authors count once per tally, and blocks of
an equivocator count each for what it supports.

Source: Babel et al., "Mysticeti", arXiv 2310.14821; Jovanovic et al., "Mahi-Mahi",
arXiv 2410.08670; Keidar et al., "Cordial Miners", arXiv 2205.09174; docs/protocol.md, section 3.
"""

from typing import Final

import msgspec

from seawall.consensus.dag.leaders import LeaderSchedule
from seawall.consensus.dag.stakes import StakeTable
from seawall.consensus.dag.store import BlockStore, Vertex

_REMEMBERED_ROUNDS: Final = 32
"""How long it is remembered that a round had a direct decision."""

_UNKNOWN: Final = -1
"""Stands for the leaders of a round whose coin is not revealed: undecided as a whole."""


class Verdict(msgspec.Struct, frozen=True):
    """What became of a leader slot: committed with `leader`, or skipped when that is None."""

    round: int
    author: int
    leader: Vertex | None
    direct: bool


class _Slot:
    """Tallies of one undecided leader slot."""

    __slots__ = ("author", "blames", "certificates", "certifiers", "round", "verdict", "votes")

    def __init__(self, round_: int, author: int) -> None:
        self.round = round_
        self.author = author
        self.blames = 0
        self.votes: dict[Vertex, int] = {}
        self.certifiers: dict[Vertex, int] = {}
        self.certificates: dict[Vertex, list[Vertex]] = {}
        self.verdict: Verdict | None = None


def support(vertex: Vertex, round_: int, author: int) -> Vertex | None:
    """Return the block of slot (round, author) that a block supports, if any.

    The walk never goes below the slot's round. Callers ask for blocks at most w rounds above it.
    """
    key = (round_, author)
    supports = vertex.supports
    if key in supports:
        return supports[key]
    found: Vertex | None = None
    for parent in vertex.parents:
        if parent.round > round_:
            found = support(parent, round_, author)
        elif parent.round == round_ and parent.author == author:
            found = parent
        if found is not None:
            break
    supports[key] = found
    return found


class Committer:
    """Keeps the tallies of undecided slots and yields verdicts in slot order."""

    def __init__(
        self, store: BlockStore, stakes: StakeTable, schedule: LeaderSchedule, wave_length: int
    ) -> None:
        self._store = store
        self._stakes = stakes
        self._schedule = schedule
        self._wave = wave_length
        self._vote_offset = max(1, wave_length - 2)
        self._decide_offset = wave_length - 1
        self._next_round = 1
        self._next_position = 0
        self._slots: dict[int, list[_Slot]] = {}
        self._directly_decided: dict[int, bool] = {}
        self._dirty = False
        self._jumped_author: int | None = None
        self.jumped_round = 0
        """Up to this round verdicts came from elsewhere: how they arose is not known."""

    @property
    def next_slot(self) -> tuple[int, int]:
        """Return (round, position) of the first slot without a verdict."""
        return self._next_round, self._next_position

    def on_accept(self, vertex: Vertex) -> None:
        """Count what a newly accepted block votes for, blames and certifies."""
        for slot in self._tracked(vertex.round - self._vote_offset):
            self._count_vote(slot, vertex)
        for slot in self._tracked(vertex.round - self._decide_offset):
            self._count_certificate(slot, vertex)

    def decide(self) -> list[Verdict]:
        """Return the verdicts that have become known, in slot order without gaps, each once."""
        decided: list[Verdict] = []
        if not self._dirty or not self._resume():
            return decided
        self._decide_indirectly()
        self._dirty = False
        while (slots := self._slots.get(self._next_round)) is not None:
            verdict = slots[self._next_position].verdict
            if verdict is None:
                break
            decided.append(verdict)
            self._advance(len(slots))
        return decided

    def jump_behind(self, round_: int, author: int) -> None:
        """Go on with the slot after that of a leader whose commit is known from elsewhere.

        Where the leader stands in its round may not be known yet. Then nothing is decided until
        it is: shares of that round's coin stand in blocks above the round, which nobody has
        collected yet, so it will be.
        """
        assert round_ >= self._next_round, "a slot that has a verdict keeps it"
        if round_ > self._next_round:
            self._next_round, self._next_position = round_, 0
        self._jumped_author = author
        self.jumped_round = round_
        self._resume()
        for known in [known for known in self._slots if known < self._next_round]:
            del self._slots[known]
        for known in [known for known in self._directly_decided if known < self._next_round]:
            del self._directly_decided[known]
        self._dirty = True

    def reveal(self, round_: int) -> None:
        """Count the blocks held for a round whose leaders have just become known."""
        for slot in self._tracked(round_):
            for vertex in self._store.at_round(round_ + self._vote_offset):
                self._count_vote(slot, vertex)
            for vertex in self._store.at_round(round_ + self._decide_offset):
                self._count_certificate(slot, vertex)
        # What was blocked by not knowing the leaders may be decided by later rounds already.
        self._dirty = True

    def _resume(self) -> bool:
        """Find the slot after an adopted leader; return False while its place is unknown."""
        author = self._jumped_author
        if author is None:
            return True
        leaders = self._schedule.leaders(self._next_round)
        if leaders is None:
            return False
        assert author in leaders, "a commit's leader has a slot"
        position = leaders.index(author)
        assert position >= self._next_position, "a slot that has a verdict keeps it"
        self._jumped_author = None
        self._next_position = position
        self._advance(len(leaders))
        return True

    def has_clear_votes(self, round_: int) -> bool:
        """Return whether every leader of the round has votes, or blames, of stake Q."""
        quorum = self._stakes.is_quorum
        return all(
            slot.verdict is not None
            or quorum(slot.blames)
            or any(quorum(authors) for authors in slot.votes.values())
            for slot in self._tracked(round_)
        )

    def decided_directly(self, round_: int) -> bool:
        """Return whether any slot of this recent round was decided directly."""
        return self._directly_decided.get(round_, False)

    def _tracked(self, round_: int) -> list[_Slot]:
        """Return the slots of a round that is not wholly decided, in slot order."""
        slots = self._slots.get(round_)
        if slots is None:
            if round_ < self._next_round:
                return []
            leaders = self._schedule.leaders(round_)
            if leaders is None:
                return []
            slots = [_Slot(round_, author) for author in leaders]
            self._slots[round_] = slots
        return slots

    def _advance(self, slots_in_round: int) -> None:
        """Move to the next slot; tallies of a finished round are dropped."""
        self._next_position += 1
        if self._next_position == slots_in_round:
            self._slots.pop(self._next_round, None)
            self._directly_decided.pop(self._next_round - _REMEMBERED_ROUNDS, None)
            self._next_round += 1
            self._next_position = 0

    def _count_vote(self, slot: _Slot, vertex: Vertex) -> None:
        """Count a block of the slot's vote round."""
        supported = support(vertex, slot.round, slot.author)
        if supported is not None:
            slot.votes[supported] = slot.votes.get(supported, 0) | vertex.author_bit
            return
        slot.blames |= vertex.author_bit
        if slot.verdict is None and self._stakes.is_quorum(slot.blames):
            self._set(slot, None, direct=True)

    def _count_certificate(self, slot: _Slot, vertex: Vertex) -> None:
        """Count a block of the slot's decide round, if it is a certificate."""
        votes: dict[Vertex, int] = {}
        for parent in vertex.parents:
            if parent.round > slot.round:
                supported = support(parent, slot.round, slot.author)
                if supported is not None:
                    votes[supported] = votes.get(supported, 0) | parent.author_bit
        for leader, authors in votes.items():
            if self._stakes.is_quorum(authors):
                slot.certificates.setdefault(leader, []).append(vertex)
                certifiers = slot.certifiers.get(leader, 0) | vertex.author_bit
                slot.certifiers[leader] = certifiers
                if slot.verdict is None and self._stakes.is_quorum(certifiers):
                    self._set(slot, leader, direct=True)

    def _set(self, slot: _Slot, leader: Vertex | None, *, direct: bool) -> None:
        """Fix the verdict of a slot."""
        slot.verdict = Verdict(slot.round, slot.author, leader, direct)
        self._dirty = True
        if direct:
            self._directly_decided[slot.round] = True

    def _decide_indirectly(self) -> None:
        """Judge undecided slots by later ones, from the highest round down.

        `anchors[r]` is the first slot at round r or above that is not skipped, undecided ones
        included: the one that judges slots of round r - w.
        """
        anchors: dict[int, _Slot] = {}
        for round_ in range(max(self._slots, default=0), self._next_round - 1, -1):
            anchor = anchors.get(round_ + self._wave)
            slots = self._tracked(round_)
            judge = None if anchor is None or anchor.verdict is None else anchor.verdict.leader
            if judge is not None:
                for slot in slots:
                    if slot.verdict is None:
                        self._set(slot, _certified_in(slot, judge), direct=False)
            first = next((slot for slot in slots if not _is_skipped(slot)), None)
            if not slots:
                first = _Slot(round_, _UNKNOWN)
            if first is None:
                first = anchors.get(round_ + 1)
            if first is not None:
                anchors[round_] = first


def _is_skipped(slot: _Slot) -> bool:
    """Return whether the slot's verdict is to skip it."""
    return slot.verdict is not None and slot.verdict.leader is None


def _certified_in(slot: _Slot, judge: Vertex) -> Vertex | None:
    """Return the leader block with a certificate in the history of `judge`.

    With less than a third of the stake faulty there is at most one; the order among several
    only makes the outcome equal everywhere.
    """
    found = [
        leader
        for leader, certificates in slot.certificates.items()
        if any(judge.history & certificate.bit for certificate in certificates)
    ]
    return min(found, key=lambda leader: leader.ref.digest, default=None)
