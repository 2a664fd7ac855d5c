"""How a replica lies for the time being."""

from dataclasses import dataclass, field

from seawall.runtime.faults.tally import Tally


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lie:
    """One scripted behaviour; parameters that it does not have are ignored."""

    behaviour: str
    peers: tuple[int, ...] = ()
    rounds: int = 1
    tally: Tally = field(default_factory=Tally)

    def struck(self) -> None:
        """Count one lie."""
        self.tally.add()


class Lies:
    """The lies of one replica, in the order in which they were added.

    `known` are the behaviours that the replica offers: none while it cannot lie. Read by the
    replica's thread while the event loop changes it: the tuple is replaced as a whole.
    """

    def __init__(self) -> None:
        """Start honest."""
        self.known: tuple[str, ...] = ()
        self.told: tuple[Lie, ...] = ()

    def add(self, lie: Lie) -> None:
        """Lie in this way too."""
        self.told = (*self.told, lie)

    def remove(self, lie: Lie) -> None:
        """Take back one call of `add` with the same argument."""
        self.told = tuple(one for one in self.told if one is not lie)
