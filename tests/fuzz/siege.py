"""One honest replica under fire: four engines in virtual time, and whatever member 3 signs besides.

The replica under test is member 0. What the attacker says reaches it as bytes, through the same
decoding as in a real site. After every step its memory is held against its bounds; at the end it
has to make progress with the others, and to stand where it stood after a restart.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import msgspec
from google.protobuf.message import DecodeError

from seawall.consensus import messages
from seawall.consensus.dag import core, votes
from seawall.consensus.dag.engine import UNWRITTEN_RECORDS_MAX, DagEngine
from seawall.consensus.dag.payloads import BLOCKS_QUEUED_MAX
from seawall.consensus.dag.recent import RECENT_COMMITS_MAX
from seawall.consensus.dag.synchroniser import (
    ANSWER_BURST_US,
    ANSWER_BYTES_MAX,
    ANSWER_BYTES_PER_SECOND,
    BELOW_GC_PAUSE_US,
    FETCHES_AT_ONCE_MAX,
    REFS_PER_FETCH_MAX,
)
from seawall.consensus.engine import (
    BelowGc,
    Blocks,
    CommitHistory,
    Event,
    FetchBlocks,
    Message,
    Output,
    PeerDown,
    PeerUp,
    Received,
    Record,
    Woken,
)
from seawall.consensus.messages import BlockVerifier, Inbound, PeerMessage
from seawall.consensus.replica import Replica
from seawall.domain.block import Ref, VerifiedBlock
from seawall.domain.parameters import ConsensusParameters
from seawall.sim import onlooker
from seawall.sim.coin import CoinKind, coin_engine, dealt
from seawall.sim.recovery import standing_in, standing_of
from tests.fuzz.judgement import Judgements
from tests.fuzz.properties import REFUSALS, check_refusal
from tests.unit.consensus.cluster import (
    Cluster,
    MemoryJournal,
    Site,
    make_committee,
    make_identity,
)

TARGET: Final = 0
HONEST: Final = (1, 2)
LIAR: Final = 3
SIZE: Final = 4

COMMITS_AFTERWARDS: Final = 4
PATIENCE_US: Final = 60_000_000
LOOK_US: Final = 250_000
SENDS_PER_STEP_MAX: Final = 64
"""More messages than this in one step answer no single event."""

PARAMETERS: Final = ConsensusParameters(
    gc_depth=12,
    round_delay_ms_idle=200,
    block_batches_max=2,
    block_updates_max=8,
    block_transactions_max=2,
    transaction_size_bytes_max=256,
    block_commit_votes_max=4,
    block_size_bytes_max=65_536,
)
"""Narrow limits, so that short inputs reach them."""

KEYS, SECRETS = dealt(CoinKind.KEYED_HASH, 3, SIZE)


class Siege(Cluster):
    """Four engines, with a coin where waves are long; the attacker has the key of the last one."""

    def __init__(self, wave_length: int) -> None:
        self._coin = wave_length > 3
        self.judgements = Judgements()
        self.field = msgspec.structs.replace(make_committee(), coin=KEYS if self._coin else None)
        parameters = PARAMETERS.asynchronous(wave_length) if self._coin else PARAMETERS
        super().__init__(parameters=parameters)
        self.committee = self.field
        self._verifier = BlockVerifier(self.field, parameters)
        self._inbound = self._fresh_inbound()
        self.wanted: list[Ref] = []
        self._below_gc_us = -(1 << 40)
        self._answered_bytes = 0
        self._began_us = self.now_us
        self.filter = self._passes
        self.cut = 0

    def build(
        self,
        index: int,
        recovered: Sequence[Record] = (),
        history: CommitHistory | None = None,
    ) -> Site:
        """Return a site with its share of the coin, if there is one."""
        journal = MemoryJournal()
        journal.durable.extend(recovered)
        return Site(Replica(self._engine(index, recovered, history), journal), journal)

    def _engine(
        self, index: int, recovered: Sequence[Record], history: CommitHistory | None = None
    ) -> DagEngine:
        secret = SECRETS[index] if self._coin else b""
        engine = coin_engine(
            identity=replace(make_identity(index), coin_secret=secret),
            committee=self.field,
            parameters=self.parameters,
            recovered=list(recovered),
            history=history,
        )
        assert isinstance(engine, DagEngine)
        return engine

    def _fresh_inbound(self) -> Inbound:
        return Inbound(self._verifier, self.field)

    # --- what an attacker sees -------------------------------------------------------------------

    @property
    def target(self) -> DagEngine:
        """Return the engine under test."""
        engine = onlooker.engine_of(self.sites[TARGET].replica)
        assert isinstance(engine, DagEngine)
        return engine

    @property
    def core(self) -> core.Core:
        """Return what the replica under test knows."""
        found = onlooker.core_of(self.target)
        assert found is not None
        return found

    def seen(self, author: int) -> list[VerifiedBlock]:
        """Return all blocks that an honest member has sent, oldest first."""
        return self.sites[author].blocks

    # --- what it does ----------------------------------------------------------------------------

    def say(self, peer: int, message: Message, *, flip: tuple[int, int] = (0, 0)) -> None:
        """Let the replica under test hear a message of a peer, one byte of it changed by `flip`."""
        for piece in messages.encode(message):
            data = bytearray(piece.SerializeToString())
            if data:
                data[flip[0] % len(data)] ^= flip[1]
            self.hear(peer, bytes(data))

    def hear(self, peer: int, data: bytes) -> None:
        """Let it hear bytes; what cannot be read ends the link, which comes up again."""
        try:
            message = self._inbound.decode(PeerMessage.FromString(data))
        except DecodeError:
            message = None
        except REFUSALS as fault:
            check_refusal(fault, len(data))
            self._inbound = self._fresh_inbound()
            self.act(PeerDown(peer))
            self.act(PeerUp(peer))
            return
        if message is not None:
            self.act(Received(peer, message))

    def act(self, event: Event) -> None:
        """Give the replica under test an event now."""
        self._handle(TARGET, event)

    def sleep(self, duration_us: int) -> None:
        """Let time pass in which nobody runs; what arrived meanwhile is there afterwards."""
        self.now_us += duration_us
        self._queue = [
            (max(at_us, self.now_us), number, index, event)
            for at_us, number, index, event in sorted(self._queue, key=lambda one: one[:2])
        ]

    def restart_target(self) -> None:
        """Crash the replica under test, and start it from what was durable."""
        old = self.sites[TARGET]
        fresh = self.restart(TARGET)
        fresh.blocks, fresh.commits = old.blocks, old.commits
        self._inbound = self._fresh_inbound()
        self.act(Woken())

    def _passes(self, sender: int, receiver: int, message: Message) -> bool:
        """Say whether a message between honest sites arrives."""
        del message
        if TARGET not in (sender, receiver):
            return True
        return not self.cut >> max(sender, receiver) & 1

    def links_heal(self) -> None:
        """Let every message pass again."""
        self.cut = 0
        for peer in range(1, SIZE):
            self.post(TARGET, PeerUp(peer))
            self.post(peer, PeerUp(TARGET))

    # --- what must hold --------------------------------------------------------------------------

    def _handle(self, index: int, event: Event) -> None:
        """Step one site; hold the replica under test against its bounds.

        A site whose key signs elsewhere too may find itself broken: that is the attacker's loss.
        """
        try:
            super()._handle(index, event)
        except AssertionError:
            if index != LIAR:
                raise
            self.crash(LIAR)
        if index == TARGET:
            self._check_memory()

    def _keep(self, index: int, site: Site, output: Output) -> None:
        """Look at what a replica puts out, before it is carried out."""
        if index == TARGET:
            self._check_output(output)
        if index != LIAR:
            self.judgements.check(output)
        super()._keep(index, site, output)

    def _check_output(self, output: Output) -> None:
        """Hold what one step sends to one peer against the bounds of answers."""
        to_liar = [send.message for send in output.send if send.peer == LIAR]
        assert len(output.send) <= SENDS_PER_STEP_MAX
        fetches = [one for one in to_liar if isinstance(one, FetchBlocks)]
        assert len(fetches) <= FETCHES_AT_ONCE_MAX
        for fetch in fetches:
            assert len(fetch.refs) <= REFS_PER_FETCH_MAX
            self.wanted = [*self.wanted, *fetch.refs][-64:]
        if any(isinstance(one, BelowGc) for one in to_liar):
            assert self.now_us - self._below_gc_us >= BELOW_GC_PAUSE_US
            self._below_gc_us = self.now_us
        answers = [one for one in to_liar if isinstance(one, Blocks)]
        size = sum([len(block.raw) for one in answers for block in one.blocks])
        assert size <= ANSWER_BYTES_MAX + self.parameters.block_size_bytes_max
        self._answered_bytes += size
        passed_us = self.now_us - self._began_us + ANSWER_BURST_US
        allowed = passed_us * ANSWER_BYTES_PER_SECOND // 1_000_000
        assert self._answered_bytes <= allowed + ANSWER_BYTES_MAX

    def _check_memory(self) -> None:
        """Hold what the replica under test keeps against its bounds."""
        known, engine, parameters = self.core, self.target, self.parameters
        pending = known.pending
        per_author = parameters.gc_depth + core.PENDING_MARGIN
        counts = [0] * SIZE
        for ref in onlooker.suspended(known):
            counts[ref.author] += not pending.wants(ref)
            assert ref.round > known.gc_round
        assert max(counts) <= per_author
        highest = known.store.highest_round
        held = [0] * SIZE
        for vertex in known.store:
            held[vertex.author] += 1
            assert vertex.round > known.pruned_round
        assert max(held[:LIAR]) <= highest - known.pruned_round
        blocks = BLOCKS_QUEUED_MAX + highest
        assert onlooker.queued_batches(known) <= blocks * parameters.block_batches_max
        assert len(known.unwritten) <= UNWRITTEN_RECORDS_MAX
        assert onlooker.tallied_commits(known) <= votes.AHEAD_MAX + len(known.recent)
        assert len(known.recent) <= RECENT_COMMITS_MAX
        assert onlooker.coin_rounds(known) <= highest
        assert onlooker.outstanding(engine) <= max(1, SIZE * (len(pending) + 256))
        assert onlooker.served_peers(engine) < SIZE

    def check_progress(self) -> None:
        """Let the attack end: the replica commits and proposes with the two honest others."""
        self.links_heal()
        before = self.target.status()
        until = self.now_us + PATIENCE_US
        while True:
            self.run(LOOK_US)
            now = self.target.status()
            if (
                now.commit_index >= before.commit_index + COMMITS_AFTERWARDS
                and now.last_proposed_round > before.last_proposed_round
                and now.suspended_blocks <= before.suspended_blocks
                and not now.recovering
            ):
                break
            assert self.now_us < until, f"stalled: {now}"
        self.check_agreement()

    def check_restart(self) -> None:
        """Rebuild the replica from its journal, and from that and what waits to be written."""
        site, running = self.sites[TARGET], self.target.status()
        durable = site.journal.durable
        rebuilt = self._engine(TARGET, durable).status()
        assert standing_of(rebuilt) == standing_in(durable, TARGET, self.field)
        whole = self._engine(TARGET, [*durable, *self.core.unwritten]).status()
        assert standing_of(whole) == standing_of(running)
        assert whole.gc_round == running.gc_round
        assert whole.certified_index <= running.certified_index
