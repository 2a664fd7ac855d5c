"""What work costs in a world: the times that its plan fixes, and no more; see also `capacity`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from seawall.consensus.engine import Event, Message, Output
from seawall.domain.commit import Commit
from seawall.sim.plan import Plan

if TYPE_CHECKING:
    from seawall.sim.seat import Seat


class Costless:
    """The part of a world that says how long work takes."""

    plan: Plan
    now_us: int

    def working_us(self, seat: "Seat", events: Sequence[Event], output: Output) -> int:
        """Return how long a seat was busy with these events, beside the sync of its disk."""
        del seat, events, output
        return 0

    def ledger_us(self, seat: "Seat", commit: Commit) -> int:
        """Return how long a seat's ledger takes from now to answer this commit."""
        del seat, commit
        return self.plan.ledger_us

    def leaving_us(self, seat: "Seat", message: Message) -> int:
        """Return when a message that is sent now has left the seat."""
        del seat, message
        return self.now_us
