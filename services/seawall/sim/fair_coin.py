"""The invariant of the common coin, seen from what replicas accept and report."""

from typing import TYPE_CHECKING

from seawall.consensus.engine import Output
from seawall.domain.block import Block
from seawall.sim.checking import Checker

if TYPE_CHECKING:
    from seawall.sim.seat import Seat
    from seawall.sim.world import World


class FairCoin(Checker):
    """I12: the coin is equal everywhere; shares come not before their round, and none is skipped.

    Equal means more than that: the one coin that all holders together make, which the world
    computes from their secrets. An author may skip a share only at or below its own gc round.
    """

    invariant = "I12"

    def __init__(self) -> None:
        """Start before the first share."""
        self._next: dict[int, int] = {}
        self._last_round: dict[int, int] = {}

    def on_start(self, world: "World", seat: "Seat") -> None:
        """Keep what the own blocks on the disk have paid already."""
        self._next[seat.index] = 1
        self._last_round[seat.index] = 0
        for block in world.accepted:
            if block.ref.author == seat.author:
                self._pay(seat, block.block)

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Check the shares in new own blocks, and the leaders that coins have named."""
        if world.committee.coin is None or seat.author in world.faulty:
            return
        for block in world.accepted:
            own = block.ref.author == seat.author
            if own and block.ref.round > self._last_round[seat.index]:
                problem = self._problem(world, seat, block.block)
                if problem is not None:
                    detail = f"{seat.name}, block of round {block.ref.round}: {problem}"
                    raise world.violation(self.invariant, detail)
                self._pay(seat, block.block)
        for seen in output.observe:
            if seen.name == "coin_revealed":
                self._compare(world, seat, int(seen.fields["round"]), str(seen.fields["leaders"]))

    def _problem(self, world: "World", seat: "Seat", block: Block) -> str | None:
        assert seat.engine is not None, "a seat with an output runs"
        last_due = block.round - world.plan.parameters.wave_length + 1
        next_due = max(self._next[seat.index], seat.engine.status().gc_round + 1)
        carried = block.coin_shares
        if not carried.shares:
            return f"it owes a share for round {next_due}" if next_due <= last_due else None
        if carried.first_round + len(carried.shares) - 1 > last_due:
            return "a share comes before its round"
        return "it skips a share" if carried.first_round > next_due else None

    def _pay(self, seat: "Seat", block: Block) -> None:
        carried = block.coin_shares
        paid = carried.first_round + len(carried.shares) if carried.shares else 0
        self._next[seat.index] = max(self._next[seat.index], paid)
        self._last_round[seat.index] = max(self._last_round[seat.index], block.round)

    def _compare(self, world: "World", seat: "Seat", number: int, found: str) -> None:
        expected = world.machinery.leaders(world.committee, world.plan, number)
        if found != " ".join(map(str, expected)):
            detail = f"{seat.name} finds leaders {found} of round {number}, they are {expected}"
            raise world.violation(self.invariant, detail)
