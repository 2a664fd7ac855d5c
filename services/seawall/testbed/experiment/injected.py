"""A fault of an experiment while it runs: when, whom it hits, and whether it was seen to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from seawall.chaos.runner.injection import Confirmation
from seawall.testbed.experiment.happened import Happened
from seawall.testbed.experiment.links import Illness


@dataclass(slots=True, kw_only=True)
class Injected:
    """One fault of the file, resolved; virtual times.

    `hit` are the sites that it hits themselves, rather than their links; `about` those that a
    behaviour is about; `twins` has the seat of each hit site's second process, if it has one.
    `confirmation` is None until the fault ends.
    """

    number: int
    kind: str
    begin_us: int
    end_us: int
    hit: tuple[int, ...] = ()
    about: tuple[int, ...] = ()
    twins: Mapping[int, int] = field(default_factory=dict)
    illness: Illness = field(default_factory=Illness)
    confirmation: Confirmation | None = None

    def happened(self) -> Happened:
        """Return it as reports have it."""
        return Happened(
            number=self.number,
            kind=self.kind,
            begin_us=self.begin_us,
            end_us=self.end_us,
            hit=self.hit,
            directions=self.illness.directions,
            confirmation=self.confirmation,
        )
