"""What a world runs its seats with: the true parts, or broken ones where a mutant replaces them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from seawall.consensus.dag.leaders import PermutationLeaders
from seawall.consensus.engine import Engine
from seawall.consensus.engines import ENGINES, EngineFactory
from seawall.consensus.replica import Journal, Replica
from seawall.domain.committee import Committee
from seawall.sim.byzantine import twin_of
from seawall.sim.coin import coin_engine, coin_leaders
from seawall.sim.disk import Disk
from seawall.sim.passing import Verify, verify_block
from seawall.sim.plan import Plan

FACTORIES: Final[Mapping[str, EngineFactory]] = {"async": coin_engine, "sync": ENGINES["sync"]}
"""The engines that worlds run: those of real sites, with the coin that the plan asks for."""


def permutation_leaders(committee: Committee, plan: Plan, number: int) -> Sequence[int]:
    """Return the leaders of a round in slot order."""
    return PermutationLeaders(committee, plan.parameters.leaders_per_round).leaders(number)


def leaders_of(committee: Committee, plan: Plan, number: int) -> Sequence[int]:
    """Return the leaders of a round in slot order, by the coin where the committee has one."""
    if committee.coin is None:
        return permutation_leaders(committee, plan, number)
    return coin_leaders(committee, plan.parameters.leaders_per_round, number)


def _unchanged(committee: Committee) -> Committee:
    return committee


@dataclass(frozen=True, slots=True, kw_only=True)
class Machinery:
    """The replaceable parts: everything that a site consists of besides its host.

    `committee` maps the true committee to the one that replicas believe in; `twin` and `hostile`
    build the replicas of the seats that the plan calls so.
    """

    engine: EngineFactory
    twin: EngineFactory
    hostile: EngineFactory
    replica: Callable[[Engine, Journal], Replica] = Replica
    disk: Callable[[], Disk] = Disk
    verify: Verify = verify_block
    committee: Callable[[Committee], Committee] = _unchanged
    leaders: Callable[[Committee, Plan, int], Sequence[int]] = leaders_of


def honest_machinery(engine: str) -> Machinery:
    """Return the true parts around one engine of the table."""
    factory = FACTORIES[engine]
    return Machinery(engine=factory, twin=twin_of(factory), hostile=factory)
