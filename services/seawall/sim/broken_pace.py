"""Waiting by older rules, for `mutants`: each lets one faulty site of four slow all the others."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from seawall.consensus.dag import core as core_module
from seawall.consensus.dag import engine as engine_module
from seawall.consensus.dag.committer import Committer, _Slot
from seawall.consensus.dag.leaders import LeaderSchedule
from seawall.consensus.dag.proposer import Proposer
from seawall.consensus.dag.stakes import StakeTable
from seawall.consensus.dag.store import BlockStore, Vertex
from seawall.domain.committee import Committee
from seawall.sim.byzantine import starving
from seawall.sim.foul_leads import leading_foully
from seawall.sim.machinery import Machinery
from seawall.sim.mutant import Mutant
from seawall.sim.network import MILLISECOND_US, SECOND_US, FixedDelay
from seawall.sim.plan import Aim, Plan
from seawall.sim.round_robin import RoundRobinEngine, RoundRobinLeaders

HELD_US: Final = 100 * MILLISECOND_US
STARVED_US: Final = 10 * SECOND_US
SLOWED_US: Final = 15 * SECOND_US
"""By then the true replica has long reached the goal."""


class CountingCommitter(Committer):
    """Knows how many slots of a round were decided directly."""

    def __init__(
        self, store: BlockStore, stakes: StakeTable, schedule: LeaderSchedule, wave_length: int
    ) -> None:
        """Start before the first slot."""
        super().__init__(store, stakes, schedule, wave_length)
        self.direct: Counter[int] = Counter()

    def _set(self, slot: _Slot, leader: Vertex | None, *, direct: bool) -> None:
        """Count direct verdicts."""
        super()._set(slot, leader, direct=direct)
        self.direct[slot.round] += direct


class SlotwiseProposer(Proposer):
    """Doubles its timeout for every slot that was not decided directly."""

    def on_clock(self, now_us: int) -> None:
        """Judge a round by each of its slots, not by the best of them."""
        judged, timeout_us = self._judged_round, self.timeout_us
        super().on_clock(now_us)
        if self._judged_round == judged:
            return
        committer = self._core.committer
        assert isinstance(committer, CountingCommitter), "it is put in place together"
        slots = self._parameters.leaders_per_round
        undecided = slots - committer.direct.pop(self._judged_round, 0)
        if undecided:
            longest_us = 1000 * self._parameters.leader_timeout_ms_max
            self.timeout_us = min(longest_us, timeout_us << undecided)


class FewLeadersEngine(RoundRobinEngine):
    """The DAG engine with one leader a round, all sites but the last one by turns."""

    followers = 1


def few_leaders(committee: Committee, plan: Plan, number: int) -> tuple[int, ...]:
    """Return the leader of a round, as a world's machinery asks for it."""
    del plan
    return RoundRobinLeaders(committee.size - 1).leaders(number)


class LeadersOnlyProposer(Proposer):
    """Waits for leaders, and not for clear votes on those before."""

    def _is_ready(self, round_: int) -> bool:
        """Return whether the leaders that can be expected have come."""
        missing = self._missing(round_) if round_ > 0 else 0
        return not self._leaders(round_) & missing & ~self._late_authors()


def _with_a_fast_voter(plan: Plan, parts: Machinery) -> tuple[Plan, Machinery]:
    """Let one of four sites vote fast and against all leaders, with a network that helps it.

    No message is held for longer than a fraction of the timeout. The others lead by turns: a round
    that the hostile site leads would only cost it votes.
    """
    planned = replace(
        plan,
        stakes=(1,) * 4,
        hostile={3: ()},
        parameters=replace(plan.parameters, leaders_per_round=1),
        delay=FixedDelay(delay_us=5 * MILLISECOND_US),
        adversary=Aim(bound_us=HELD_US, until_us=STARVED_US, bystanders=True),
        commits=50,
        limit_us=STARVED_US,
    )
    hostile = starving(lambda committee, number: few_leaders(committee, planned, number))
    return planned, replace(parts, engine=FewLeadersEngine, leaders=few_leaders, hostile=hostile)


def _with_foul_leads(plan: Plan, parts: Machinery) -> tuple[Plan, Machinery]:
    """Let one of four sites lead foully."""
    liar = plan.seed % 4
    return replace(
        plan,
        stakes=(1,) * 4,
        hostile={liar: ()},
        parameters=replace(plan.parameters, leaders_per_round=4),
        delay=FixedDelay(),
        commits=250,
        limit_us=SLOWED_US,
    ), replace(parts, hostile=leading_foully(parts.engine, (liar + 1) % 4))


PACE_MUTANTS: Final[Mapping[str, Mutant]] = {
    "leaders_alone_awaited": Mutant(
        summary="proposers wait for leaders, and not for clear votes on those before",
        profile="honest",
        caught_by=("I16",),
        change=_with_a_fast_voter,
        replacements=((engine_module, "Proposer", LeadersOnlyProposer),),
        engines=("sync",),
    ),
    "timeout_doubles_per_slot": Mutant(
        summary="the timeout doubles for every slot that is not decided directly",
        profile="honest",
        caught_by=("I16",),
        change=_with_foul_leads,
        replacements=(
            (core_module, "Committer", CountingCommitter),
            (engine_module, "Proposer", SlotwiseProposer),
        ),
        engines=("sync",),
    ),
}
