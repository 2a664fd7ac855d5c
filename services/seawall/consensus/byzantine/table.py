"""The table of behaviours by name, and how a plan or a command line names one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from seawall.consensus.byzantine.content import Censor, GarbageShares, RejectAll, StaleParents
from seawall.consensus.byzantine.engine import byzantine
from seawall.consensus.byzantine.forging import Forge
from seawall.consensus.byzantine.sending import Delay, Equivocate, Selective, Withhold
from seawall.consensus.byzantine.site import Behaviour
from seawall.consensus.engines import EngineFactory


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One behaviour with its parameters; those that it does not have are ignored.

    `peers` are who gets own blocks (`withhold`), those of even rounds (`selective`) or the second
    ones (`equivocate`, `two_chains`), or whose blocks are left out (`censor`). `rounds` is how long
    blocks are held back (`delay`) or how old parents may be (`stale_parents`).
    """

    behaviour: str
    peers: tuple[int, ...] = ()
    rounds: int = 1

    def build(self) -> Behaviour:
        """Return the behaviour, for one site."""
        return BEHAVIOURS[self.behaviour](self)


BEHAVIOURS: Final[Mapping[str, Callable[[Script], Behaviour]]] = {
    "censor": lambda script: Censor(script.peers),
    "delay": lambda script: Delay(script.rounds),
    "equivocate": lambda script: Equivocate(script.peers),
    "forge": lambda _: Forge(),
    "garbage_shares": lambda _: GarbageShares(),
    "reject_all": lambda _: RejectAll(),
    "selective": lambda script: Selective(script.peers),
    "stale_parents": lambda script: StaleParents(script.rounds),
    "two_chains": lambda script: Equivocate(script.peers, chained=True),
    "withhold": lambda script: Withhold(script.peers),
}


def scripted(honest: EngineFactory, scripts: Sequence[Script]) -> EngineFactory:
    """Return a factory of engines that follow these scripts, in their order."""
    return byzantine(honest, lambda: [script.build() for script in scripts])
