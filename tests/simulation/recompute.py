"""A second, slow implementation: recomputes from the events of a trace all that must follow.

It shares nothing with the replica: plain dictionaries, plain recursion with a memo, straight from
the published rules (Mysticeti, arXiv 2310.14821, with the `support` walk of Cordial Miners,
arXiv 2205.09174) and from docs/protocol.md, sections 3, 4 and 6. It is made to be read, and to
disagree when the fast one is wrong.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from tests.simulation.recompute_votes import FastPath

Ref = tuple[int, int, str]
Slot = tuple[int, int]
Outcome = tuple[str, Ref | None]


class Recomputation:
    """The DAG of one trace, event by event, and what follows from it."""

    def __init__(self, trace: Mapping[str, Any]) -> None:
        """Read the parameters of a trace, then go through its events."""
        parameters = trace["parameters"]
        self.stakes: list[int] = list(parameters["stakes"])
        self.wave: int = parameters["w"]
        self.gc_depth: int = parameters["gc_depth"]
        self.quorum = 2 * sum(self.stakes) // 3 + 1
        self.leaders = {int(number): list(seats) for number, seats in trace["leaders"].items()}
        self.parents: dict[Ref, list[Ref]] = {}
        self.by_round: dict[int, list[Ref]] = {}
        self.highest = 0
        self.cursor: tuple[int, int] = (1, 0)
        self.leader_round = 0
        self.done: set[Ref] = set()
        self.commits: list[dict[str, Any]] = []
        self.fast_path = FastPath(parameters, self)
        self._support: dict[tuple[Ref, Slot], Ref | None] = {}
        self._certifies: dict[tuple[Ref, Ref], bool] = {}
        self._history: dict[Ref, frozenset[Ref]] = {}
        for number, event in enumerate(trace["events"], 1):
            self._take(number, event)

    @property
    def gc_round(self) -> int:
        """Return the round at and below which nothing more is delivered."""
        return max(0, self.leader_round - self.gc_depth)

    def stake(self, authors: Sequence[int]) -> int:
        """Return the stake of authors, each counted once."""
        return sum(self.stakes[author] for author in set(authors))

    def _take(self, number: int, event: Mapping[str, Any]) -> None:
        """Add a block, or learn what a coin says; commits come first, then FINAL statements."""
        if "leaders" in event:
            named = event["leaders"]
            self.leaders[int(named["round"])] = list(named["authors"])
        else:
            block = event["block"]
            ref = to_ref(block["ref"])
            self.parents[ref] = [to_ref(parent) for parent in block["parents"]]
            self.by_round.setdefault(ref[0], []).append(ref)
            self.highest = max(self.highest, ref[0])
            self.fast_path.add(ref, block)
        while self._commit_next():
            pass
        self.fast_path.state_final(number, self.highest, self.gc_round)

    # --- order ----------------------------------------------------------------------------------

    def _commit_next(self) -> bool:
        """Move past the next slot if it is decided; commit its leader if it has one."""
        round_, position = self.cursor
        verdict, leader = self._verdict()
        if verdict == "undecided":
            return False
        if leader is not None:
            self._commit(leader)
        slots = len(self.leaders.get(round_, []))
        self.cursor = (round_ + 1, 0) if position + 1 >= slots else (round_, position + 1)
        return True

    def _commit(self, leader: Ref) -> None:
        gc_round = self.gc_round
        fresh = self._collect(leader, gc_round)
        self.done |= fresh
        delivered = sorted(fresh, key=lambda ref: (ref[0], _shuffle_key(leader, ref)))
        self.leader_round = leader[0]
        self.commits.append(
            {
                "index": len(self.commits) + 1,
                "leader": list(leader),
                "gc_round": gc_round,
                "delivered": [list(ref) for ref in delivered],
            }
        )
        self.fast_path.on_commit(len(self.commits), leader[0], gc_round, delivered)

    def _verdict(self) -> Outcome:
        """Return what becomes of the slot at the cursor; a round without slots is skipped."""
        first, position = self.cursor
        if self.leaders.get(first) == []:
            return "skip", None
        later: list[tuple[Slot, str, Ref | None]] = []
        verdict: Outcome = ("undecided", None)
        for number in range(self.highest, first - 1, -1):
            if number not in self.leaders:
                later.insert(0, ((number, -1), "undecided", None))
                verdict = ("undecided", None)
                continue
            authors = self.leaders[number][position if number == first else 0 :]
            for author in reversed(authors):
                slot = (number, author)
                verdict = self._direct(slot)
                if verdict[0] == "undecided":
                    verdict = self._indirect(slot, later)
                later.insert(0, (slot, *verdict))
        return verdict

    def _direct(self, slot: Slot) -> Outcome:
        voting = self.by_round.get(max(slot[0] + 1, slot[0] + self.wave - 2), [])
        blames = [block[1] for block in voting if self.support(block, slot) is None]
        if self.stake(blames) >= self.quorum:
            return "skip", None
        deciding = self.by_round.get(slot[0] + self.wave - 1, [])
        for leader in self._at(slot):
            certifiers = [block[1] for block in deciding if self.certifies(block, leader)]
            if self.stake(certifiers) >= self.quorum:
                return "commit", leader
        return "undecided", None

    def _indirect(self, slot: Slot, later: Sequence[tuple[Slot, str, Ref | None]]) -> Outcome:
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

    # --- the DAG --------------------------------------------------------------------------------

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
        key = (block, leader)
        if key not in self._certifies:
            slot = (leader[0], leader[1])
            votes = [p[1] for p in self.parents[block] if self.support(p, slot) == leader]
            self._certifies[key] = self.stake(votes) >= self.quorum
        return self._certifies[key]

    def history(self, block: Ref) -> frozenset[Ref]:
        """Return all ancestors that the trace holds, without the block itself."""
        if block not in self._history:
            past: set[Ref] = set()
            for parent in self.parents.get(block, ()):
                if parent in self.parents:
                    past |= {parent} | self.history(parent)
            self._history[block] = frozenset(past)
        return self._history[block]

    def _at(self, slot: Slot) -> list[Ref]:
        return [block for block in self.by_round.get(slot[0], []) if block[1] == slot[1]]

    def _collect(self, leader: Ref, gc_round: int) -> set[Ref]:
        found: set[Ref] = set()
        stack = [leader]
        while stack:
            ref = stack.pop()
            if ref in found or ref in self.done or ref[0] <= gc_round:
                continue
            found.add(ref)
            stack.extend(self.parents.get(ref, ()))
        return found


def to_ref(value: Sequence[Any]) -> Ref:
    """Return a reference as it stands in a trace; genesis blocks are named by author alone."""
    round_, author, digest = int(value[0]), int(value[1]), str(value[2])
    return (round_, author, digest if round_ else "genesis")


def _shuffle_key(leader: Ref, ref: Ref) -> bytes:
    return sha256(bytes.fromhex(leader[2]) + bytes.fromhex(ref[2])).digest()
