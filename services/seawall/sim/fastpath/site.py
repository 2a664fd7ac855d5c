"""An honest site: it accepts blocks, votes by what it has locked, commits, and states FINAL."""

from collections.abc import Collection

from seawall.sim.fastpath.dag import Block, Dag, Key, Place, Sight, Update, bits
from seawall.sim.fastpath.finaliser import Finaliser, Verdict
from seawall.sim.fastpath.order import Commit, Order
from seawall.sim.fastpath.rules import Rules


class Site:
    """One honest author with its own part of the DAG."""

    def __init__(self, dag: Dag, rules: Rules, author: int) -> None:
        """Begin an epoch with the genesis blocks."""
        self.dag = dag
        self.rules = rules
        self.author = author
        self.sight = Sight(dag, rules)
        self.order = Order(dag, rules)
        self.finaliser = Finaliser(dag, rules)
        self.last = author
        self.clock = 1
        self.locks: dict[Key, str] = {}
        self.certifiers: dict[Place, set[int]] = {}
        self.final: list[Place] = []
        self.verdicts: list[Verdict] = []
        self.commits: list[Commit] = []
        self.refused: list[int] = []

    def wants(self, number: int) -> list[int]:
        """Return a block and its missing ancestors above the gc round, in order of acceptance."""
        found: set[int] = set()
        stack = [number]
        while stack:
            top = stack.pop()
            known = top in found or self.sight.held >> top & 1
            if not known and self.dag.blocks[top].round > self.order.gc_round:
                found.add(top)
                stack.extend(self.dag.blocks[top].parents)
        return sorted(found, key=self.dag.order)

    def accept(self, number: int) -> None:
        """Take in a block whose parents are held, or at or below the gc round: one event."""
        block = self.dag.blocks[number]
        if block.round <= self.order.gc_round or self.sight.held >> number & 1:
            return
        if self._refuses(block):
            self.refused.append(number)
            return
        self.sight.add(number)
        self.order.add(number)
        at_round = {self.dag.blocks[b].author for b in self.order.rounds[block.round]}
        full = len(at_round) >= self.dag.scope.quorum
        self.clock = max(self.clock, block.round + full)
        for place in self.sight.votes:
            if self.sight.certifies(number, place):
                self.certifiers.setdefault(place, set()).add(block.author)
        for commit in self.order.decide(self.sight.past):
            self._on_commit(commit)
        self._state_final()

    def _refuses(self, block: Block) -> bool:
        """Return whether a wrong rule of validity, or its outcome below, keeps a block out."""
        lost = any(
            self.dag.blocks[parent].round > self.order.gc_round
            and not self.sight.held >> parent & 1
            for parent in block.parents
        )
        odd = any(
            self.sight.held >> target & 1 and index >= len(self.dag.blocks[target].updates)
            for target, index in block.rejects
        )
        return lost or (odd and self.rules.reads_targets)

    def _on_commit(self, commit: Commit) -> None:
        self.commits.append(commit)
        local = self.sight if self.rules.local_votes else None
        for verdict in self.finaliser.on_commit(commit, local):
            self.verdicts.append(verdict)
            key = self.dag.update(verdict.place).key
            if verdict.judgement == "ACCEPT":
                self.locks.pop(key, None)
                if verdict.place not in self.final:
                    self.final.append(verdict.place)
            elif verdict.judgement == "REJECT" and self.rules.unlock_on_reject:
                self.locks.pop(key, None)

    def _state_final(self) -> None:
        """State FINAL where certifying blocks of Q authors are held, above the gc round only."""
        for place, authors in self.certifiers.items():
            if (
                len(authors) >= self.dag.scope.quorum
                and place not in self.final
                and self.dag.blocks[place[0]].round > self.order.gc_round
            ):
                self.final.append(place)

    def restart(self) -> None:
        """Come back with what the journal holds: everything, by the rules."""
        if self.rules.unlock_on_restart:
            self.locks.clear()

    def propose(
        self,
        name: str,
        updates: tuple[Update, ...] = (),
        doubts: Collection[Place] = (),
        abstain_until: int = 0,
    ) -> Block | None:
        """Return the next own block, or None when the clock has not moved since the last one.

        `doubts` are instances that this site rejects for a reason of its own (an expired update,
        say); it casts no vote on blocks of rounds up to `abstain_until`.
        """
        if self.clock <= self.dag.blocks[self.last].round:
            return None
        parents = self._parents()
        before = self.dag.blocks[self.last].vote_cutoff
        cutoff = min(max(self.order.gc_round, before, abstain_until), self.clock - 1)
        past = self.sight.past_of(parents)
        rejects: list[Place] = []
        taken: dict[Key, str] = {}
        for target in sorted(self.sight.fresh(past, self.last), key=self.dag.order):
            carrier = self.dag.blocks[target]
            if carrier.round <= cutoff:
                continue
            for index, update in enumerate(carrier.updates):
                if (target, index) not in doubts and self._admits(update):
                    (taken if self.rules.lock_late else self.locks)[update.key] = update.digest
                else:
                    rejects.append((target, index))
        self.locks.update(taken)
        return Block(
            name=name,
            round=self.clock,
            author=self.author,
            parents=parents,
            updates=updates,
            rejects=tuple(rejects),
            vote_cutoff=cutoff,
        )

    def _admits(self, update: Update) -> bool:
        """Return whether the locks allow to accept an update."""
        return (
            self.locks.get(update.key, update.digest) == update.digest
            and update.key not in self.finaliser.accepted
            and update.key not in self.finaliser.closed
        )

    def _parents(self) -> tuple[int, ...]:
        """Return the parents of the next own block: own first, then the newest of the others."""
        parents = [self.last]
        past = self.sight.past_of((self.last,))
        candidates = [
            number
            for number in bits(self.sight.held)
            if max(self.order.gc_round, -1) < self.dag.blocks[number].round < self.clock
            or (self.dag.blocks[number].round == 0 and self.clock == 1)
        ]
        taken = {self.author}
        for number in sorted(candidates, key=self.dag.order, reverse=True):
            author = self.dag.blocks[number].author
            if author not in taken and not past >> number & 1:
                taken.add(author)
                parents.append(number)
                past |= 1 << number | self.sight.past[number]
        return tuple(parents)
