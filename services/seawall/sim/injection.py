"""Faults that change what a seat or a link is like from now on, until the next change of it."""

from typing import TYPE_CHECKING, TypeAlias

from seawall.consensus.engine import Woken
from seawall.sim.network import SILENCE_US
from seawall.sim.plan import ClockChange, DiskChange, LinksChange, ScriptChange

if TYPE_CHECKING:
    from seawall.sim.world import World

Change: TypeAlias = ClockChange | DiskChange | LinksChange | ScriptChange


def inject(world: "World", change: Change) -> None:
    """Apply one change to a world, at its present time."""
    match change:
        case LinksChange():
            _change_links(world, change)
        case DiskChange(seat=index):
            world.seats[index].disk.set_health(change.health)
        case ClockChange(seat=index):
            seat = world.seats[index]
            seat.clock.change(world.now_us, change.offset_ms, change.drift_ppm)
            # A timer that was set by the old rate is set anew.
            world.push(seat, Woken())
        case ScriptChange(seat=index):
            assert index in world.plan.scripted, "only a scripted seat can lie"
            behaviours = [script.build() for script in change.scripts]
            world.seats[index].behaviours = tuple(behaviours)


def _change_links(world: "World", change: LinksChange) -> None:
    network = world.network
    network.set_blind(change.cut)
    network.set_qualities({(flaw.source, flaw.target): flaw.quality for flaw in change.flaws})
    freed = network.set_stalled(change.stalled, world.now_us)
    world.refresh()
    for source, target, messages in freed:
        for message in messages:
            world.transmit(world.seats[source], target, message)
    if change.stalled:
        world.at(world.now_us + SILENCE_US, world.refresh)
