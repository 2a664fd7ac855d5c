"""The invariants of restart and catching up: the only checkers that look inside an engine."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seawall.consensus.dag.core import Core
from seawall.consensus.dag.engine import DagEngine
from seawall.consensus.engine import Engine, Output
from seawall.domain.block import Ref
from seawall.sim.checking import Checker, own_blocks
from seawall.sim.network import SECOND_US

if TYPE_CHECKING:
    from seawall.sim.seat import Seat
    from seawall.sim.world import World

SUSPENDED_US_MAX = 10 * SECOND_US
"""Longer than the longest pause between two requests for one block to all peers of a site."""


def core_of(engine: Engine | None) -> Core | None:
    """Return what a DAG engine knows, None for other families."""
    return engine._core if isinstance(engine, DagEngine) else None  # noqa: SLF001  # an onlooker


def suspended(core: Core) -> list[Ref]:
    """Return the blocks that wait for a missing parent."""
    return list(core.pending._waiting)  # noqa: SLF001  # an onlooker


@dataclass(slots=True)
class _Promise:
    """What the outside has seen of a seat, and so what its disk must hold.

    `own_round` is the round of the last own block that it proposed (one that it lost with its
    disk may come back to it from others and leave again), `index` the last commit that it
    voted for. A commit that was only handed to the own ledger is no promise: it is made again.
    """

    own_round: int = 0
    index: int = 0
    wipes: int = 0


class Recovery(Checker):
    """I13: a replica rebuilt from its journal stands where it stood before the crash.

    It has every commit that it voted for, and its own chain up to the last block that it sent.
    At the end of a run every seat is rebuilt once more, and must hold just the blocks that the
    running one has written down.
    """

    invariant = "I13"

    def __init__(self) -> None:
        """Start without promises."""
        self._promises: dict[int, _Promise] = {}

    def on_start(self, world: "World", seat: "Seat") -> None:
        """Compare the rebuilt engine with what its seat had promised."""
        promise = self._promises.setdefault(seat.index, _Promise())
        core = core_of(seat.engine)
        if seat.wipes != promise.wipes:
            self._promises[seat.index] = _Promise(wipes=seat.wipes)
            return
        if core is not None:
            self._compare(world, seat, core, promise)

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Keep what this output shows to the outside."""
        if seat.author in world.plan.twins:
            return
        promise = self._promises[seat.index]
        for block in own_blocks(seat.author, output, proposed=True):
            promise.own_round = max(promise.own_round, block.ref.round)
            for vote in block.block.commit_votes:
                promise.index = max(promise.index, vote.index)

    def on_end(self, world: "World") -> None:
        """Rebuild every running seat from its durable records and compare."""
        for seat in world.seats:
            running = core_of(seat.engine)
            if running is None or seat.busy or seat.author in world.plan.hostile:
                continue
            rebuilt = core_of(seat.rebuild(world))
            assert rebuilt is not None, "the same engine as before"
            self._compare(world, seat, rebuilt, self._promises[seat.index])
            floor = running.gc_round
            unwritten = {block.ref for block in world.passage.accepted(running.unwritten)}
            known = {vertex.ref for vertex in running.store if vertex.round > floor} - unwritten
            again = {vertex.ref for vertex in rebuilt.store if vertex.round > floor}
            if known != again:
                detail = f"{len(known - again)} blocks are lost, {len(again - known)} are new"
                raise self._broken(world, seat, detail)

    def _compare(self, world: "World", seat: "Seat", core: Core, promise: _Promise) -> None:
        own_round = core.store.highest_round_of(seat.author)
        if own_round < promise.own_round:
            detail = f"own blocks end at round {own_round}, sent were {promise.own_round}"
            raise self._broken(world, seat, detail)
        order = core.linearizer
        if order.index < promise.index:
            detail = f"commits end at {order.index}, votes went up to {promise.index}"
            raise self._broken(world, seat, detail)

    def _broken(self, world: "World", seat: "Seat", detail: str) -> AssertionError:
        return world.violation(self.invariant, f"{seat.name} after replay: {detail}")


class NothingSuspended(Checker):
    """I17: no honest block stays suspended while its author is up and within reach.

    The clock of a suspended block runs only in calm times: after the plan has healed.
    """

    invariant = "I17"

    def __init__(self) -> None:
        """Start with nothing suspended."""
        self._since: dict[tuple[int, int], dict[Ref, int]] = {}

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Look at how long the seat's suspended blocks have waited."""
        del output
        core = core_of(seat.engine)
        if core is None or not len(core.pending) or world.now_us < world.plan.heal_us:
            return
        if seat.author in world.faulty:
            return
        key = (seat.index, seat.incarnation)
        before = self._since.get(key, {})
        up = {other.author for other in world.honest() if other.replica is not None}
        now = {ref: before.get(ref, world.now_us) for ref in suspended(core) if ref.author in up}
        self._since[key] = now
        for ref, since_us in now.items():
            if world.now_us - since_us > SUSPENDED_US_MAX:
                detail = f"{seat.name} suspends round {ref.round}, author {ref.author} for ever"
                raise world.violation(self.invariant, detail)
