"""Replicas broken on purpose: a checker that catches none of them proves nothing.

Each mutant changes one rule. It is made of the true parts: a subclass put in place of a class, a
wrapped factory, a dishonest disk. The core has no hooks for this.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from seawall.codec import decode_block
from seawall.consensus.dag import coin as coin_module
from seawall.consensus.dag import core as core_module
from seawall.consensus.dag import engine as engine_module
from seawall.consensus.dag.committer import Committer, Verdict, _Slot
from seawall.consensus.dag.effects import Effects
from seawall.consensus.dag.linearizer import Linearizer
from seawall.consensus.dag.records import COMMIT
from seawall.consensus.dag.start_check import StartCheck
from seawall.consensus.dag.store import BlockStore, Vertex
from seawall.consensus.dag.synchroniser import Synchroniser
from seawall.consensus.engine import (
    CommitHistory,
    Engine,
    Identity,
    Record,
)
from seawall.consensus.engines import EngineFactory
from seawall.domain.block import Ref, VerifiedBlock
from seawall.domain.commit import Commit
from seawall.domain.committee import Committee
from seawall.domain.parameters import ConsensusParameters
from seawall.sim.broken_coin import (
    ForgetfulCoinBook,
    HastyCoinBook,
    combine_shifted,
    verify_nothing,
)
from seawall.sim.broken_pace import PACE_MUTANTS
from seawall.sim.broken_tallies import TALLY_MUTANTS
from seawall.sim.broken_twins import TWINS_MUTANTS
from seawall.sim.broken_votes import FAST_PATH_MUTANTS
from seawall.sim.byzantine import forger
from seawall.sim.coin import CoinKind
from seawall.sim.disk import Disk
from seawall.sim.machinery import Machinery
from seawall.sim.mutant import Change, Mutant
from seawall.sim.plan import Plan


class LaxCommittee(Committee, frozen=True):
    """Believes that one unit of stake less than Q is a quorum."""

    @property
    def quorum(self) -> int:
        """Return Q - 1."""
        return 2 * self.total // 3


class HeadsCommittee(Committee, frozen=True):
    """Counts heads in place of stake."""

    @property
    def quorum(self) -> int:
        """Return the stake of the lightest members that are a quorum of heads."""
        heads = 2 * self.size // 3 + 1
        return sum(sorted(member.stake for member in self.members)[:heads])


class ForgetfulDisk(Disk):
    """Says that it has synced and has not."""

    def settle(self) -> None:
        """Keep nothing."""
        self._syncing.clear()


class ReachabilityCommitter(Committer):
    """Votes for every block of a slot that it can reach, instead of the one it supports."""

    def _count_vote(self, slot: _Slot, vertex: Vertex) -> None:
        """Count a vote for each twin in the history."""
        reached = self._reached(slot, vertex)
        for leader in reached:
            slot.votes[leader] = slot.votes.get(leader, 0) | vertex.author_bit
        if not reached:
            super()._count_vote(slot, vertex)

    def _count_certificate(self, slot: _Slot, vertex: Vertex) -> None:
        """Count a certificate for each twin that parents of stake Q can reach."""
        for leader in self._reached(slot, vertex):
            authors = 0
            for parent in vertex.parents:
                if parent.history & leader.bit:
                    authors |= parent.author_bit
            if self._stakes.is_quorum(authors):
                slot.certificates.setdefault(leader, []).append(vertex)
                certifiers = slot.certifiers.get(leader, 0) | vertex.author_bit
                slot.certifiers[leader] = certifiers
                if slot.verdict is None and self._stakes.is_quorum(certifiers):
                    self._set(slot, leader, direct=True)

    def _reached(self, slot: _Slot, vertex: Vertex) -> list[Vertex]:
        leaders = self._store.at_slot(slot.round, slot.author)
        return [leader for leader in leaders if vertex.history & leader.bit]


class ImpatientCommitter(Committer):
    """Hands out a decided slot although one before it is still open."""

    def decide(self) -> list[Verdict]:
        """Pass over an open slot once a later one is decided."""
        decided = super().decide()
        later = [slot for slots in self._slots.values() for slot in slots]
        if not decided and any(slot.verdict is not None for slot in later):
            self._advance(len(self._tracked(self._next_round)))
            self._dirty = True
            decided = super().decide()
        return decided


class EarlyBlameCommitter(Committer):
    """Skips a slot on blames of stake V, where Q is needed."""

    def _count_vote(self, slot: _Slot, vertex: Vertex) -> None:
        """Skip as soon as one honest site has blamed."""
        super()._count_vote(slot, vertex)
        enough = self._stakes.of(slot.blames) >= self._stakes.validity
        if slot.verdict is None and enough:
            self._set(slot, None, direct=True)


class HighestRoundLinearizer(Linearizer):
    """Stops the walk at the highest delivered round of each author, and so loses blocks."""

    def __init__(self, store: BlockStore, stakes: object, gc_depth: int) -> None:
        """Start with nothing delivered."""
        super().__init__(store, stakes, gc_depth)  # type: ignore[arg-type]  # same arguments
        self._highest: dict[int, int] = {}

    def commit(self, leader: Vertex) -> Commit:
        """Leave out what is older than the newest delivered block of its author."""
        for vertex in self._store.unsettled_until(leader):
            if vertex.round < self._highest.get(vertex.author, 0):
                self._store.settle(vertex)
        commit = super().commit(leader)
        for block in commit.blocks:
            author, number = block.ref.author, block.ref.round
            self._highest[author] = max(self._highest.get(author, 0), number)
        return commit


class RepeatingStore(BlockStore):
    """Forgets what has been delivered."""

    def settle(self, vertex: Vertex) -> None:
        """Do nothing."""


class DeafSynchroniser(Synchroniser):
    """Never asks for a missing block."""

    def want(self, refs: list[Ref], source: int, now_us: int) -> None:
        """Do nothing."""


def _believing(kind: type[Committee]) -> Change:
    def believe(committee: Committee) -> Committee:
        return kind(
            origin=committee.origin,
            epoch=committee.epoch,
            members=committee.members,
            coin=committee.coin,
        )

    return lambda plan, parts: (plan, replace(parts, committee=believe))


def _reading(
    honest: EngineFactory, read: Callable[[Sequence[Record]], Sequence[Record]]
) -> EngineFactory:
    """Return a factory that makes something else of the journal."""

    def build(
        *,
        identity: Identity,
        committee: Committee,
        parameters: ConsensusParameters,
        recovered: Sequence[Record] = (),
        history: CommitHistory | None = None,
    ) -> Engine:
        return honest(
            identity=identity,
            committee=committee,
            parameters=parameters,
            recovered=read(recovered),
            history=history,
        )

    return build


def _without_last_commit(records: Sequence[Record]) -> Sequence[Record]:
    last = max((i for i, record in enumerate(records) if record.kind == COMMIT), default=-1)
    return [record for place, record in enumerate(records) if place != last]


def _forget_journal(plan: Plan, parts: Machinery) -> tuple[Plan, Machinery]:
    return plan, replace(parts, engine=_reading(parts.engine, lambda _: ()))


def _overlook_last_commit(plan: Plan, parts: Machinery) -> tuple[Plan, Machinery]:
    return plan, replace(parts, engine=_reading(parts.engine, _without_last_commit))


def _forget_syncs(plan: Plan, parts: Machinery) -> tuple[Plan, Machinery]:
    return plan, replace(parts, disk=ForgetfulDisk)


def _long_waves(plan: Plan, parts: Machinery) -> tuple[Plan, Machinery]:
    """With w = 3 votes stand one round above the slot, where reach and support are the same."""
    return replace(plan, parameters=replace(plan.parameters, wave_length=5)), parts


def _trust_everybody(plan: Plan, parts: Machinery) -> tuple[Plan, Machinery]:
    broken = replace(parts, verify=_decode_only, hostile=forger(parts.engine))
    return replace(plan, hostile={len(plan.stakes) - 1: ()}), broken


def _decode_only(raw: bytes, committee: Committee, plan: Plan) -> VerifiedBlock:
    del committee, plan
    signed = decode_block(raw)
    votes = signed.block.commit_votes
    return VerifiedBlock(block=signed.block, ref=signed.ref, raw=raw, valid_votes=votes)


def _with_true_coin(plan: Plan, parts: Machinery) -> tuple[Plan, Machinery]:
    return replace(plan, coin=CoinKind.THRESHOLD_BLS), parts


class _NoQuestions(StartCheck):
    """Does not ask anybody at start."""

    def poll(self, now_us: int, effects: Effects) -> int | None:
        """Be done at once."""
        del now_us, effects
        self.done = True
        return None


def _hurry(plan: Plan, parts: Machinery) -> tuple[Plan, Machinery]:
    """Let every block lead and nobody wait long for it: blames are rare otherwise."""
    every = replace(
        plan.parameters, leaders_per_round=len(plan.stakes), leader_timeout_ms_initial=20
    )
    return replace(plan, parameters=every), parts


MUTANTS: Final[Mapping[str, Mutant]] = {
    "quorum_off_by_one": Mutant(
        summary="a quorum is one unit of stake too small",
        profile="split",
        caught_by=("I3", "I4", "I5", "I9", "I15"),
        seeds_max=20,
        change=_believing(LaxCommittee),
    ),
    "heads_in_place_of_stake": Mutant(
        summary="quorums count heads",
        profile="split",
        caught_by=("I16",),
        seeds_max=40,
        change=_believing(HeadsCommittee),
        engines=("sync",),
    ),
    "fsync_skipped": Mutant(
        summary="blocks are sent before they are durable",
        profile="crash",
        caught_by=("I13",),
        change=_forget_syncs,
    ),
    "journal_ignored": Mutant(
        summary="a restart starts from nothing, and asks nobody",
        profile="crash",
        caught_by=("I1", "I13"),
        change=_forget_journal,
        replacements=((engine_module, "StartCheck", _NoQuestions),),
    ),
    "last_commit_overlooked": Mutant(
        summary="a restart does not read the last commit in the journal",
        profile="crash",
        caught_by=("I13",),
        change=_overlook_last_commit,
    ),
    "votes_by_reachability": Mutant(
        summary="a block votes for every twin that it can reach",
        profile="twins",
        caught_by=("I6", "I7"),
        seeds_max=20,
        change=_long_waves,
        replacements=((core_module, "Committer", ReachabilityCommitter),),
    ),
    "skip_on_few_blames": Mutant(
        summary="blames of stake V skip a leader",
        profile="split",
        caught_by=("ASSERT",),
        seeds_max=40,
        change=_hurry,
        replacements=((core_module, "Committer", EarlyBlameCommitter),),
        engines=("sync",),  # with longer waves, votes stand so high that nearly all see the leader
    ),
    "open_slot_passed_over": Mutant(
        summary="commits are made before all earlier slots are decided",
        profile="twins",
        caught_by=("ASSERT",),
        seeds_max=40,
        replacements=((core_module, "Committer", ImpatientCommitter),),
    ),
    "walk_stops_at_highest_round": Mutant(
        summary="the walk stops at the highest delivered round of each author",
        profile="twins",
        caught_by=("I7",),
        replacements=((core_module, "Linearizer", HighestRoundLinearizer),),
    ),
    "delivered_again": Mutant(
        summary="what has been delivered is forgotten",
        profile="honest",
        caught_by=("I7",),
        replacements=((core_module, "BlockStore", RepeatingStore),),
    ),
    "verification_off": Mutant(
        summary="blocks of peers are believed; one peer is hostile",
        profile="honest",
        caught_by=("I2",),
        change=_trust_everybody,
    ),
    **FAST_PATH_MUTANTS,
    **TWINS_MUTANTS,
    **TALLY_MUTANTS,
    **PACE_MUTANTS,
    "never_fetches": Mutant(
        summary="missing blocks are not asked for",
        profile="twins",
        caught_by=("I17",),
        replacements=((engine_module, "Synchroniser", DeafSynchroniser),),
    ),
    "share_sent_early": Mutant(
        summary="shares of the coin are sent a round early",
        profile="honest",
        caught_by=("I12",),
        replacements=((engine_module, "CoinBook", HastyCoinBook),),
        engines=("async",),
    ),
    "share_skipped": Mutant(
        summary="a site that skips a round skips its share too",
        profile="partition",
        caught_by=("I12",),
        replacements=((engine_module, "CoinBook", ForgetfulCoinBook),),
        engines=("async",),
    ),
    "coin_index_shifted": Mutant(
        summary="shares are combined under a wrong index, and the coin is not verified",
        profile="honest",
        caught_by=("I12",),
        change=_with_true_coin,
        replacements=(
            (coin_module, "combine", combine_shifted),
            (coin_module, "verify", verify_nothing),
        ),
        engines=("async",),
    ),
}
