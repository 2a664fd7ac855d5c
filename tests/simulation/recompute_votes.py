"""The fast path of a trace, recomputed: votes, certificates, FINAL, and the finaliser's verdicts.

Straight from docs/protocol.md, section 6; no rule here is made to be fast.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.recompute import Recomputation, Ref

Key = tuple[str, int]
Place = tuple["Ref", int]


class FastPath:
    """What the blocks of one trace say of updates, and what that makes of them."""

    def __init__(self, parameters: Mapping[str, Any], dag: "Recomputation") -> None:
        """Begin an epoch; histories and stakes are those of the DAG."""
        self.dag = dag
        self.window: int = parameters["W"]
        wave: int = parameters["w"]
        self.deadline: int = parameters.get("D", max(wave, self.window + 2))
        self.blocks: dict[Ref, Mapping[str, Any]] = {}
        self.updates: dict[Ref, list[tuple[Key, str]]] = {}
        self.votes: dict[Ref, list[tuple[Ref, frozenset[int] | None]]] = {}
        self.cast: dict[Ref, list[tuple[Ref, frozenset[int] | None]]] = {}
        self.certifiers: dict[Place, list[int]] = {}
        self.pending: dict[Place, int] = {}
        self.accepts: dict[Place, list[int]] = {}
        self.rejects: dict[Place, list[int]] = {}
        self.digests: dict[Key, set[str]] = {}
        self.accepted: dict[Key, str] = {}
        self.verdicts: list[dict[str, Any]] = []
        self.final: dict[Place, tuple[int, int]] = {}
        self._accepted_now: list[Place] = []

    def add(self, ref: "Ref", block: Mapping[str, Any]) -> None:
        """Count the votes of a block and what it certifies."""
        self.blocks[ref] = block
        self.updates[ref] = [
            ((str(owner), int(seq)), str(digest))
            for batch in block["batches"]
            for owner, seq, digest in batch
        ]
        self.votes[ref] = []
        past = self.dag.history(ref)
        own = block["parents"][0]
        before = self.dag.history((own[0], own[1], own[2])) if own[0] else frozenset()
        self.cast[ref] = [(target, self._vote(block, target)) for target in past - before]
        for target, rejected in self.cast[ref]:
            self.votes[target].append((ref, rejected))
        if not block["closing"]:
            self._certify(ref, past | {ref})

    def _vote(self, block: Mapping[str, Any], target: "Ref") -> frozenset[int] | None:
        """Return what a block rejects of another, None when it abstains."""
        if target[0] <= block["vote_cutoff"]:
            return None
        listed = [indices for ref, indices in block["rejects"] if tuple(ref) == target]
        return frozenset(index for indices in listed for index in indices)

    def _certify(self, ref: "Ref", seen: frozenset["Ref"]) -> None:
        for target in seen:
            if not target[0] < ref[0] <= target[0] + self.window + 1:
                continue
            for index in range(len(self.updates[target])):
                accepting = [
                    voter[1]
                    for voter, rejected in self.votes[target]
                    if voter in seen
                    and voter[0] <= target[0] + self.window
                    and rejected is not None
                    and index not in rejected
                ]
                if self.dag.stake(accepting) >= self.dag.quorum:
                    self.certifiers.setdefault((target, index), []).append(ref[1])

    def state_final(self, event: int, highest: int, gc_round: int) -> None:
        """State what is FINAL after an event: accepted, or certified by blocks of stake Q."""
        certified = [
            place
            for place, authors in self.certifiers.items()
            if place[0][0] > gc_round and self.dag.stake(authors) >= self.dag.quorum
        ]
        for place in (*self._accepted_now, *certified):
            self.final.setdefault(place, (event, highest))
        self._accepted_now.clear()

    def on_commit(
        self, number: int, leader_round: int, gc_round: int, delivered: Sequence["Ref"]
    ) -> None:
        """Count delivered votes, take in delivered instances, then judge all that wait."""
        for ref in delivered:
            for target, rejected in self.cast[ref]:
                if target[0] > gc_round and rejected is not None:
                    self._count(ref, target, rejected)
            for index, (key, digest) in enumerate(self.updates[ref]):
                self.pending[ref, index] = leader_round
                self.digests.setdefault(key, set()).add(digest)
        for place, delivered_at in list(self.pending.items()):
            verdict = self._judge(place, delivered_at, leader_round, gc_round)
            if verdict is not None:
                del self.pending[place]
                ref, index = place
                self.verdicts.append(
                    {"block": list(ref), "index": index, "verdict": verdict, "commit": number}
                )
                if verdict == "ACCEPT":
                    self._accepted_now.append(place)

    def _count(self, voter: "Ref", target: "Ref", rejected: frozenset[int]) -> None:
        for index in range(len(self.updates[target])):
            if (target, index) in self.pending:
                side = self.rejects if index in rejected else self.accepts
                side.setdefault((target, index), []).append(voter[1])

    def _judge(
        self, place: Place, delivered_at: int, leader_round: int, gc_round: int
    ) -> str | None:
        key, digest = self.updates[place[0]][place[1]]
        if self.dag.stake(self.accepts.get(place, [])) >= self.dag.quorum:
            if self.accepted.get(key) == digest:
                return "DUPLICATE"
            self.accepted[key] = digest
            return "ACCEPT"
        if self.dag.stake(self.rejects.get(place, [])) >= self.dag.quorum:
            return "REJECT"
        if len(self.digests[key]) > 1 and leader_round >= delivered_at + self.deadline:
            return "REJECT"
        return "REJECT" if place[0][0] <= gc_round else None
