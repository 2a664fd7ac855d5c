"""A behaviour that a fault switches on and off while its replica runs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from seawall.consensus.byzantine.site import Behaviour, Site
from seawall.consensus.engine import Send
from seawall.domain.block import Block

if TYPE_CHECKING:
    from seawall.sim.seat import Seat


class Switched(Behaviour):
    """Does what the seat's behaviours of the moment do, in their order, and counts the lies."""

    def __init__(self, seat: "Seat") -> None:
        """Look the behaviours up in this seat."""
        self._seat = seat

    def content(self, block: Block, site: Site) -> Block:
        """Change what is signed."""
        changed = block
        for behaviour in self._seat.behaviours:
            changed = behaviour.content(changed, site)
        self._seat.lies += changed != block
        return changed

    def sends(self, sends: Sequence[Send], site: Site) -> Sequence[Send]:
        """Change what leaves."""
        changed = sends
        for behaviour in self._seat.behaviours:
            changed = behaviour.sends(changed, site)
        self._seat.lies += tuple(changed) != tuple(sends)
        return changed
