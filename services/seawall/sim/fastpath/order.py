"""The total order of a modelled site: slots decided by the written rules, then commits.

Source: docs/protocol.md, sections 3 and 4.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

from seawall.sim.fastpath.dag import Dag, bits
from seawall.sim.fastpath.rules import Rules

Outcome: TypeAlias = int | str | None
"""A slot's verdict: the committed leader, None for a skip, or "undecided"."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit: its leader, the gc round in force, and the blocks in their order."""

    leader: int
    gc_round: int
    delivered: tuple[int, ...]


def support(dag: Dag, number: int, round_: int, author: int) -> int | None:
    """Return the first block of a slot on a depth-first walk of stored parents."""
    key = (number, round_, author)
    if key in dag.supports:
        return dag.supports[key]
    found: int | None = None
    for parent in dag.blocks[number].parents:
        block = dag.blocks[parent]
        if block.round > round_:
            found = support(dag, parent, round_, author)
        elif (block.round, block.author) == (round_, author):
            found = parent
        if found is not None:
            break
    dag.supports[key] = found
    return found


def is_certificate(dag: Dag, number: int, leader: int) -> bool:
    """Return whether a block's parents of stake Q support a leader."""
    key = (number, leader)
    if key not in dag.certificates:
        top = dag.blocks[leader]
        votes = {
            dag.blocks[parent].author
            for parent in dag.blocks[number].parents
            if dag.blocks[parent].round > top.round
            and support(dag, parent, top.round, top.author) == leader
        }
        dag.certificates[key] = len(votes) >= dag.scope.quorum
    return dag.certificates[key]


class Order:
    """The commits that follow from a growing set of blocks, with garbage collection."""

    def __init__(self, dag: Dag, rules: Rules) -> None:
        """Begin before the first slot."""
        self.dag = dag
        self.rules = rules
        self.rounds: dict[int, list[int]] = {}
        self.next_round = 1
        self.next_position = 0
        self.leader_round = 0
        self.settled = 0
        self.highest: dict[int, int] = {}

    @property
    def gc_round(self) -> int:
        """Return the round at and below which no further commit delivers anything."""
        return max(0, self.leader_round - self.dag.scope.gc_depth)

    def add(self, number: int) -> None:
        """Take a block in."""
        self.rounds.setdefault(self.dag.blocks[number].round, []).append(number)

    def decide(self, past: dict[int, int]) -> list[Commit]:
        """Return the commits that have become certain; `past` holds the known histories."""
        commits = []
        for leader in self._prefix(past):
            if leader is not None:
                commits.append(self._commit(leader, past))
            self.next_position += 1
            if self.next_position == self.dag.scope.slots:
                self.next_round, self.next_position = self.next_round + 1, 0
        return commits

    def _prefix(self, past: dict[int, int]) -> list[int | None]:
        """Return the verdicts from the next slot on: a leader, or None for a skip."""
        verdicts: list[tuple[int, Outcome]] = []
        for round_ in range(max(self.rounds, default=0), self.next_round - 1, -1):
            for author in reversed(self.dag.scope.leaders(round_)):
                verdict = self._direct(round_, author)
                if verdict == "undecided":
                    verdict = self._indirect(round_, author, verdicts, past)
                verdicts.insert(0, (round_, verdict))
        prefix: list[int | None] = []
        for _, verdict in verdicts[self.next_position :]:
            if isinstance(verdict, str):
                break
            prefix.append(verdict)
        return prefix

    def _direct(self, round_: int, author: int) -> Outcome:
        dag, wave = self.dag, self.dag.scope.wave
        voting = self.rounds.get(max(round_ + 1, round_ + wave - 2), ())
        blames = {dag.blocks[b].author for b in voting if support(dag, b, round_, author) is None}
        if len(blames) >= dag.scope.quorum:
            return None
        deciding = self.rounds.get(round_ + wave - 1, ())
        for leader in self._at(round_, author):
            certifying = {dag.blocks[b].author for b in deciding if is_certificate(dag, b, leader)}
            if len(certifying) >= dag.scope.quorum:
                return leader
        return "undecided"

    def _indirect(
        self,
        round_: int,
        author: int,
        later: list[tuple[int, Outcome]],
        past: dict[int, int],
    ) -> Outcome:
        for judge_round, judge in later:
            if judge_round < round_ + self.dag.scope.wave or judge is None:
                continue
            if isinstance(judge, str):
                return "undecided"
            deciding = self.rounds.get(round_ + self.dag.scope.wave - 1, ())
            seen = [number for number in deciding if past[judge] >> number & 1]
            for leader in self._at(round_, author):
                if any(is_certificate(self.dag, number, leader) for number in seen):
                    return leader
            return None
        return "undecided"

    def _at(self, round_: int, author: int) -> list[int]:
        return [b for b in self.rounds.get(round_, ()) if self.dag.blocks[b].author == author]

    def _commit(self, leader: int, past: dict[int, int]) -> Commit:
        gc_round, blocks = self.gc_round, self.dag.blocks
        found = [
            number
            for number in bits((past[leader] | 1 << leader) & ~self.settled)
            if blocks[number].round > gc_round and not self._stopped(number)
        ]
        for number in found:
            author = blocks[number].author
            self.settled |= 1 << number
            self.highest[author] = max(self.highest.get(author, 0), blocks[number].round)
        self.leader_round = blocks[leader].round

        def place(number: int) -> tuple[int, bytes]:
            name = f"{blocks[leader].name}/{blocks[number].name}"
            return blocks[number].round, sha256(name.encode()).digest()

        return Commit(leader, gc_round, tuple(sorted(found, key=place)))

    def _stopped(self, number: int) -> bool:
        """Return whether the wrong walk would miss this block."""
        block = self.dag.blocks[number]
        return self.rules.walk_stops and block.round <= self.highest.get(block.author, 0)
