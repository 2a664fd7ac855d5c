"""When two small DAGs count as one: the part of a DAG that can still matter, without names."""

from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from seawall.sim.fastpath.dag import Block, Dag, Place, Sight, bits

FAULTY: Final = 3
HONEST: Final = (0, 1, 2)

Structure: TypeAlias = tuple[tuple[object, ...], ...]


@dataclass(slots=True)
class Node:
    """One DAG: its newest complete round, the blocks made since, and what was said about it."""

    dag: Dag
    sight: Sight
    tips: list[int]
    made: list[int] = field(default_factory=list)
    certifiers: dict[Place, set[int]] = field(default_factory=dict)
    verdicts: set[tuple[Place, str]] = field(default_factory=set)

    def copy(self) -> "Node":
        """Return a node that can grow by itself."""
        dag = replace(self.dag, blocks=list(self.dag.blocks), numbers={})
        sight = Sight(dag, self.sight.rules)
        sight.held = self.sight.held
        sight.past = dict(self.sight.past)
        sight.votes = {place: list(votes) for place, votes in self.sight.votes.items()}
        certifiers = {place: set(authors) for place, authors in self.certifiers.items()}
        return Node(dag, sight, self.tips, list(self.made), certifiers, set(self.verdicts))

    def add(self, block: Block) -> int:
        """Add a block, note what it certifies, and return its number."""
        number = len(self.dag.blocks)
        self.dag.blocks.append(block)
        if block.updates:
            self.dag.carriers |= 1 << number
        self.sight.add(number)
        self.made.append(number)
        for place in self.sight.votes:
            if self.sight.certifies(number, place):
                self.certifiers.setdefault(place, set()).add(block.author)
        return number

    def final(self) -> list[Place]:
        """Return the instances with certifying blocks of Q authors."""
        quorum = self.dag.scope.quorum
        return [place for place, authors in self.certifiers.items() if len(authors) >= quorum]


class Shape:
    """A node with honest authors renamed, reduced to blocks with updates or votes.

    Authors are renamed in the order of what can be told of them without names; a tie keeps their
    order, which costs some duplicates and never merges DAGs that differ.
    """

    def __init__(self, node: Node) -> None:
        """Find the relevant blocks and their new names."""
        self.node = node
        dag, votes = node.dag, node.sight.votes
        self.cast: dict[int, list[tuple[int, str]]] = {}
        for place, known in votes.items():
            for vote in known:
                self.cast.setdefault(vote.block, []).append((place[0], vote.kind))
        self.relevant = dag.carriers
        for number in self.cast:
            self.relevant |= 1 << number
        self.ends = (*node.tips, *node.made)
        self.renamed = {a: rank for rank, a in enumerate(sorted(HONEST, key=self._told))}
        self.renamed[FAULTY] = FAULTY
        kept = sorted(bits(self.relevant), key=self._place)
        self.rank = {number: position for position, number in enumerate(kept)}
        self.structure: Structure = tuple(
            (
                dag.blocks[number].round,
                self.renamed[dag.blocks[number].author],
                tuple(update.digest for update in dag.blocks[number].updates),
                tuple((self.rank[target], kind) for target, kind in self.cast.get(number, ())),
                self.shown(node.sight.past[number]),
            )
            for number in kept
        )

    def _told(self, author: int) -> tuple[object, ...]:
        """Return what tells an author from others without its name."""
        dag, past = self.node.dag, self.node.sight.past
        return (
            [dag.blocks[number].author == author for number in bits(dag.carriers)],
            [author in authors for authors in self.node.certifiers.values()],
            sorted(
                (dag.blocks[number].round, cast)
                for number, cast in self.cast.items()
                if dag.blocks[number].author == author
            ),
            [
                (past[number] & self.relevant).bit_count()
                for number in self.ends
                if dag.blocks[number].author == author
            ],
        )

    def _place(self, number: int) -> tuple[object, ...]:
        block = self.node.dag.blocks[number]
        return block.round, self.renamed[block.author], self.cast.get(number, []), number

    def shown(self, past: int) -> int:
        """Return a history, reduced to relevant blocks under their new names."""
        mask = 0
        for number in bits(past & self.relevant):
            mask |= 1 << self.rank[number]
        return mask

    def key(self) -> tuple[object, ...]:
        """Return a value that nodes share only when their futures are the same."""
        dag, past, rank = self.node.dag, self.node.sight.past, self.rank
        ends = [
            (
                dag.blocks[number].round,
                self.renamed[dag.blocks[number].author],
                self.shown(past[number] | 1 << number),
            )
            for number in self.ends
        ]
        certified = [
            (rank[place[0]], sorted(self.renamed[author] for author in authors))
            for place, authors in self.node.certifiers.items()
        ]
        verdicts = sorted((rank[place[0]], judgement) for place, judgement in self.node.verdicts)
        return self.structure, str((sorted(ends), sorted(certified), verdicts))

    def leader(self, block: Block) -> tuple[object, ...]:
        """Return all that the finaliser can tell of a block over this DAG, as a leader of it."""
        past = self.node.sight.past
        return (
            self.structure,
            block.round,
            self.renamed[block.author],
            tuple(update.digest for update in block.updates),
            tuple(self.rank[number] for number, _ in block.rejects),
            self.shown(self.node.sight.past_of(block.parents)),
            self.shown(past[block.parents[0]] | 1 << block.parents[0]),
        )
