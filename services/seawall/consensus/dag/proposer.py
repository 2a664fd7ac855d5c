"""When this site proposes, on what parents, and with what.

A replica proposes for the newest clock round only. It waits for the leaders it can expect and for
clear votes on those before, or for a timer; how much time lies between own blocks is the matter of
`pace`.

Source: docs/protocol.md, section 2.
"""

from collections.abc import Sequence
from typing import Final

from seawall.codec import genesis_ref, sign_block
from seawall.consensus.dag.core import Core
from seawall.consensus.dag.locks import rejects_size
from seawall.consensus.dag.pace import Pace
from seawall.consensus.dag.store import Vertex
from seawall.consensus.engine import Identity, Instant
from seawall.domain.block import Block, BlockFlags, CoinShares, Ref, RejectSet, VerifiedBlock
from seawall.domain.committee import Committee
from seawall.domain.parameters import ConsensusParameters

REACHABLE_ROUNDS: Final = 4
"""An author that was heard from within this many rounds is worth waiting for."""

LATE_WAITS: Final = 8
"""So many times an author is not waited for after a wait for it ran out."""

UNHEARD: Final = -(1 << 62)
"""Stands as the last round heard of an author whose link is gone."""

_SYNCHRONOUS_WAVE: Final = 3
"""With this wave length proposers wait for leaders; with longer ones for authors."""


class Proposer:
    """Decides on the next own block and builds it."""

    def __init__(
        self,
        core: Core,
        identity: Identity,
        committee: Committee,
        parameters: ConsensusParameters,
        own_last: Ref,
    ) -> None:
        self._core = core
        self._identity = identity
        self._committee = committee
        self._parameters = parameters
        self.own_last = own_last
        self.last_proposed = own_last.round
        self.floor = 0
        self.pace = Pace(core, parameters)
        self._clock_since_us = 0
        # Waiting for leaders takes a timeout; waiting for authors only smooths the pace.
        waits_for_leaders = parameters.wave_length <= _SYNCHRONOUS_WAVE
        timeout_ms = parameters.leader_timeout_ms_initial
        smoothing_ms = min(timeout_ms, 2 * parameters.round_delay_ms_min)
        self._initial_us = 1000 * (timeout_ms if waits_for_leaders else smoothing_ms)
        self.timeout_us = self._initial_us
        self._judged_round = 0
        self._late = [0] * committee.size

    def note_own(self, ref: Ref) -> None:
        """Take note of an own block that came from elsewhere."""
        if ref.round > self.own_last.round:
            self.own_last = ref
            self.last_proposed = max(self.last_proposed, ref.round)

    def raise_floor(self, floor: int) -> bool:
        """Propose in no round below this; return whether that is more than before."""
        if floor <= self.floor:
            return False
        self.floor = floor
        return True

    # --- time -----------------------------------------------------------------------------------

    def on_clock(self, now_us: int) -> None:
        """Arm the timer anew; lengthen or shorten it by what became of an earlier round.

        A round without any direct decision doubles the timeout, once it had time for one; a
        round with one takes a quarter off. Rounds that others, or an earlier run, decided say
        nothing.
        """
        self._clock_since_us = now_us
        wave = self._parameters.wave_length
        round_ = self._core.clock.round - wave - 1
        known = max(self._judged_round, self._core.committer.jumped_round)
        if wave > _SYNCHRONOUS_WAVE or round_ <= known:
            return
        self._judged_round = round_
        if self._core.committer.decided_directly(round_):
            self.timeout_us = max(self._initial_us, self.timeout_us * 3 // 4)
        else:
            longest_us = self._parameters.leader_timeout_ms_max * 1000
            self.timeout_us = min(longest_us, self.timeout_us * 2)

    def due_at(self, now_us: int) -> int | None:
        """Return when to propose if nothing else happens; None when there is nothing to wait for.

        A time that has passed means now.
        """
        core = self._core
        round_ = core.clock.round
        if round_ <= self.last_proposed or round_ < self.floor or not self._has_own_last():
            return None
        due = now_us
        if not self._is_ready(round_ - 1):
            due = self._clock_since_us + self.timeout_us
        return self.pace.due_at(round_, due)

    def _has_own_last(self) -> bool:
        """Return whether the own last block is accepted, or too old to matter."""
        core = self._core
        return self.own_last.round <= core.gc_round or self.own_last in core.store

    # --- readiness ------------------------------------------------------------------------------

    def _is_ready(self, round_: int) -> bool:
        """Return whether what can be expected of this round has come.

        Leaders alone would let one fast voter starve them: their votes must be clear too.
        """
        if round_ <= 0:
            return True
        missing = self._missing(round_)
        if not missing:
            return True
        if self._parameters.wave_length > _SYNCHRONOUS_WAVE:
            return not missing & ~self._late_authors()
        if self._leaders(round_) & missing & ~self._late_authors():
            return False
        return self._core.committer.has_clear_votes(round_ - 1)

    def _missing(self, round_: int) -> int:
        """Return the mask of authors whose block of this round is expected and not here."""
        present = self._core.store.authors_at(round_) | 1 << self._core.own
        return self._reachable(round_) & ~present

    def _leaders(self, round_: int) -> int:
        """Return the mask of a round's leaders."""
        return sum([1 << author for author in self._core.schedule.leaders(round_) or ()])

    def _late_authors(self) -> int:
        """Return the mask of authors that are not waited for this time."""
        return sum([1 << author for author, waits in enumerate(self._late) if waits])

    def _judge_lateness(self, round_: int, now_us: int) -> None:
        """Take note, on proposing in a round, for whom the wait ran out, and whom it spared.

        Who comes late on purpose would else cost a timeout in each round that it leads. That an
        author is spared a number of waits, not until it comes in time, keeps liveness: as soon as
        timeouts suffice for it, all wait for it again.
        """
        missing = self._missing(round_ - 1) if round_ > 1 else 0
        if self._parameters.wave_length <= _SYNCHRONOUS_WAVE:
            missing &= self._leaders(round_ - 1)
        waited = not self._is_ready(round_ - 1)
        for author in range(self._committee.size):
            if missing >> author & 1:
                late = self._late[author]
                if late:
                    self._late[author] = late - 1
                else:
                    self._late[author] = LATE_WAITS
        if waited:
            waited_us = now_us - self._clock_since_us
            self._core.effects.observe("proposed_by_timer", round=round_, waited_us=waited_us)

    def _reachable(self, round_: int) -> int:
        """Return the mask of authors whose block of this round can be expected.

        That are those heard of lately that are not known to equivocate, without those that have
        gone on: with a later block of theirs accepted, so is every earlier one.
        """
        core = self._core
        oldest = core.clock.round - 1 - REACHABLE_ROUNDS
        expected = 0
        for author, heard in enumerate(core.heard_rounds):
            if heard >= oldest and core.store.highest_round_of(author) <= round_:
                expected |= 1 << author
        return expected & ~core.equivocators.mask

    # --- the block ------------------------------------------------------------------------------

    def propose(self, now: Instant) -> VerifiedBlock:
        """Return the next own block, signed; its round is the clock's."""
        core, coin = self._core, self._core.coin
        round_ = core.clock.round
        assert round_ > self.last_proposed, "one own block per round"
        self._judge_lateness(round_, now.elapsed_us)
        parents = self._parents(round_)
        rejects, vote_cutoff = self._vote(round_, parents)
        has_room = self.pace.accepts_payload()
        batches, transactions = core.payloads.take(rejects_size(rejects)) if has_room else ((), ())
        block = Block(
            epoch=self._committee.epoch,
            round=round_,
            author=core.own,
            timestamp_ms=now.wall_ms,
            flags=BlockFlags.NONE,
            parents=parents,
            batches=batches,
            transactions=transactions,
            rejects=rejects,
            vote_cutoff=vote_cutoff,
            coin_shares=CoinShares() if coin is None else coin.owed(round_, core.gc_round),
            commit_votes=core.votes.take_ready(),
        )
        signed = self._sign(block)
        core.payloads.proposed(signed)
        self.own_last = signed.ref
        self.last_proposed = round_
        self.pace.count(round_, now.elapsed_us)
        return signed

    def _sign(self, block: Block) -> VerifiedBlock:
        """Return the block with its signature; a site under test may say something else here."""
        return sign_block(block, self._committee.origin, self._identity.consensus_key)

    def _vote(self, round_: int, parents: Sequence[Ref]) -> tuple[tuple[RejectSet, ...], int]:
        """Return what the next own block rejects, and up to which round it abstains.

        A site that has lost its disk does not know its locks: it abstains until the epoch ends.
        """
        core = self._core
        if self.floor:
            return (), round_ - 1
        latest = core.latest[core.own]
        before = 0 if latest is None else latest.block.vote_cutoff
        cutoff = min(max(core.gc_round, before), round_ - 1)
        found = [core.store.get(ref) for ref in parents]
        held = [vertex for vertex in found if vertex is not None]
        return core.fast_path.vote(held, cutoff, core.linearizer.index)

    def _parents(self, round_: int) -> tuple[Ref, ...]:
        """Return the own last block, then of each other author the newest one not yet covered.

        Newest rounds first, so that a block is left out when another parent covers it already.
        """
        core = self._core
        covered = 0
        own = core.store.get(self.own_last)
        if own is not None:
            covered = own.history | own.bit
        newest: list[Vertex] = []
        for author in range(self._committee.size):
            if author != core.own:
                newest.extend(self._newest_of(author, round_))
        parents = [self.own_last]
        chosen = 1 << core.own
        for vertex in sorted(newest, key=lambda one: (-one.round, one.author)):
            if not (covered & vertex.bit or chosen & vertex.author_bit):
                parents.append(vertex.ref)
                covered |= vertex.history | vertex.bit
                chosen |= vertex.author_bit
        if round_ == 1:
            origin, epoch = self._committee.origin, self._committee.epoch
            others = [author for author in range(self._committee.size) if author != core.own]
            parents.extend([genesis_ref(origin, epoch, author) for author in others])
        return tuple(parents)

    def _newest_of(self, author: int, below: int) -> list[Vertex]:
        """Return the blocks of the author's newest slot below a round and above the gc round."""
        store = self._core.store
        start = min(below - 1, store.highest_round_of(author))
        for round_ in range(start, self._core.gc_round, -1):
            found = store.at_slot(round_, author)
            if found:
                return found
        return []
