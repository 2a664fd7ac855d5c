"""What the live view shows: the demo as it stands."""

import time
from dataclasses import dataclass, field

from seawall.testbed.demo.figures import Run
from seawall.testbed.demo.outcomes import Band, Outcome
from seawall.testbed.demo.settings import DemoSettings
from seawall.testbed.observer import SiteView


@dataclass(slots=True, kw_only=True)
class State:
    """Everything that views read; the demo writes it.

    Attributes:
        settings: what the demo is made of.
        phase: what is going on.
        views: the sites.
        run: what happened so far.
        outcomes: what was judged so far, in the order of judging.

    """

    settings: DemoSettings
    phase: str = "set-up"
    views: tuple[SiteView, ...] = ()
    run: Run = field(default_factory=Run)
    outcomes: list[Outcome] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    @property
    def version(self) -> int:
        """The newest version that contributors have verified."""
        return self.run.versions[-1][1].version if self.run.versions else 0

    @property
    def accuracy(self) -> float:
        """Its accuracy on the test part, 0..1."""
        return self.run.versions[-1][1].accuracy if self.run.versions else 0.0

    @property
    def active(self) -> list[Band]:
        """The attacks that go on now."""
        return [band for band in self.run.bands if band.end < 0]
