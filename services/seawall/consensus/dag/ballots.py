"""First votes and certificates on blocks with updates, as this site sees them: what is FINAL.

Block v of author a votes on block B when B is in v's history and not in that of a's block before:
what v lists it rejects, B at or below its cutoff it abstains from, the rest it accepts. Block C
certifies an instance of B, t = B.round, when t < C.round <= t + W + 1 and C with its history
holds accepts of stake Q cast at rounds <= t + W. Certificates by authors of stake Q: FINAL.

Source: docs/protocol.md, section 6; Baudet et al., "FastPay", arXiv 2003.11506; Babel et al.,
"Mysticeti", arXiv 2310.14821.
"""

from collections.abc import Iterable

from seawall.consensus.dag.finaliser import history_before
from seawall.consensus.dag.instances import by_batch, granted
from seawall.consensus.dag.stakes import StakeTable
from seawall.consensus.dag.store import BlockStore, Vertex
from seawall.consensus.engine import Finality
from seawall.domain.block import BlockFlags, Ref
from seawall.domain.commit import Judgement, Verdict


class Ballot:
    """What is known of one block with updates.

    `clean` are the bits of blocks that accept all of it, counted from block number `base` of the
    store, `clean_authors` their authors; `mixed` are other votes, as (block, mask of rejects).
    `certificates` are (author bit, mask of instances left out), `stated` what is FINAL here.
    """

    __slots__ = (
        "base",
        "certificates",
        "clean",
        "clean_authors",
        "clean_voters",
        "mixed",
        "stated",
        "universe",
        "vertex",
    )

    def __init__(self, vertex: Vertex, base: int) -> None:
        self.vertex = vertex
        self.universe = (1 << len(vertex.instances)) - 1
        self.base = base
        self.clean = 0
        self.clean_authors = 0
        self.clean_voters: list[Vertex] = []
        self.mixed: list[tuple[Vertex, int]] = []
        self.certificates: list[tuple[int, int]] = []
        self.stated = 0

    def vote(self, voter: Vertex, base: int) -> None:
        """Count a block's first vote, unless it abstains."""
        if self.vertex.round <= voter.block.block.vote_cutoff:
            return
        rejected = voter.rejected(self.vertex)
        if rejected:
            self.mixed.append((voter, rejected))
            return
        self._move(base)
        self.clean |= voter.bit
        self.clean_authors |= voter.author_bit
        self.clean_voters.append(voter)

    def accepted_in(self, block: Vertex, base: int, stakes: StakeTable) -> int:
        """Return the instances with accepts of stake Q in a block and its history."""
        if not (self.mixed or stakes.is_quorum(self.clean_authors)):
            return 0
        reached = block.history | block.bit
        self._move(base)
        if stakes.unit and len(self.clean_voters) == self.clean_authors.bit_count():
            stake = stakes.unit * (self.clean & reached).bit_count()
            if stake >= stakes.quorum:
                return self.universe
            if not self.mixed:
                return 0
        votes = [(voter.author_bit, 0) for voter in self.clean_voters if reached & voter.bit]
        votes += [(voter.author_bit, mask) for voter, mask in self.mixed if reached & voter.bit]
        return granted(stakes, votes, self.universe)

    def _move(self, base: int) -> None:
        """Follow the store when bits have moved."""
        if base != self.base:
            self.clean >>= base - self.base
            self.base = base


class Ballots:
    """The ballots on all blocks with updates above the gc round, by round."""

    def __init__(self, store: BlockStore, stakes: StakeTable, window: int, own: int) -> None:
        """Begin an epoch; `window` is W, in rounds, `own` this site's index."""
        self._store = store
        self._own_bit = 1 << own
        self._stakes = stakes
        self._window = window
        self._rounds: dict[int, dict[Ref, Ballot]] = {}
        self._changed: dict[Ref, Ballot] = {}
        self._unvoted: dict[Ref, Vertex] = {}

    def on_accept(self, vertex: Vertex) -> None:
        """Count what a newly accepted block votes for and certifies, and open its own ballot."""
        round_, history, base = vertex.round, vertex.history, self._store.base
        before = history_before(vertex, 0)
        fresh = history & ~before
        for below in range(max(1, round_ - self._window), round_):
            for ballot in self._rounds.get(below, {}).values():
                if fresh & ballot.vertex.bit:
                    ballot.vote(vertex, base)
        if not vertex.block.block.flags & BlockFlags.CLOSING:
            self._certify(vertex, base)
        if vertex.instances:
            self._rounds.setdefault(round_, {})[vertex.ref] = Ballot(vertex, base)
            self._unvoted[vertex.ref] = vertex
        if vertex.author_bit == self._own_bit:
            voted = [ref for ref, one in self._unvoted.items() if history & one.bit]
            for ref in voted:
                del self._unvoted[ref]

    def _certify(self, vertex: Vertex, base: int) -> None:
        """Count a block as certificate of what it certifies."""
        for below in range(max(1, vertex.round - self._window - 1), vertex.round):
            for ref, ballot in self._rounds.get(below, {}).items():
                if ballot.stated != ballot.universe:
                    accepted = ballot.accepted_in(vertex, base, self._stakes)
                    if accepted:
                        left_out = ballot.universe & ~accepted
                        ballot.certificates.append((vertex.author_bit, left_out))
                        self._changed[ref] = ballot

    def state_final(self, gc_round: int, highest_round: int) -> list[Finality]:
        """Return FINAL statements that are new, about blocks above the gc round."""
        statements: list[Finality] = []
        for ballot in self._changed.values():
            if ballot.vertex.round > gc_round:
                final = granted(self._stakes, ballot.certificates, ballot.universe)
                statements += _state(ballot, final, highest_round)
        self._changed.clear()
        return statements

    def on_verdicts(self, verdicts: Iterable[Verdict], highest_round: int) -> list[Finality]:
        """Return FINAL statements for what is accepted and was not FINAL here before."""
        statements: list[Finality] = []
        for verdict in verdicts:
            ballot = self._rounds.get(verdict.block.round, {}).get(verdict.block)
            if verdict.judgement is Judgement.ACCEPT and ballot is not None:
                accepted = sum([1 << position for position in verdict.positions])
                statements += _state(ballot, accepted << verdict.first_index, highest_round)
        return statements

    def fresh(self, history: int, cutoff: int) -> list[Vertex]:
        """Return the blocks with updates above the cutoff that enter this site's history with it.

        They come in the order of reference.
        """
        found = [one for one in self._unvoted.values() if one.round > cutoff and history & one.bit]
        return sorted(found, key=lambda vertex: vertex.ref)

    def voted_by(self, vertex: Vertex) -> list[Vertex]:
        """Return the blocks with updates that an own block of the journal did not abstain from."""
        new = vertex.history & ~history_before(vertex, 0)
        cutoff = vertex.block.block.vote_cutoff
        return [
            ballot.vertex
            for round_, ballots in self._rounds.items()
            if round_ > cutoff
            for ballot in ballots.values()
            if new & ballot.vertex.bit
        ]

    def collect(self, gc_round: int) -> None:
        """Forget ballots on blocks at or below the gc round."""
        for old in [known for known in self._rounds if known <= gc_round]:
            for ref in self._rounds.pop(old):
                self._unvoted.pop(ref, None)


def _state(ballot: Ballot, final: int, highest_round: int) -> list[Finality]:
    """Return FINAL statements for those instances that have none yet."""
    new = final & ~ballot.stated
    ballot.stated |= new
    vertex = ballot.vertex
    return [
        Finality(vertex.ref, batch, first, positions, highest_round)
        for batch, first, positions in by_batch(vertex.block.block.batches, new)
    ]
