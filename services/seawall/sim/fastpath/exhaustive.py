"""Enumerates every small DAG of a stated scope, and every committed leader over it.

Rounds are in lockstep: each honest author makes one block a round, over its own last block and
any two or three others of the round before, at most one an author. The Byzantine author makes up
to `twins` blocks a round over any of its own and any two honest ones, with any votes. The two
instances carry two digests of one key. Any block may turn out to be a committed leader, after
any of the two carriers: a superset of what the committer allows, so nothing is assumed of it.

Two DAGs count as one when, after renaming honest authors, the newest blocks have equal histories
as far as these hold updates or votes, and equal authors have certified: nothing else is ever read
again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, product
from typing import Final

from seawall.sim.fastpath.dag import Block, Dag, Place, Sight, Update, bits
from seawall.sim.fastpath.finaliser import Finaliser
from seawall.sim.fastpath.order import Commit
from seawall.sim.fastpath.rules import Rules, Scope
from seawall.sim.fastpath.shape import FAULTY, HONEST, Node, Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What is enumerated: (round, author) of the two carriers, twins a round, honest doubts.

    `doubts` lets honest authors reject what they could accept. `twin_rounds` are the rounds in
    which the Byzantine author may make more than one block.
    """

    scope: Scope
    carriers: tuple[tuple[int, int], tuple[int, int]]
    twin_rounds: tuple[int, ...] = (1, 2)
    doubts: bool = False

    @property
    def rounds(self) -> int:
        """Return the last round: after all certificates, and at the later carrier's deadline."""
        latest = max(round_ for round_, _ in self.carriers)
        return latest + max(self.scope.deadline, self.scope.window + 2)


@dataclass(slots=True)
class Outcome:
    """What an enumeration has seen.

    `states` are distinct DAGs, `blocks` blocks tried, `leaders` leaders told apart, `final` DAGs
    with a FINAL instance at the end of a round.
    """

    states: int = 0
    blocks: int = 0
    leaders: int = 0
    final: int = 0
    complete: bool = True
    violation: str | None = None
    found: Dag | None = None


SHORT: Final = {
    "x by a site, y by the Byzantine author": Bounds(
        scope=Scope(), carriers=((1, 0), (1, FAULTY)), twin_rounds=()
    ),
    "x and y in Byzantine twins": Bounds(
        scope=Scope(), carriers=((1, FAULTY), (1, FAULTY)), twin_rounds=(1,)
    ),
}
"""What continuous integration enumerates; all with (w, W, D) = (3, 1, 3)."""

LONG: Final = {
    **SHORT,
    "x and y by two sites": Bounds(scope=Scope(), carriers=((1, 0), (1, 1)), twin_rounds=()),
    "x and y in Byzantine twins, votes by twins": Bounds(
        scope=Scope(), carriers=((1, FAULTY), (1, FAULTY)), twin_rounds=(1, 2)
    ),
    "x and y in Byzantine twins, sites may doubt": Bounds(
        scope=Scope(), carriers=((1, FAULTY), (1, FAULTY)), twin_rounds=(1,), doubts=True
    ),
    "x by the Byzantine author, y a round later": Bounds(
        scope=Scope(), carriers=((1, FAULTY), (2, 0)), twin_rounds=()
    ),
    "W = 2, D = 4, x and y in Byzantine twins": Bounds(
        scope=Scope(wave=4, window=2, deadline=4),
        carriers=((1, FAULTY), (1, FAULTY)),
        twin_rounds=(1,),
    ),
}
"""What the long search enumerates, as far as its time allows."""


class Enumeration:
    """One exhaustive search, layer by layer of the round."""

    def __init__(
        self, bounds: Bounds, rules: Rules, hurry: Callable[[], bool] = lambda: False
    ) -> None:
        """Begin with the genesis blocks; `hurry` says when to stop before the end."""
        self.hurry = hurry
        self.bounds = bounds
        self.rules = rules
        self.scope = bounds.scope
        self.outcome = Outcome()
        self.known: dict[object, list[tuple[int, str]]] = {}

    def run(self) -> Outcome:
        """Enumerate until all is seen or an invariant is broken."""
        dag = Dag(self.scope)
        layer = [Node(dag, Sight(dag, self.rules), list(range(self.scope.authors)))]
        for round_ in range(1, self.bounds.rounds + 1):
            last = round_ == self.bounds.rounds
            for author in (*HONEST, FAULTY, FAULTY):
                second = bool(author == FAULTY and layer and self._has_faulty(layer[0]))
                layer = self._grow(layer, round_, author, second=second, last=last)
                if self.outcome.violation is not None or not self.outcome.complete:
                    return self.outcome
            layer = [self._turned(node) for node in layer if self._matters(node, round_)]
        return self.outcome

    def _has_faulty(self, node: Node) -> bool:
        return any(node.dag.blocks[number].author == FAULTY for number in node.made)

    def _grow(
        self, layer: list[Node], round_: int, author: int, *, second: bool, last: bool
    ) -> list[Node]:
        """Return the distinct nodes that one more block of an author makes of a layer."""
        if second and round_ not in self.bounds.twin_rounds:
            return layer
        seen: dict[object, Node] = {}
        for node in layer:
            if self.hurry():
                self.outcome.complete = False
                return []
            shape = Shape(node)
            if second:
                seen.setdefault(shape.key(), node)
            for block in self._blocks(node, shape, author, second=second):
                self.outcome.blocks += 1
                grown = self._judged(node, shape, block)
                if self.outcome.violation is not None:
                    return []
                if not last:
                    seen.setdefault(Shape(grown).key(), grown)
        if last:
            return layer
        self.outcome.states += len(seen)
        return list(seen.values())

    def _judged(self, node: Node, shape: Shape, block: Block) -> Node:
        """Return the node with one more block, after every verdict that this can lead to."""
        grown = node.copy()
        number = grown.add(block)
        told = shape.leader(block)
        if told not in self.known:
            self.outcome.leaders += 1
            verdicts = self._verdicts(grown, number)
            self.known[told] = [
                (shape.rank.get(place[0], -1), judgement) for place, judgement in verdicts
            ]
        kept = {rank: known for known, rank in shape.rank.items()}
        for rank, judgement in self.known[told]:
            grown.verdicts.add(((kept.get(rank, number), 0), judgement))
        self._check(grown)
        return grown

    def _turned(self, node: Node) -> Node:
        """Return the node with the round's blocks as tips."""
        self.outcome.final += bool(node.final())
        node.tips, node.made = node.made, []
        return node

    def _matters(self, node: Node, round_: int) -> bool:
        """Return whether an instance can still be, or become, FINAL.

        Where none can, only two ACCEPTs of one key could break an invariant, and these need an
        honest author that accepts both digests; the locks in `_votes` admit none.
        """
        late = [placed for placed, _ in self.bounds.carriers if placed > round_]
        if late:
            return True
        for place, votes in node.sight.votes.items():
            placed = node.dag.blocks[place[0]].round
            accepting = {vote.author for vote in votes if vote.kind == "accept"}
            if place in node.final() or (
                self.rules.no_window and len(accepting) >= self.scope.quorum
            ):
                return True
            if round_ < placed + self.scope.window:
                return True
            timely = round_ < placed + self.scope.window + 1
            if timely and len(accepting) >= self.scope.quorum:
                return True
        return False

    def _blocks(self, node: Node, shape: Shape, author: int, *, second: bool) -> Iterator[Block]:
        """Yield every block that an author can make next, up to what is told apart."""
        blocks = node.dag.blocks
        round_ = blocks[node.tips[0]].round + 1
        own = [number for number in node.tips if blocks[number].author == author]
        others = [
            [number for number in node.tips if blocks[number].author == other]
            for other in range(self.scope.authors)
            if other != author
        ]
        updates = self._updates(round_, author, second=second)
        seen: set[tuple[int, int]] = set()
        for first in own:
            for size in range(self.scope.quorum - 1, self.scope.authors):
                for chosen in combinations(others, size):
                    for parents in product((first,), *chosen):
                        past = node.sight.past_of(parents)
                        if (past & shape.relevant, first) in seen:
                            continue
                        seen.add((past & shape.relevant, first))
                        for rejects in self._votes(node, author, past, first):
                            yield Block(
                                name="",
                                round=round_,
                                author=author,
                                parents=parents,
                                updates=updates,
                                rejects=rejects,
                            )

    def _updates(self, round_: int, author: int, *, second: bool) -> tuple[Update, ...]:
        """Return what a block carries; of twin carriers the second twin has the second digest."""
        (one, two), at = self.bounds.carriers, (round_, author)
        if at == one and not second:
            return (Update(key="k", digest="x"),)
        if at == two and (second or one != two):
            if author == FAULTY and second != (one == two):
                return ()
            return (Update(key="k", digest="y"),)
        return ()

    def _votes(self, node: Node, author: int, past: int, own: int) -> Iterator[tuple[Place, ...]]:
        """Yield every set of rejects that the author may list."""
        fresh = [(number, 0) for number in node.sight.fresh(past, own)]
        if author == FAULTY:
            for count in range(len(fresh) + 1):
                yield from combinations(fresh, count)
            return
        held = {
            node.dag.update(place).digest
            for place, votes in node.sight.votes.items()
            for vote in votes
            if vote.author == author and vote.kind == "accept"
        }
        fresh.sort(key=lambda place: (*node.dag.order(place[0]), place[0]))
        for doubted in product(
            (False, True) if self.bounds.doubts else (False,), repeat=len(fresh)
        ):
            lock = set(held)
            rejects = []
            for place, doubt in zip(fresh, doubted, strict=True):
                digest = node.dag.update(place).digest
                if doubt or (not self.rules.lock_late and lock - {digest}):
                    rejects.append(place)
                else:
                    lock.add(digest)
            yield tuple(rejects)

    def _verdicts(self, node: Node, leader: int) -> set[tuple[Place, str]]:
        """Return what the finaliser can say with this leader, after any of the carriers.

        Within a round, blocks are delivered in an order that nobody chooses: both ways are tried.
        """
        sight, found = node.sight, set()
        carriers = [number for number in bits(node.dag.carriers) if number != leader]
        for count in range(len(carriers) + 1):
            for before, turn in product(combinations(carriers, count), (1, -1)):
                finaliser, settled = Finaliser(node.dag, self.rules), (1 << self.scope.authors) - 1
                for number in (*before, leader):
                    fresh = (sight.past[number] | 1 << number) & ~settled
                    settled |= fresh
                    commit = Commit(number, 0, _ordered(node.dag, fresh, turn))
                    for verdict in finaliser.on_commit(commit):
                        found.add((verdict.place, str(verdict.judgement)))
        return found

    def _check(self, node: Node) -> None:
        """Check I8 and I9 over everything that was said about this DAG so far."""
        final = node.final()
        accepted = [place for place, judgement in node.verdicts if judgement == "ACCEPT"]
        passed = {node.dag.update(place).digest for place in (*final, *accepted)}
        if len(passed) > 1:
            self._found(node, "I8: two digests of one key pass")
        for place in final:
            if (place, "REJECT") in node.verdicts:
                self._found(node, f"I9: FINAL {place} is rejected")

    def _found(self, node: Node, told: str) -> None:
        self.outcome.violation = told
        self.outcome.found = node.dag


def _ordered(dag: Dag, fresh: int, turn: int) -> tuple[int, ...]:
    """Return blocks by round, and within a round as they were made or the other way round."""
    return tuple(sorted(bits(fresh), key=lambda number: (dag.blocks[number].round, turn * number)))
