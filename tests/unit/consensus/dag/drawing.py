"""DAGs drawn by hand or at random: blocks with references, without signatures."""

from collections.abc import Iterable, Sequence
from random import Random

from seawall.codec import block_digest, encode_block, genesis_ref
from seawall.domain.block import (
    Batch,
    Block,
    BlockFlags,
    CoinShares,
    CommitVote,
    Ref,
    RejectSet,
    VerifiedBlock,
)
from seawall.domain.committee import Committee


def draw_block(
    round_: int,
    author: int,
    parents: Iterable[Ref],
    *,
    time_ms: int = 0,
    batches: tuple[Batch, ...] = (),
    transactions: tuple[bytes, ...] = (),
    rejects: tuple[RejectSet, ...] = (),
    votes: tuple[CommitVote, ...] = (),
) -> VerifiedBlock:
    """Return a block; another `time_ms` makes it a twin."""
    block = Block(
        epoch=0,
        round=round_,
        author=author,
        timestamp_ms=time_ms,
        flags=BlockFlags.NONE,
        parents=tuple(parents),
        batches=batches,
        transactions=transactions,
        rejects=rejects,
        vote_cutoff=0,
        coin_shares=CoinShares(),
        commit_votes=votes,
    )
    unsigned = encode_block(block)
    ref = Ref(round_, author, block_digest(unsigned))
    return VerifiedBlock(block=block, ref=ref, raw=unsigned + bytes(64), valid_votes=votes)


def genesis(committee: Committee) -> list[Ref]:
    """Return the genesis references of all members."""
    return [genesis_ref(committee.origin, 0, author) for author in range(committee.size)]


def own_first(refs: Iterable[Ref], author: int) -> list[Ref]:
    """Return the references with the author's own in front."""
    return sorted(refs, key=lambda ref: (ref.author != author, -ref.round, ref.author))


def full_rounds(
    committee: Committee,
    last_round: int,
    *,
    absent: Sequence[tuple[int, int]] = (),
    time_ms: int = 1000,
) -> list[VerifiedBlock]:
    """Return rounds in which every author references everything of the round before.

    `absent` lists (round, author) slots without a block.
    """
    blocks: list[VerifiedBlock] = []
    newest = dict(enumerate(genesis(committee)))
    before = list(newest.values())
    for round_ in range(1, last_round + 1):
        made = [
            draw_block(
                round_,
                author,
                own_first({newest[author], *before}, author),
                time_ms=time_ms * round_ + author,
            )
            for author in range(committee.size)
            if (round_, author) not in absent
        ]
        blocks.extend(made)
        before = [block.ref for block in made]
        newest |= {block.ref.author: block.ref for block in made}
    return blocks


class RandomDag:
    """A random DAG: honest authors sign once a round, faulty ones as often as they like.

    Some honest authors skip rounds; parents of stake Q of the round before are chosen at random,
    older blocks join now and then. Every block sees a random part of the twins.
    """

    def __init__(
        self, committee: Committee, faulty: frozenset[int], rounds: int, seed: int
    ) -> None:
        self._random = Random(seed)
        self._committee = committee
        self._faulty = faulty
        self.blocks: list[VerifiedBlock] = []
        self._last: dict[int, list[Ref]] = {ref.author: [ref] for ref in genesis(committee)}
        self._rounds: dict[int, list[Ref]] = {0: genesis(committee)}
        self._skip = self._random.choice([0.0, 0.1, 0.25])
        self._twins = self._random.choice([1, 2, 3])
        for round_ in range(1, rounds + 1):
            self._rounds[round_] = []
            for author in self._authors(round_):
                self._sign(round_, author)

    def _authors(self, round_: int) -> list[int]:
        """Return who signs in this round, in random order; honest authors suffice for Q."""
        random, committee = self._random, self._committee
        authors = [author for author in range(committee.size) if random.random() >= self._skip]
        present = {ref.author for ref in self._rounds[round_ - 1]}
        for author in sorted(set(range(committee.size)) - self._faulty):
            # Enough must go on for the next round to exist at all.
            signing = set(authors) - self._faulty
            if author not in authors and committee.stake_of(signing) < committee.quorum:
                authors.append(author)
        assert present
        random.shuffle(authors)
        return authors

    def _sign(self, round_: int, author: int) -> None:
        """Add the author's blocks of this round."""
        count = self._random.randint(1, self._twins) if author in self._faulty else 1
        made: list[Ref] = []
        for twin in range(count):
            own = self._random.choice(self._last[author])
            parents = [own, *self._choose(round_, author)]
            block = draw_block(round_, author, parents, time_ms=twin)
            self.blocks.append(block)
            self._rounds[round_].append(block.ref)
            made.append(block.ref)
        self._last[author] = [*self._last[author][-2:], *made] if author in self._faulty else made

    def _choose(self, round_: int, author: int) -> list[Ref]:
        """Return parents by others: stake Q of the round before, now and then older ones."""
        random, committee = self._random, self._committee
        own = {ref.round for ref in self._last[author]}
        stake = committee.members[author].stake if own == {round_ - 1} else 0
        chosen: dict[int, Ref] = {}
        before = [ref for ref in self._rounds[round_ - 1] if ref.author != author]
        random.shuffle(before)
        generous = random.random()
        for ref in before:
            if ref.author in chosen or (stake >= committee.quorum and random.random() > generous):
                continue
            chosen[ref.author] = ref
            stake += committee.members[ref.author].stake
        for other in range(committee.size):
            if other != author and other not in chosen and random.random() < 0.3:
                older = [ref for ref in self._last[other] if 0 < ref.round < round_]
                if older:
                    chosen[other] = random.choice(older)
        parents = list(chosen.values())
        random.shuffle(parents)
        return parents

    def order(self, seed: int) -> list[VerifiedBlock]:
        """Return the blocks in a random order in which parents stand before children."""
        random = Random(seed)
        waiting = {block.ref: block for block in self.blocks}
        children: dict[Ref, list[Ref]] = {}
        missing: dict[Ref, int] = {}
        for block in self.blocks:
            inside = [ref for ref in block.block.parents if ref in waiting]
            missing[block.ref] = len(inside)
            for ref in inside:
                children.setdefault(ref, []).append(block.ref)
        free = [ref for ref, count in missing.items() if count == 0]
        ordered: list[VerifiedBlock] = []
        while free:
            # Mostly old blocks first, sometimes a run ahead.
            free.sort()
            place = 0 if random.random() < 0.3 else random.randrange(len(free))
            ref = free.pop(place)
            ordered.append(waiting[ref])
            for child in children.get(ref, ()):
                missing[child] -= 1
                if missing[child] == 0:
                    free.append(child)
        assert len(ordered) == len(self.blocks)
        return ordered
