"""The DAG without time and network: blocks come in, are accepted, decided, ordered, collected."""

from collections import deque
from collections.abc import Sequence
from typing import Final

from msgspec import structs

from seawall.codec import encode_commit_summary, summarise
from seawall.consensus.dag.coin import CoinBook
from seawall.consensus.dag.committer import Committer
from seawall.consensus.dag.committer import Verdict as SlotVerdict
from seawall.consensus.dag.effects import Effects
from seawall.consensus.dag.equivocators import Equivocators
from seawall.consensus.dag.fast_path import FastPath
from seawall.consensus.dag.instances import work_in
from seawall.consensus.dag.leaders import LeaderSchedule
from seawall.consensus.dag.linearizer import Linearizer
from seawall.consensus.dag.payloads import Payloads
from seawall.consensus.dag.pending import PendingBlocks
from seawall.consensus.dag.recent import RecentCommits
from seawall.consensus.dag.records import COMMIT, block_record
from seawall.consensus.dag.stakes import StakeTable
from seawall.consensus.dag.store import BlockStore, Vertex
from seawall.consensus.dag.threshold_clock import ThresholdClock
from seawall.consensus.dag.twins import twins_in
from seawall.consensus.dag.votes import CommitVotes, certificate_in
from seawall.consensus.engine import Identity, Record
from seawall.consensus.verification import updates_in
from seawall.domain.block import Block, Ref, VerifiedBlock
from seawall.domain.commit import Commit, Verdict
from seawall.domain.committee import Committee
from seawall.domain.parameters import ConsensusParameters

PENDING_MARGIN: Final = 64
"""Suspended blocks per author beyond the gc depth."""


class Core:
    """Everything that a replica knows of the DAG and of the order over it."""

    def __init__(
        self,
        identity: Identity,
        committee: Committee,
        parameters: ConsensusParameters,
        schedule: LeaderSchedule,
        coin: CoinBook | None = None,
    ) -> None:
        self.own = identity.index
        self.stakes = StakeTable(committee)
        self.schedule = schedule
        self.coin = coin
        self.gc_depth = parameters.gc_depth
        self.effects = Effects()
        self.store = BlockStore()
        self.pending = PendingBlocks(committee.size, parameters.gc_depth + PENDING_MARGIN)
        self.clock = ThresholdClock(self.stakes)
        self.committer = Committer(self.store, self.stakes, schedule, parameters.wave_length)
        self.linearizer = Linearizer(self.store, self.stakes, parameters.gc_depth)
        self.votes = CommitVotes(
            identity, committee, self.stakes, parameters.block_commit_votes_max
        )
        self.fast_path = FastPath(self.store, self.stakes, parameters, self.own)
        self.payloads = Payloads(parameters)
        self.unwritten: list[Record] = []
        self.heard_rounds = [0] * committee.size
        self.latest: list[VerifiedBlock | None] = [None] * committee.size
        self.equivocators = Equivocators(self.effects, self.find)
        self.recent = RecentCommits()
        self._open_payload: dict[Ref, Vertex] = {}
        self.last_payload_index = 0
        self.rooted_index = 0
        self.rooted_round = 0
        self._rooted: deque[tuple[Commit, int, bytes]] = deque()
        self.clock_moved = False
        self.pruned_round = 0
        self.work_accepted = 0

    # --- coming in ------------------------------------------------------------------------------

    @property
    def gc_round(self) -> int:
        """Return the round at and below which blocks no longer matter."""
        return self.linearizer.gc_round

    def admit(self, block: VerifiedBlock, *, solicited: bool = False) -> list[Ref]:
        """Take in a verified block: accept it, suspend it, or ignore it.

        Returns the parents that are missing, suspended ones left out. A second block in a slot is
        kept, its author is an equivocator from then on, and of that one only what a suspended
        block waits for, or what was `solicited`, is taken in. Only what a suspended block waits
        for may be suspended without bound.
        """
        ref = block.ref
        if ref.round <= self.gc_round or ref in self.store or ref in self.pending:
            return []
        author = ref.author
        wanted = self.pending.wants(ref)
        if self.equivocators.mask >> author & 1 and not (wanted or solicited):
            return []
        missing = self._missing_parents(block.block)
        if not (wanted or self._is_near(ref)) and (missing or not solicited):
            return []
        self.hear(ref)
        self.equivocators.check(block)
        if missing:
            return self.pending.add(block, missing)
        self._accept_all([block])
        return []

    def hear(self, ref: Ref) -> None:
        """Take note that an author is alive: it has signed a block of about this round."""
        round_ = min(ref.round, self.clock.round)
        self.heard_rounds[ref.author] = max(self.heard_rounds[ref.author], round_)

    def _is_near(self, ref: Ref) -> bool:
        """Return whether an unsolicited block is close enough to be worth suspending."""
        limit = self.store.highest_round + self.gc_depth + PENDING_MARGIN
        return ref.round <= limit and self.pending.has_room(ref.author)

    def _missing_parents(self, block: Block) -> list[Ref]:
        """Return the parents above the gc round that are not accepted."""
        gc_round, store = self.gc_round, self.store
        return [ref for ref in block.parents if ref not in store and ref.round > gc_round]

    def find(self, ref: Ref) -> VerifiedBlock | None:
        """Return an accepted or suspended block."""
        vertex = self.store.get(ref)
        return self.pending.get(ref) if vertex is None else vertex.block

    def _accept_all(self, queue: list[VerifiedBlock]) -> None:
        """Accept blocks whose parents are there, and all that waited for them in turn."""
        for block in queue:
            self.accept(block)
            queue.extend(self.pending.resolve(block.ref))

    def accept(self, block: VerifiedBlock) -> Vertex:
        """Add a block whose parents above the gc round are there."""
        vertex = self.store.add(block)
        self.work_accepted += work_in(block.block.batches)
        if self.clock.on_accept(vertex.round, vertex.author_bit):
            self.clock_moved = True
        self.committer.on_accept(vertex)
        self.fast_path.on_accept(vertex)
        if self.coin is not None:
            self._collect_shares(self.coin, block.block)
        content = block.block
        if content.batches or content.transactions or content.rejects:
            self._open_payload[block.ref] = vertex
        if content.commit_votes:
            self.votes.count(block, self.linearizer.index)
            for vote in block.valid_votes:
                self._certify(vote.index)
        self.keep_latest(block)
        self.unwritten.append(block_record(block))
        return vertex

    def _collect_shares(self, coin: CoinBook, block: Block) -> None:
        """Use a block's coin shares; report those that turn out to be wrong."""
        for round_ in coin.on_accept(block, self.committer.next_slot[0]):
            leaders = self.schedule.leaders(round_) or ()
            self.effects.observe("coin_revealed", round=round_, leaders=" ".join(map(str, leaders)))
            self.committer.reveal(round_)
        for round_, author in coin.bad:
            self.effects.observe("bad_share", round=round_, author=author)
        coin.bad.clear()

    def keep_latest(self, block: VerifiedBlock) -> None:
        """Keep every author's latest block for good: it may be all that is left of it.

        Its author is told of it when it starts again, and so learns that it has lost its disk.
        """
        known = self.latest[block.ref.author]
        if known is None or known.ref.round < block.ref.round:
            self.latest[block.ref.author] = block

    # --- going out ------------------------------------------------------------------------------

    def decide(self) -> None:
        """Commit every leader that has been decided."""
        while verdicts := self.committer.decide():
            for verdict in verdicts:
                self._observe_verdict(verdict)
                if verdict.leader is not None:
                    self._after_commit(self.linearizer.commit(verdict.leader))
            self._vote()

    def _observe_verdict(self, verdict: SlotVerdict) -> None:
        """Report what became of a slot."""
        leader = verdict.leader
        self.effects.observe(
            "slot_decided",
            round=verdict.round,
            author=verdict.author,
            digest="" if leader is None else leader.ref.digest.hex(),
            direct=int(verdict.direct),
        )

    def adopt(self, commits: Sequence[Commit], voters: tuple[VerifiedBlock, ...]) -> str:
        """Take over commits that others made, if votes of stake Q certify the last of them.

        Returns an empty string, or why nothing was taken over.
        """
        new = [commit for commit in commits if commit.index > self.linearizer.index]
        if not new:
            return "nothing_new"
        if not self.linearizer.follows(new):
            return "chain"
        last = new[-1]
        blocks = voters + tuple([block for commit in new for block in commit.blocks])
        if certificate_in(blocks, last.index, last.digest, self.stakes) is None:
            return "certificate"
        for commit in new:
            self._adopt_one(commit)
        for voter in voters:
            self.votes.count(voter, self.linearizer.index)
        self._certify(last.index)
        return ""

    def _adopt_one(self, commit: Commit) -> None:
        """Take over one commit of a certified chain: its blocks count as present.

        What that sets free is accepted at once: a block must be found, suspended or accepted,
        when a twin of it turns up further on.
        """
        for block in commit.blocks:
            if block.ref not in self.store:
                self.pending.drop(block.ref)
                self.equivocators.check(block)
                self.accept(block)
                self._accept_all(self.pending.resolve(block.ref))
        self.committer.jump_behind(commit.leader.round, commit.leader.author)
        delivered = [self.store.get(block.ref) for block in commit.blocks]
        vertices = [vertex for vertex in delivered if vertex is not None]
        assert len(vertices) == len(delivered), "every block of an adopted commit is accepted"
        self._after_commit(self.linearizer.adopt(commit.leader, commit.clock_ms, vertices))

    def _after_commit(self, commit: Commit) -> None:
        """Judge and hand out a commit, and let go of what it makes superfluous."""
        self.unwritten.append(Record(COMMIT, encode_commit_summary(summarise(commit))))
        self.publish(self.judge(commit))
        self._collect()

    def judge(self, commit: Commit) -> Commit:
        """Return the commit, just made, with all that follows from it and those before it."""
        delivered = self._delivered(commit)
        path = self.fast_path
        verdicts = path.on_commit(delivered, commit.leader.round, commit.gc_round)
        return structs.replace(
            commit,
            verdicts=verdicts,
            finality_digest=path.finaliser.digest,
            twins=twins_in(self.store, delivered),
        )

    def take_verdicts(
        self, commit: Commit, verdicts: tuple[Verdict, ...], finality_digest: bytes
    ) -> Commit:
        """Return a commit of a base, just made again, with the verdicts that it had."""
        self.fast_path.take_verdicts(verdicts)
        return structs.replace(
            commit,
            verdicts=verdicts,
            finality_digest=finality_digest,
            twins=twins_in(self.store, self._delivered(commit)),
        )

    def _delivered(self, commit: Commit) -> list[Vertex]:
        """Return the blocks of a commit just made, in their order."""
        found = [self.store.get(block.ref) for block in commit.blocks]
        delivered = [vertex for vertex in found if vertex is not None]
        assert len(delivered) == len(found), "what a commit delivers is held"
        return delivered

    def publish(self, commit: Commit) -> None:
        """Deliver a commit and keep it for a while."""
        self.effects.deliver.append(commit)
        self.recent.keep(commit, self.base_index)
        for block in commit.blocks:
            if self._open_payload.pop(block.ref, None) is not None:
                self.last_payload_index = commit.index
            if block.ref.author == self.own:
                self.payloads.delivered(block.ref)
        if commit.verdicts:
            self.last_payload_index = commit.index
        self._certify(commit.index)

    def _collect(self) -> None:
        """Drop what the new gc round puts out of reach; prune below the certified commit."""
        gc_round = self.gc_round
        self.fast_path.collect(gc_round)
        if self.coin is not None:
            self.coin.forget(self.committer.next_slot[0])
        if len(self.pending):
            self._accept_all(self.pending.collect(gc_round))
        again = self.payloads.dropped(gc_round)
        if again:
            self.effects.observe("payload_requeued", blocks=again)
        dead = 0
        for ref in [ref for ref in self._open_payload if ref.round <= gc_round]:
            dead += updates_in(self._open_payload.pop(ref).block.block)
        if dead:
            self.effects.observe("updates_dead", updates=dead)

    @property
    def base_index(self) -> int:
        """Return the last commit that votes of stake Q certify and that our ledger has."""
        return min(self.votes.certified_index, self.rooted_index)

    def prune(self) -> None:
        """Forget blocks out of reach of a commit that is certified, and in our ledger."""
        base = self.recent.get(self.base_index)
        round_ = 0 if base is None else base.leader.round - self.gc_depth
        if round_ <= self.pruned_round:
            return
        self.pruned_round = round_
        self.store.prune(round_)
        self.equivocators.prune(round_)

    def settle(self, vertex: Vertex) -> None:
        """Take a block as delivered by a commit before the first one known here."""
        self.store.settle(vertex)
        self._open_payload.pop(vertex.ref, None)

    # --- votes ----------------------------------------------------------------------------------

    def rooted(self, index: int, size: int, root: bytes) -> None:
        """Take the ledger's answer to a commit."""
        commit = self.recent.get(index)
        if commit is None or index <= self.rooted_index:
            return
        self.rooted_index = index
        self.rooted_round = commit.leader.round
        self._rooted.append((commit, size, root))
        self._vote()

    def _vote(self) -> None:
        """Vote on commits that our ledger has: on the last one of each leader round.

        One vote certifies all commits before it, so the others would only cost time. Which one is
        the last is known, equally everywhere, when all slots of the round are decided.
        """
        while self._rooted:
            commit, size, root = self._rooted[0]
            if self.committer.next_slot[0] <= commit.leader.round:
                return
            self._rooted.popleft()
            successor = self.recent.get(commit.index + 1)
            if successor is None or successor.leader.round > commit.leader.round:
                self.votes.rooted(commit.index, commit.digest, commit.clock_ms, size, root)

    def _certify(self, index: int) -> None:
        """Report a checkpoint if this own commit has just got enough votes."""
        commit = self.recent.get(index)
        if commit is not None:
            self.votes.certify(index, commit.digest, self.effects)

    def is_busy(self) -> bool:
        """Return whether something is on its way that wants further rounds soon.

        That is payload of this site or in a block that no commit has delivered, an update without
        its verdict, or a commit that delivered payload or brought verdicts and is not certified yet
        although this site's ledger has it. Until the first checkpoint rounds are wanted anyway:
        clients can prove nothing before it.
        """
        if not self.votes.certified_index and self.rooted_index == self.linearizer.index:
            return True
        return self._is_open() or self._is_uncertified()

    def is_waiting_for_rounds(self) -> bool:
        """Return whether the next round takes something further, whatever else happens.

        Payload and updates without a verdict are; a commit waits for ledgers, and for a round only
        once a vote of ours on it is ready.
        """
        return self._is_open() or (self._is_uncertified() and self.votes.has_ready())

    def _is_open(self) -> bool:
        """Return whether payload waits for a commit, or an update for its verdict."""
        waits = bool(self._open_payload) or not self.fast_path.is_idle
        return waits or self.payloads.has_queued()

    def _is_uncertified(self) -> bool:
        """Return whether our ledger has a commit that matters and that is not certified."""
        return self.votes.certified_index < self.last_payload_index <= self.rooted_index
