"""Votes and FINAL by rules that common schedules do not show to be wrong, for `mutants`.

Each comes with schedules that are made for it; the true replica goes through them unharmed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Final

from seawall.consensus.dag import fast_path as fast_path_module
from seawall.consensus.dag import finaliser as finaliser_module
from seawall.consensus.dag.ballots import Ballots
from seawall.consensus.dag.finaliser import Finaliser, _Carrier
from seawall.consensus.dag.store import Vertex
from seawall.consensus.engine import Finality
from seawall.domain.parameters import ConsensusParameters
from seawall.sim.machinery import Machinery
from seawall.sim.mutant import Mutant
from seawall.sim.network import MILLISECOND_US, FixedDelay, LogNormalDelay, Quality
from seawall.sim.plan import Flaw, LinksChange, Owners, Plan
from seawall.sim.two_votes import voting_twice

SHORT_ROUND_MS: Final = 5
LATE_US: Final = (30 * MILLISECOND_US, 100 * MILLISECOND_US)
"""Blocks come late by a time between these; a round takes some six milliseconds."""

LATE_UNTIL_US: Final = 600 * MILLISECOND_US


class TardyBallots(Ballots):
    """States FINAL also what the gc round has passed."""

    def state_final(self, gc_round: int, highest_round: int) -> list[Finality]:
        """Take every block for one above the gc round."""
        del gc_round
        return super().state_final(0, highest_round)


class CollectedFinaliser(Finaliser):
    """Counts votes on blocks that the gc round has passed."""

    def _count_all(self, delivered: Sequence[Vertex], leader_round: int, gc_round: int) -> None:
        """Take every block for one above the gc round."""
        del gc_round
        super()._count_all(delivered, leader_round, 0)


class OneVoteCarrier(_Carrier):
    """Counts one vote an author, over all of its chains."""

    def count(self, author_bit: int, rejected: int) -> None:
        """Count the first vote of an author, whatever it says."""
        if all(author_bit != known for known, _ in self.votes):
            super().count(author_bit, rejected)


def _shallow(parameters: ConsensusParameters) -> ConsensusParameters:
    """Return these with the least gc depth that the fast path allows."""
    least = parameters.accept_window + parameters.finality_delay + 3
    return replace(parameters, gc_depth=least)


def _with_copies(plan: Plan, parts: Machinery) -> tuple[Plan, Machinery]:
    """Hand many updates to several sites, and collect early."""
    owners = Owners(equivocating=8, copied=30, resubmitting=True)
    return replace(plan, owners=owners, parameters=_shallow(plan.parameters)), parts


def _with_late_sites(plan: Plan, parts: Machinery) -> tuple[Plan, Machinery]:
    """Let blocks of f honest sites arrive about when the gc round does.

    Such a site hears everybody in time and is heard late. Now and then the others take a block of
    it as a parent in the last round that can, and the votes on it come after that.
    """
    random, size = Random(f"{plan.seed}/late"), len(plan.stakes)
    flaws: list[Flaw] = []
    for late in random.sample(range(size), (size - 1) // 3):
        quality = Quality(add_us=random.randrange(*LATE_US), jitter_us=5 * MILLISECOND_US)
        flaws += [Flaw(source=late, target=to, quality=quality) for to in range(size) if to != late]
    return replace(
        plan,
        stakes=(1,) * size,
        owners=Owners(equivocating=8, copied=30, resubmitting=True),
        parameters=replace(_shallow(plan.parameters), round_delay_ms_min=SHORT_ROUND_MS),
        faults=(LinksChange(at_us=0, flaws=tuple(flaws)), LinksChange(at_us=LATE_UNTIL_US)),
        heal_us=LATE_UNTIL_US,
        delay=FixedDelay(delay_us=MILLISECOND_US),
        sync_us=0,
        submit_every_us=5 * MILLISECOND_US,
    ), parts


def _with_a_double_voter(plan: Plan, parts: Machinery) -> tuple[Plan, Machinery]:
    """Let one of four sites vote twice, at the first contested updates, of which there are many."""
    random = Random(f"{plan.seed}/two votes")
    liar, *others = random.sample(range(4), 4)
    hostile = voting_twice(parts.engine, others[: random.randint(1, 2)])
    return replace(
        plan,
        stakes=(1,) * 4,
        hostile={liar: ()},
        owners=Owners(equivocating=8, spread_us=10 * MILLISECOND_US),
        parameters=replace(plan.parameters, round_delay_ms_min=SHORT_ROUND_MS),
        delay=LogNormalDelay(median_us=5 * MILLISECOND_US),
        sync_us=0,
        submit_every_us=MILLISECOND_US,
        heal_us=200 * MILLISECOND_US,
        commits=10,
    ), replace(parts, hostile=hostile)


TALLY_MUTANTS: Final[Mapping[str, Mutant]] = {
    "final_below_gc_round": Mutant(
        summary="FINAL is stated of what the gc round has passed",
        profile="crash",
        caught_by=("I9",),
        change=_with_copies,
        replacements=((fast_path_module, "Ballots", TardyBallots),),
    ),
    "collected_votes_count": Mutant(
        summary="votes on blocks that the gc round has passed count",
        profile="honest",
        caught_by=("I10",),
        change=_with_late_sites,
        replacements=((fast_path_module, "Finaliser", CollectedFinaliser),),
    ),
    "one_vote_an_author": Mutant(
        summary="of what an equivocator's blocks say of an update the first counts only",
        profile="honest",
        caught_by=("I10",),
        change=_with_a_double_voter,
        replacements=((finaliser_module, "_Carrier", OneVoteCarrier),),
    ),
}
