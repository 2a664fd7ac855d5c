"""Leaders by turns: what the coin is there to replace. For controls only, never for a real site."""

from dataclasses import replace
from typing import Final

from seawall.consensus.dag.core import Core
from seawall.consensus.dag.engine import DagEngine
from seawall.consensus.engine import Identity
from seawall.domain.committee import Committee
from seawall.domain.parameters import ConsensusParameters
from seawall.sim.machinery import Machinery, honest_machinery
from seawall.sim.plan import Plan

LEADERS_PER_ROUND: Final = 1


class RoundRobinLeaders:
    """One leader a round, all authors by turns."""

    def __init__(self, size: int) -> None:
        """Take turns among so many authors."""
        self._size = size

    def leaders(self, round_: int) -> tuple[int, ...]:
        """Return the one leader of this round."""
        return (round_ % self._size,)


class RoundRobinEngine(DagEngine):
    """The DAG engine with leaders that everybody can foresee, and nothing else changed."""

    followers = 0
    """So many sites, the last ones, never lead."""

    def _make_core(
        self, identity: Identity, committee: Committee, parameters: ConsensusParameters
    ) -> Core:
        leading = RoundRobinLeaders(committee.size - self.followers)
        return Core(identity, committee, parameters, leading)


def round_robin_leaders(committee: Committee, plan: Plan, number: int) -> tuple[int, ...]:
    """Return the leader of a round, as a world's machinery asks for it."""
    del plan
    return RoundRobinLeaders(committee.size).leaders(number)


def round_robin_machinery() -> Machinery:
    """Return the true parts, but for the leaders."""
    parts = honest_machinery("sync")
    return replace(parts, engine=RoundRobinEngine, leaders=round_robin_leaders)
