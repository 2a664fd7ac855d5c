"""The invariants of the fast path, checked over all honest sites after every action."""

from dataclasses import dataclass, field
from typing import Final

from seawall.sim.fastpath.dag import Block, Dag, Key, Place
from seawall.sim.fastpath.finaliser import Verdict
from seawall.sim.fastpath.order import Commit
from seawall.sim.fastpath.site import Site

INVARIANTS: Final = {
    "LOCK": "an honest author accepts at most one digest of a key, restarts included",
    "VALID": "a block that one honest site accepts is refused by none",
    "I7": "commits are equal at every site, and in order",
    "I8": "at most one digest of a key is FINAL or ACCEPTED, over all instances and sites",
    "I9": "what is FINAL anywhere is accepted by every finaliser, and never lost",
    "I10": "verdicts are equal at every site, and in order",
}


class ViolationError(Exception):
    """An invariant does not hold."""

    def __init__(self, invariant: str, told: str) -> None:
        """Name the invariant and what was seen."""
        super().__init__(f"{invariant}: {told}")
        self.invariant = invariant


@dataclass(slots=True)
class Checks:
    """What all honest sites have said so far; `active` names the invariants that count."""

    dag: Dag
    active: tuple[str, ...] = tuple(INVARIANTS)
    commits: list[Commit] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    judged: dict[Place, Verdict] = field(default_factory=dict)
    final: dict[Place, int] = field(default_factory=dict)
    bound: dict[Key, str] = field(default_factory=dict)
    accepts: dict[tuple[int, Key], str] = field(default_factory=dict)
    read: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    held: int = 0
    refused: dict[int, int] = field(default_factory=dict)

    def on_own_block(self, site: Site, block: Block) -> None:
        """Check what an honest block accepts."""
        past = site.sight.past_of(block.parents)
        for target in site.sight.fresh(past, block.parents[0]):
            carrier = self.dag.blocks[target]
            for index, update in enumerate(carrier.updates):
                if (target, index) in block.rejects or carrier.round <= block.vote_cutoff:
                    continue
                digest = self.accepts.setdefault((site.author, update.key), update.digest)
                if digest != update.digest:
                    told = f"site {site.author} accepts {digest} and {update.digest}"
                    self._violation("LOCK", f"{told} of {update.key}")

    def on_step(self, site: Site) -> None:
        """Check what a site has said since it was last looked at."""
        self.held |= site.sight.held
        self.refused |= dict.fromkeys(site.refused, site.author)
        for number, refusing in self.refused.items():
            if self.held >> number & 1:
                name = self.dag.blocks[number].name
                self._violation("VALID", f"site {refusing} refuses {name}, others have it")
        commits, verdicts, final = self.read.get(site.author, (0, 0, 0))
        for place in range(commits, len(site.commits)):
            self._on_commit(site, place)
        for place in range(verdicts, len(site.verdicts)):
            self._on_verdict(site, place)
        for instance in site.final[final:]:
            self._on_final(site, instance)
        self.read[site.author] = len(site.commits), len(site.verdicts), len(site.final)
        if len(site.commits) > commits:
            self._nothing_lost(site)

    def _on_commit(self, site: Site, place: int) -> None:
        commit = site.commits[place]
        if place == len(self.commits):
            self.commits.append(commit)
        elif self.commits[place] != commit:
            self._violation("I7", f"site {site.author} disagrees on commit {place}")

    def _on_verdict(self, site: Site, place: int) -> None:
        verdict = site.verdicts[place]
        if place == len(self.verdicts):
            self.verdicts.append(verdict)
        elif self.verdicts[place] != verdict:
            self._violation("I10", f"site {site.author} disagrees on verdict {place}")
        self.judged.setdefault(verdict.place, verdict)
        if verdict.judgement == "ACCEPT":
            self._bind(verdict.place)
        if verdict.judgement == "REJECT" and verdict.place in self.final:
            self._rejected(verdict)

    def _on_final(self, site: Site, instance: Place) -> None:
        self.final.setdefault(instance, site.author)
        self._bind(instance)
        verdict = self.judged.get(instance)
        if verdict is not None and verdict.judgement == "REJECT":
            self._rejected(verdict)

    def _bind(self, instance: Place) -> None:
        update = self.dag.update(instance)
        digest = self.bound.setdefault(update.key, update.digest)
        if digest != update.digest:
            self._violation("I8", f"{digest} and {update.digest} of {update.key} both pass")

    def _rejected(self, verdict: Verdict) -> None:
        name = self.dag.blocks[verdict.place[0]].name
        self._violation("I9", f"FINAL {name}.{verdict.place[1]} is rejected by {verdict.rule}")

    def _nothing_lost(self, site: Site) -> None:
        """Check that no FINAL block has fallen to the gc round without being delivered."""
        for number, index in self.final:
            block = self.dag.blocks[number]
            if block.round <= site.order.gc_round and not site.order.settled >> number & 1:
                self._violation("I9", f"FINAL {block.name}.{index} is never delivered")

    def _violation(self, invariant: str, told: str) -> None:
        if invariant in self.active:
            raise ViolationError(invariant, told)
