"""Looks for the schedule that shows a broken replica: how long does each checker take?"""

from dataclasses import dataclass, replace
from typing import Final

from seawall.sim.adversary import world_of
from seawall.sim.checking import InvariantError
from seawall.sim.invariants import all_checkers
from seawall.sim.machinery import honest_machinery
from seawall.sim.mutants import MUTANTS
from seawall.sim.network import SECOND_US
from seawall.sim.profiles import plan_of
from seawall.sim.world import World

HUNT_US_MAX: Final = 30 * SECOND_US
"""A mutant that has not reached its goal by then makes no progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunt:
    """How a mutant was caught: by which invariant, at the how-manieth seed."""

    mutant: str
    invariant: str | None
    seeds: int
    seeds_max: int


def hunt(engine: str, name: str, *, only: str | None = None) -> Hunt:
    """Run seeds until a checker catches the mutant; with `only`, that checker alone."""
    mutant = MUTANTS[name]
    for seed in range(mutant.seeds_max):
        plan = replace(plan_of(mutant.profile, seed, engine=engine), limit_us=HUNT_US_MAX)
        plan, parts = mutant.change(plan, honest_machinery(engine))
        checkers = [one for one in all_checkers() if only in (None, one.invariant)]
        with mutant.installed():
            caught = _caught(world_of(plan, parts, checkers=checkers))
        if caught is not None and only in (None, caught):
            return Hunt(mutant=name, invariant=caught, seeds=seed + 1, seeds_max=mutant.seeds_max)
    return Hunt(mutant=name, invariant=None, seeds=mutant.seeds_max, seeds_max=mutant.seeds_max)


def _caught(world: World) -> str | None:
    try:
        world.run()
    except InvariantError as error:
        return error.invariant
    return None
