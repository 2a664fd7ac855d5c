"""A second, slow committer: recomputes every commit of a trace from its blocks alone.

It shares nothing with the replica: plain dictionaries, plain recursion with a memo, straight from
the published rules (Mysticeti, arXiv 2310.14821, with the `support` walk of Cordial Miners,
arXiv 2205.09174). It is made to be read, and to disagree when the fast one is wrong.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

Ref = tuple[int, int, str]
Slot = tuple[int, int]


class Recomputation:
    """The DAG of one trace and what follows from it."""

    def __init__(self, trace: Mapping[str, Any]) -> None:
        """Read the blocks of a trace; `leaders` must name every round up to the highest."""
        parameters = trace["parameters"]
        self.stakes: list[int] = list(parameters["stakes"])
        self.wave: int = parameters["w"]
        self.gc_depth: int = parameters["gc_depth"]
        total = sum(self.stakes)
        self.quorum = 2 * total // 3 + 1
        self.leaders = {int(number): list(seats) for number, seats in trace["leaders"].items()}
        self.parents: dict[Ref, list[Ref]] = {}
        self.by_round: dict[int, list[Ref]] = {}
        for event in trace["events"]:
            block = event["block"]
            ref = _ref(block["ref"])
            self.parents[ref] = [_ref(parent) for parent in block["parents"]]
            self.by_round.setdefault(ref[0], []).append(ref)
        self.highest = max(self.by_round, default=0)
        self._support: dict[tuple[Ref, Slot], Ref | None] = {}
        self._history: dict[Ref, frozenset[Ref]] = {}

    def commits(self) -> list[dict[str, Any]]:
        """Return the commits in the form of a trace's `expected.commits`."""
        done: set[Ref] = set()
        commits: list[dict[str, Any]] = []
        gc_round = 0
        for leader in self._decided_prefix():
            if leader is None:
                continue
            fresh = self._collect(leader, done, gc_round)
            done |= fresh
            fresh_sorted = sorted(fresh, key=lambda ref: (ref[0], _shuffle_key(leader, ref)))
            commits.append(
                {
                    "index": len(commits) + 1,
                    "leader": list(leader),
                    "gc_round": gc_round,
                    "delivered": [list(ref) for ref in fresh_sorted],
                }
            )
            gc_round = max(0, leader[0] - self.gc_depth)
        return commits

    def _stake(self, authors: Sequence[int]) -> int:
        return sum(self.stakes[author] for author in set(authors))

    def support(self, block: Ref, slot: Slot) -> Ref | None:
        """Return the first block met at `slot` on a depth-first walk of stored parents."""
        key = (block, slot)
        if key not in self._support:
            self._support[key] = self._walk(block, slot)
        return self._support[key]

    def _walk(self, block: Ref, slot: Slot) -> Ref | None:
        for parent in self.parents.get(block, ()):
            if (parent[0], parent[1]) == slot:
                return parent
            if parent[0] > slot[0]:
                found = self.support(parent, slot)
                if found is not None:
                    return found
        return None

    def certifies(self, block: Ref, leader: Ref) -> bool:
        """Return whether votes of Q stake for `leader` stand among the block's parents."""
        slot = (leader[0], leader[1])
        votes = [p[1] for p in self.parents[block] if self.support(p, slot) == leader]
        return self._stake(votes) >= self.quorum

    def _direct(self, slot: Slot) -> tuple[str, Ref | None]:
        voting = self.by_round.get(max(slot[0] + 1, slot[0] + self.wave - 2), [])
        blames = [block[1] for block in voting if self.support(block, slot) is None]
        if self._stake(blames) >= self.quorum:
            return "skip", None
        deciding = self.by_round.get(slot[0] + self.wave - 1, [])
        for leader in self._at(slot):
            certifiers = [block[1] for block in deciding if self.certifies(block, leader)]
            if self._stake(certifiers) >= self.quorum:
                return "commit", leader
        return "undecided", None

    def _at(self, slot: Slot) -> list[Ref]:
        return [block for block in self.by_round.get(slot[0], []) if block[1] == slot[1]]

    def _indirect(
        self, slot: Slot, later: Sequence[tuple[Slot, str, Ref | None]]
    ) -> tuple[str, Ref | None]:
        for anchor_slot, verdict, anchor in later:
            if anchor_slot[0] < slot[0] + self.wave or verdict == "skip":
                continue
            if verdict == "undecided" or anchor is None:
                return "undecided", None
            past = self.history(anchor)
            deciding = [b for b in self.by_round.get(slot[0] + self.wave - 1, []) if b in past]
            for leader in self._at(slot):
                if any(self.certifies(block, leader) for block in deciding):
                    return "commit", leader
            return "skip", None
        return "undecided", None

    def _decided_prefix(self) -> list[Ref | None]:
        """Return the leader, or None for a skip, of every slot before the first undecided one."""
        verdicts: list[tuple[Slot, str, Ref | None]] = []
        for number in range(self.highest, 0, -1):
            for author in reversed(self.leaders[number]):
                slot = (number, author)
                verdict, leader = self._direct(slot)
                if verdict == "undecided":
                    verdict, leader = self._indirect(slot, verdicts)
                verdicts.insert(0, (slot, verdict, leader))
        prefix: list[Ref | None] = []
        for _, verdict, leader in verdicts:
            if verdict == "undecided":
                break
            prefix.append(leader)
        return prefix

    def history(self, block: Ref) -> frozenset[Ref]:
        """Return all ancestors that the trace holds, without the block itself."""
        if block not in self._history:
            past: set[Ref] = set()
            for parent in self.parents.get(block, ()):
                if parent in self.parents:
                    past |= {parent} | self.history(parent)
            self._history[block] = frozenset(past)
        return self._history[block]

    def _collect(self, leader: Ref, done: set[Ref], gc_round: int) -> set[Ref]:
        found: set[Ref] = set()
        stack = [leader]
        while stack:
            ref = stack.pop()
            if ref in found or ref in done or ref[0] <= max(gc_round, 0):
                continue
            found.add(ref)
            stack.extend(self.parents.get(ref, ()))
        return found


def _ref(value: Sequence[Any]) -> Ref:
    return (int(value[0]), int(value[1]), str(value[2]))


def _shuffle_key(leader: Ref, ref: Ref) -> bytes:
    return sha256(bytes.fromhex(leader[2]) + bytes.fromhex(ref[2])).digest()
