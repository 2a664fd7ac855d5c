"""Builds and runs worlds for scenarios: all checkers on, block bytes verified."""

from seawall.sim.invariants import all_checkers
from seawall.sim.machinery import Machinery, honest_machinery
from seawall.sim.plan import Plan
from seawall.sim.world import World


def stage(plan: Plan, engine: str, machinery: Machinery | None = None) -> World:
    """Return a world that has not started yet."""
    return World(plan, machinery or honest_machinery(engine), checkers=all_checkers())


def play(plan: Plan, engine: str, machinery: Machinery | None = None) -> World:
    """Run a plan to its goal and return the world."""
    world = stage(plan, engine, machinery)
    world.run()
    return world


def heights(world: World) -> list[int]:
    """Return the last commit index of every seat."""
    return [seat.ledger.height for seat in world.seats]
