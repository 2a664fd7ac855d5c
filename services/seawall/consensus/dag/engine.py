"""The DAG engine: one uncertified DAG, one committer, as a deterministic state machine.

Reading order: `core` (what is known), `committer` and `linearizer` (what it means), `proposer`
(what this site says), `synchroniser` and `catch_up` (how it gets what it lacks), `start_check`
and `recovery` (how it starts). This module only passes events to them.

Source: docs/protocol.md.
"""

from collections.abc import Sequence
from typing import Final

from seawall.consensus.dag.catch_up import CatchUp
from seawall.consensus.dag.coin import Coin, CoinBook, ThresholdCoin
from seawall.consensus.dag.core import Core
from seawall.consensus.dag.leaders import CoinLeaders, PermutationLeaders
from seawall.consensus.dag.proposer import UNHEARD, Proposer
from seawall.consensus.dag.records import floor_record
from seawall.consensus.dag.recovery import BASE_EVERY_GC_DEPTHS, make_base, restore
from seawall.consensus.dag.start_check import StartCheck
from seawall.consensus.dag.synchroniser import Synchroniser
from seawall.consensus.engine import (
    ALL_PEERS,
    BelowGc,
    Blocks,
    CommitHistory,
    Commits,
    Event,
    FetchBlocks,
    FetchCommits,
    Identity,
    Instant,
    LatestQuery,
    LatestReply,
    Message,
    Output,
    PeerDown,
    PeerUp,
    Received,
    Record,
    Rooted,
    Status,
    Submitted,
    Subscribe,
    Woken,
)
from seawall.domain.block import Ref, VerifiedBlock
from seawall.domain.committee import Committee
from seawall.domain.parameters import ConsensusParameters

UNWRITTEN_RECORDS_MAX: Final = 512
"""More records than this are written without waiting for the next own block."""


class DagEngine:
    """Implements `Engine` over a DAG of signed blocks."""

    def __init__(
        self,
        *,
        identity: Identity,
        committee: Committee,
        parameters: ConsensusParameters,
        recovered: Sequence[Record] = (),
        history: CommitHistory | None = None,
    ) -> None:
        """Rebuild the state that the journal describes; see `restore` for the errors."""
        self._own = identity.index
        self._core = self._make_core(identity, committee, parameters)
        restored = restore(self._core, committee, recovered)
        self._base_round = restored.base_round
        self._base_every = BASE_EVERY_GC_DEPTHS * parameters.gc_depth
        self._proposer = Proposer(self._core, identity, committee, parameters, restored.own_last)
        self._proposer.raise_floor(restored.floor)
        self._start_check = StartCheck(
            self._own, self._core.stakes, 2000 * parameters.leader_timeout_ms_initial
        )
        self._synchroniser = Synchroniser(self._core, committee.size)
        self._catch_up = CatchUp(self._core, committee.size, history)
        self._has_lost_disk = False

    def _make_core(
        self, identity: Identity, committee: Committee, parameters: ConsensusParameters
    ) -> Core:
        """Return a fresh core; a committee with coin keys has its leaders from the coin."""
        if committee.coin is None:
            permutation = PermutationLeaders(committee, parameters.leaders_per_round)
            return Core(identity, committee, parameters, permutation)
        schedule = CoinLeaders(committee, parameters.leaders_per_round)
        coin = self._make_coin(committee, identity.coin_secret)
        book = CoinBook(coin, schedule, identity.index, parameters.wave_length)
        return Core(identity, committee, parameters, schedule, book)

    def _make_coin(self, committee: Committee, secret: bytes) -> Coin:
        """Return this site's part of the common coin."""
        return ThresholdCoin(committee, secret)

    # --- the interface --------------------------------------------------------------------------

    def step(self, event: Event, now: Instant) -> Output:
        """Apply one event and return what the outside must do."""
        match event:
            case Received(peer, message):
                self._receive(peer, message, now.elapsed_us)
            case Submitted():
                self._submit(event)
            case Rooted(index, tree_size, root):
                self._core.rooted(index, tree_size, root)
            case Woken():
                pass
            case PeerUp(peer):
                self._synchroniser.peer_up(peer, now.elapsed_us)
                self._start_check.ask_again(peer, self._core.effects)
            case _:
                self._lose_peer(event)
        return self._finish(now)

    def status(self) -> Status:
        """Return where this replica stands."""
        core = self._core
        return Status(
            round=core.clock.round,
            last_proposed_round=self._proposer.last_proposed,
            commit_index=core.linearizer.index,
            commit_digest=core.linearizer.digest,
            certified_index=core.votes.certified_index,
            gc_round=core.gc_round,
            held_blocks=len(core.store),
            suspended_blocks=len(core.pending),
            pending_payloads=len(core.payloads),
            accepts_payload=core.payloads.has_room() and self._proposer.pace.accepts_payload(),
            recovering=not self._start_check.done or self._catch_up.is_active,
        )

    def evidence(self) -> dict[int, tuple[VerifiedBlock, VerifiedBlock]]:
        """Return, per author that signed two blocks for one slot, the first such pair."""
        return dict(self._core.equivocators.evidence)

    def _lose_peer(self, event: PeerDown) -> None:
        """Neither ask a peer nor wait for it until it is heard of again."""
        self._synchroniser.peer_down(event.peer)
        self._core.heard_rounds[event.peer] = UNHEARD

    # --- events ---------------------------------------------------------------------------------

    def _receive(self, peer: int, message: Message, now_us: int) -> None:
        """Handle a peer's message."""
        match message:
            case Blocks(blocks):
                self._take_in(peer, blocks, now_us)
            case Subscribe(after_round):
                self._synchroniser.on_subscribe(peer, after_round, now_us)
            case FetchBlocks(refs):
                self._synchroniser.on_fetch(peer, refs, now_us)
            case BelowGc(commit_index, refs, blocks):
                solicited = self._synchroniser.is_wanted(refs)
                self._take_in(peer, blocks, now_us, solicited=solicited)
                if solicited and commit_index > self._core.linearizer.index:
                    self._catch_up.hint(peer, now_us)
            case FetchCommits(first_index):
                self._catch_up.on_fetch(peer, first_index, now_us)
            case Commits():
                self._catch_up.on_commits(peer, message, now_us)
                self._check_own()
            case LatestQuery():
                self._answer_latest(peer)
            case _:
                self._take_latest(peer, message, now_us)

    def _take_in(
        self,
        peer: int,
        blocks: tuple[VerifiedBlock, ...],
        now_us: int,
        *,
        solicited: bool = False,
    ) -> None:
        """Take in blocks; ask for parents that are missing; notice when we are far behind."""
        core = self._core
        for block in blocks:
            ref = block.ref
            if ref.author == self._own and ref not in core.store:
                self._note_own(block)
            elif ref.round > core.store.highest_round + core.gc_depth:
                self._catch_up.hint(peer, now_us)
            missing = core.admit(block, solicited=solicited)
            if missing:
                self._synchroniser.want(missing, peer, now_us)

    def _submit(self, event: Submitted) -> None:
        """Queue what this site's services hand in; refuse what no block could carry."""
        payloads, effects = self._core.payloads, self._core.effects
        for batch in event.batches:
            if batch.site != self._own or not payloads.fits(batch):
                effects.observe("submission_refused", code="BATCH_LIMIT", number=batch.number)
            elif not payloads.has_room():
                effects.observe("submission_refused", code="QUOTA_CONSENSUS", number=batch.number)
            else:
                payloads.submit_batch(batch)
        for transaction in event.transactions:
            if not payloads.fits_transaction(transaction):
                effects.observe("submission_refused", code="TX_SIZE")
            elif not payloads.has_room():
                effects.observe("submission_refused", code="QUOTA_CONSENSUS")
            else:
                payloads.submit_transaction(transaction)

    # --- the start ------------------------------------------------------------------------------

    def _answer_latest(self, peer: int) -> None:
        """Answer at once, from what we hold."""
        self._core.effects.send(
            peer, LatestReply(self._core.latest[self._own], self._core.latest[peer])
        )

    def _take_latest(self, peer: int, reply: LatestReply, now_us: int) -> None:
        """Count an answer, if it is about the peer's and our own blocks, and use its blocks."""
        own, yours = reply.own, reply.yours
        if (own is not None and own.ref.author != peer) or (
            yours is not None and yours.ref.author != self._own
        ):
            self._core.effects.observe("latest_refused", peer=peer)
            return
        self._start_check.answer(peer, reply)
        if self._has_lost_disk:
            self._lose_disk(self._proposer.own_last)
        blocks = tuple([block for block in (own, yours) if block is not None])
        self._take_in(peer, blocks, now_us)

    def _note_own(self, block: VerifiedBlock) -> None:
        """Notice an own block that our journal lacks: then the disk was lost.

        Blocks at or below the gc round may be gone from the journal for good reason.
        """
        ref = block.ref
        if ref.round > min(self._core.gc_round, self._proposer.last_proposed):
            self._lose_disk(ref)

    def _check_own(self) -> None:
        """Notice own blocks that came inside commits."""
        latest = self._core.latest[self._own]
        if latest is not None and latest.ref.round > self._proposer.last_proposed:
            self._lose_disk(latest.ref)

    def _lose_disk(self, ref: Ref) -> None:
        """Propose only in rounds for which no block of ours can exist."""
        self._has_lost_disk = True
        floor = max(self._start_check.highest_round, ref.round) + 2
        self._proposer.note_own(ref)
        if self._proposer.raise_floor(floor):
            self._core.unwritten.append(floor_record(floor))
            self._core.effects.observe("disk_lost", round=ref.round, floor=floor)

    # --- after each event -----------------------------------------------------------------------

    def _finish(self, now: Instant) -> Output:
        """Decide, propose, ask for what is missing; return the output with the next deadline."""
        core, now_us = self._core, now.elapsed_us
        self._settle(now_us)
        wake = [self._start_check.poll(now_us, core.effects)]
        if self._start_check.done:
            due_us = self._proposer.due_at(now_us)
            if due_us is not None and due_us <= now_us:
                self._propose(now)
                self._settle(now_us)
                due_us = self._proposer.due_at(now_us)
            wake.append(due_us)
        wake.append(self._synchroniser.poll(now_us))
        wake.append(self._catch_up.poll(now_us))
        core.effects.final += core.fast_path.state_final(core.gc_round)
        core.prune()
        if len(core.unwritten) > UNWRITTEN_RECORDS_MAX:
            self._write()
        self._renew_base()
        return core.effects.take(min([at for at in wake if at is not None], default=None))

    def _settle(self, now_us: int) -> None:
        """Commit what has been decided, and notice that the clock advanced."""
        core = self._core
        core.decide()
        if core.clock_moved:
            core.clock_moved = False
            self._proposer.on_clock(now_us)
            timeout_us = self._proposer.timeout_us
            core.effects.observe("round_advanced", round=core.clock.round, timeout_us=timeout_us)

    def _propose(self, now: Instant) -> None:
        """Make an own block: written, with all it rests on, before it is sent."""
        core = self._core
        block = self._proposer.propose(now)
        core.equivocators.check(block)
        core.accept(block)
        self._write()
        core.effects.send(ALL_PEERS, Blocks((block,)))
        core.effects.observe(
            "block_proposed",
            round=block.ref.round,
            parents=len(block.block.parents),
            batches=len(block.block.batches),
            size_bytes=len(block.raw),
        )

    def _write(self) -> None:
        """Hand all records to the journal, in the order in which they were made."""
        core = self._core
        core.effects.persist.extend(core.unwritten)
        core.unwritten.clear()

    def _renew_base(self) -> None:
        """Start the journal anew from time to time."""
        core = self._core
        base = core.recent.get(core.base_index)
        if base is None or base.leader.round < self._base_round + self._base_every:
            return
        self._base_round = base.leader.round
        self._write()
        core.effects.persist.extend(make_base(core, self._proposer.own_last, self._proposer.floor))
