"""Explicit DAGs, and what somebody who holds a part of one can tell about votes.

Blocks are numbered as they appear; a set of blocks is an int with one bit a block. Numbers 0 to
n - 1 are the genesis blocks. Nothing here knows what is honest.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from seawall.sim.fastpath.rules import Rules, Scope

Key: TypeAlias = str
Place: TypeAlias = tuple[int, int]
"""An instance: number of its block, index of the update in it."""

Kind: TypeAlias = Literal["accept", "reject", "abstain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One update: the key (owner and number) and the digest of its bytes."""

    key: Key
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One vertex; `parents[0]` is the author's own. Parents and reject targets are numbers."""

    name: str
    round: int
    author: int
    parents: tuple[int, ...] = ()
    updates: tuple[Update, ...] = ()
    rejects: tuple[Place, ...] = ()
    vote_cutoff: int = 0


@dataclass(slots=True)
class Dag:
    """All blocks that exist anywhere."""

    scope: Scope
    blocks: list[Block] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    supports: dict[tuple[int, int, int], int | None] = field(default_factory=dict)
    certificates: dict[tuple[int, int], bool] = field(default_factory=dict)
    carriers: int = 0

    def __post_init__(self) -> None:
        """Begin with the genesis blocks."""
        for author in range(self.scope.authors):
            self.add(Block(name=f"g{author}", round=0, author=author))

    def add(self, block: Block) -> int:
        """Add a block and return its number."""
        number = len(self.blocks)
        self.blocks.append(block)
        self.numbers[block.name] = number
        if block.updates:
            self.carriers |= 1 << number
        return number

    def is_valid(self, block: Block) -> bool:
        """Return whether a block keeps the rules that bytes alone decide."""
        parents = [self.blocks[parent] for parent in block.parents]
        authors = [parent.author for parent in parents]
        before = [parent.author for parent in parents if parent.round == block.round - 1]
        return (
            authors[:1] == [block.author]
            and len(set(authors)) == len(authors)
            and all(parent.round < block.round for parent in parents)
            and len(before) >= self.scope.quorum
            and 0 <= block.vote_cutoff < block.round
            and all(
                block.vote_cutoff < self.blocks[target].round < block.round
                for target, _ in block.rejects
            )
        )

    def update(self, place: Place) -> Update:
        """Return the update of an instance."""
        return self.blocks[place[0]].updates[place[1]]

    def order(self, number: int) -> tuple[int, int, str]:
        """Return what blocks are sorted by when they are checked."""
        block = self.blocks[number]
        return block.round, block.author, block.name


def bits(mask: int) -> Iterator[int]:
    """Yield the numbers in a set of blocks, ascending."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


@dataclass(frozen=True, slots=True)
class Vote:
    """A block's vote on one instance."""

    block: int
    author: int
    round: int
    kind: Kind


class Sight:
    """What a holder of some blocks knows: their histories as far as held, and their votes.

    Blocks come in after those of their parents that are held at all. A parent that is missing is
    one that garbage collection made unreachable; whatever lies below it is unknown.
    """

    def __init__(self, dag: Dag, rules: Rules) -> None:
        """Hold the genesis blocks."""
        self.dag = dag
        self.rules = rules
        self.held = (1 << dag.scope.authors) - 1
        self.past: dict[int, int] = dict.fromkeys(range(dag.scope.authors), 0)
        self.votes: dict[Place, list[Vote]] = {}

    def add(self, number: int) -> list[tuple[Place, Vote]]:
        """Take a block in and return the votes that it casts."""
        block = self.dag.blocks[number]
        self.past[number] = self.past_of(block.parents)
        self.held |= 1 << number
        for index in range(len(block.updates)):
            self.votes[number, index] = []
        cast = list(self._cast(number))
        for place, vote in cast:
            self.votes[place].append(vote)
        return cast

    def past_of(self, parents: tuple[int, ...]) -> int:
        """Return the history of a block with these parents, as far as it is known."""
        past = 0
        for parent in parents:
            if self.held >> parent & 1:
                past |= 1 << parent | self.past[parent]
        return past

    def fresh(self, past: int, own: int) -> list[int]:
        """Return blocks with updates in `past` and not in the history of block `own`."""
        before = 0 if self.rules.every_block_votes else self.past.get(own, 0)
        return list(bits(past & ~before & self.dag.carriers))

    def _cast(self, number: int) -> Iterator[tuple[Place, Vote]]:
        block = self.dag.blocks[number]
        for target in self.fresh(self.past[number], block.parents[0]):
            carrier = self.dag.blocks[target]
            for index in range(len(carrier.updates)):
                kind: Kind = "accept"
                if (target, index) in block.rejects:
                    kind = "reject"
                elif carrier.round <= block.vote_cutoff:
                    kind = "abstain"
                yield (target, index), Vote(number, block.author, block.round, kind)

    def certifies(self, number: int, place: Place) -> bool:
        """Return whether a held block shows accepts of Q authors in time, and is in time."""
        scope = self.dag.scope
        placed = self.dag.blocks[place[0]].round
        last = placed + scope.window
        if self.rules.no_window:
            last = self.dag.blocks[number].round
        if not placed < self.dag.blocks[number].round <= last + 1:
            return False
        seen = self.past[number] | 1 << number
        accepting = {
            vote.author
            for vote in self.votes[place]
            if vote.kind == "accept" and vote.round <= last and seen >> vote.block & 1
        }
        return len(accepting) >= scope.quorum
