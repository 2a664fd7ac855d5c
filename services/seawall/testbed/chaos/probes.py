"""Looks at whether a fault is real, through other eyes than those of what injects it.

What arrives at other sites, which processes are gone, how long updates take. Where nothing outside
can see a fault (a clock, a disk that lies, a lie that nobody can prove) the target's own count of
its strikes is taken, and the evidence says so.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from seawall.chaos.experiment.faults import (
    Crash,
    Delay,
    Disk,
    FaultKind,
    Flood,
    Gray,
    Links,
    Loss,
    Partition,
)
from seawall.chaos.experiment.links import Direction
from seawall.chaos.runner.injection import Confirmation, Injection
from seawall.chaos.runner.protocols import Probe
from seawall.testbed.chaos.flood import FloodActuator
from seawall.testbed.chaos.plane import PlaneActuator
from seawall.testbed.experiment.samples import Samples, Update
from seawall.testbed.observer import Observer, SiteView
from seawall.testbed.processes import ProcessRecord, is_running

ENOUGH: Final = 0.5
"""Share of the effect that must be seen."""

SAMPLES_MIN: Final = 5
PATIENCE_US: Final = 1_000_000
"""How long a latency is waited for before the sites are asked."""

RETRANSMIT_US: Final = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Eyes:
    """What probes look with.

    Attributes:
        observer: statuses of all sites.
        processes: the processes of a site that run now.
        samples: what became of updates so far.
        clock: microseconds since the run's start.
        plane: asks fault planes how often they struck.
        flooding: tells how many updates of a flood sites have answered.

    """

    observer: Observer
    processes: Callable[[int], Sequence[ProcessRecord]]
    samples: Samples
    clock: Callable[[], int]
    plane: PlaneActuator
    flooding: FloodActuator


def probe_of(
    fault: FaultKind,
    injections: Sequence[Injection],
    directions: Sequence[Direction],
    eyes: Eyes,
) -> Probe:
    """Return the probe for a fault that is about to begin."""
    hit = [injection.site for injection in injections]
    match fault:
        case Partition():
            return CutProbe(eyes, directions)
        case Links():
            touched = sorted(dict.fromkeys(site for pair in directions for site in pair))
            return LatencyProbe(eyes, injections, touched, _added_us(fault))
        case Crash():
            return StopProbe(eyes, hit)
        case Disk(full=True):
            return StopProbe(eyes, hit)
        case Disk(lying=False, sync_add=sync_add):
            return LatencyProbe(eyes, injections, hit, sync_add)
        case Flood():
            return FloodProbe(eyes, fault, injections)
        case _:
            return StrikeProbe(eyes, injections)


def _added_us(fault: Links) -> int:
    """Return what a message takes longer in the mean."""
    match fault:
        case Delay():
            return fault.add + int(fault.reorder * fault.reorder_by)
        case Gray():
            return fault.add + _waits_us(fault.loss)
        case Loss():
            return _waits_us(fault.share)
        case _:
            raise AssertionError("links are delayed, lossy or gray")


def _waits_us(share: float) -> int:
    return int(share / max(1.0 - share, 0.01) * RETRANSMIT_US)


class CutProbe:
    """A partition is real when sites hear nothing more from those whose links are cut."""

    def __init__(self, eyes: Eyes, directions: Sequence[Direction]) -> None:
        """Look at these directions."""
        self._eyes = eyes
        self._directions = tuple(directions)
        self._before = 0
        self._last: tuple[SiteView, ...] = ()

    async def begin(self) -> None:
        """Count what has arrived so far."""
        views = await self._eyes.observer.look()
        self._before = sum(self._heard(views).values())

    async def look(self) -> Confirmation:
        """Compare what has arrived with the look before."""
        views = await self._eyes.observer.look()
        last, now = self._heard(self._last), self._heard(views)
        self._last = views
        # Between two looks: what was under way when the links were cut may still arrive.
        compared = [pair for pair in self._directions if pair in last and pair in now]
        loud = [pair for pair in compared if now[pair] != last[pair]]
        silent = f"{len(compared) - len(loud)} of them none between two looks"
        if not last:
            silent = "it was looked only once since"
        evidence = (
            f"{len(self._directions)} directions carried {self._before} messages before; {silent}"
        )
        seen = self._before > 0 and len(compared) == len(self._directions) and not loud
        return Confirmation(is_seen=seen, evidence=evidence)

    def _heard(self, views: Sequence[SiteView]) -> dict[Direction, int]:
        """Return the messages that have arrived by direction, of sites that answer."""
        return {
            (source, view.site): view.heard[source]
            for view in views
            if view.up
            for source in range(len(view.heard))
            if (source, view.site) in self._directions
        }


class StopProbe:
    """A crash is real when the processes that ran before it are gone at every site."""

    def __init__(self, eyes: Eyes, hit: Sequence[int]) -> None:
        """Look at the processes of these sites."""
        self._eyes = eyes
        self._hit = tuple(hit)
        self._before: dict[int, tuple[ProcessRecord, ...]] = {}

    async def begin(self) -> None:
        """Note who runs."""
        self._before = {site: tuple(self._eyes.processes(site)) for site in self._hit}

    async def look(self) -> Confirmation:
        """Say whose processes are gone."""
        stopped = [
            site
            for site, before in self._before.items()
            if before and not any(is_running(process) for process in before)
        ]
        evidence = f"the processes of {len(stopped)} of {len(self._hit)} sites stopped"
        seen = bool(self._hit) and len(stopped) == len(self._hit)
        return Confirmation(is_seen=seen, evidence=evidence)


class LatencyProbe:
    """Slow links and disks are real when updates at the sites that they touch take longer."""

    def __init__(
        self,
        eyes: Eyes,
        injections: Sequence[Injection],
        touched: Sequence[int],
        added_us: int,
    ) -> None:
        """Expect updates at these sites to take longer by a good part of `added_us`."""
        self._eyes = eyes
        self._strikes = StrikeProbe(eyes, injections)
        self._touched = tuple(touched)
        self._added_us = added_us
        self._began_us = 0

    async def begin(self) -> None:
        """Note the time."""
        self._began_us = self._eyes.clock()

    async def look(self) -> Confirmation:
        """Compare updates from before with those since."""
        now_us = self._eyes.clock()
        mine = [one for one in self._eyes.samples.updates if one.site in self._touched]
        before = self._waits([one for one in mine if one.submitted_us < self._began_us], now_us)
        since = self._waits([one for one in mine if one.submitted_us >= self._began_us], now_us)
        if len(before) < SAMPLES_MIN or len(since) < SAMPLES_MIN:
            evidence = f"too few updates to compare: {len(before)} before, {len(since)} since"
            return await self._asked(evidence)
        usual, found = median(before), median(since)
        evidence = (
            f"an update at {len(self._touched)} sites was final after {found / 1000:.0f} ms, "
            f"{usual / 1000:.0f} ms before (medians)"
        )
        if found - usual >= ENOUGH * self._added_us:
            return Confirmation(is_seen=True, evidence=evidence)
        return await self._asked(evidence)

    async def _asked(self, evidence: str) -> Confirmation:
        """Return what the sites say themselves, where latencies leave it open.

        Slow links of one site need not slow anybody down: that is what quorums are for.
        """
        if self._eyes.clock() - self._began_us < PATIENCE_US:
            return Confirmation(is_seen=False, evidence=evidence)
        counted = await self._strikes.look()
        return Confirmation(is_seen=counted.is_seen, evidence=f"{evidence}; {counted.evidence}")

    def _waits(self, updates: Iterable[Update], now_us: int) -> list[int]:
        """Return how long updates waited to be final; those that are not count as long so far."""
        found = []
        for one in updates:
            if one.final_us is not None:
                found.append(one.final_us - one.submitted_us)
            elif now_us - one.submitted_us > self._added_us:
                found.append(now_us - one.submitted_us)
        return found


class StrikeProbe:
    """Where nothing outside can tell, the process itself says how often the fault has struck."""

    def __init__(self, eyes: Eyes, injections: Sequence[Injection]) -> None:
        """Ask the sites of these injections."""
        self._eyes = eyes
        self._injections = tuple(injections)

    async def begin(self) -> None:
        """Do nothing: a fault counts from when it begins."""

    async def look(self) -> Confirmation:
        """Ask every site."""
        strikes = [await self._eyes.plane.strikes(injection) for injection in self._injections]
        evidence = f"the sites themselves count {', '.join(map(str, strikes)) or 'no'} strikes"
        return Confirmation(is_seen=bool(strikes) and all(strikes), evidence=evidence)


class FloodProbe:
    """A flood is real when sites have answered a good part of it, be it with refusals."""

    def __init__(self, eyes: Eyes, fault: Flood, injections: Sequence[Injection]) -> None:
        """Look at the answers of these injections."""
        self._eyes = eyes
        self._fault = fault
        self._injections = tuple(injections)
        self._began_us = 0

    async def begin(self) -> None:
        """Note the time."""
        self._began_us = self._eyes.clock()

    async def look(self) -> Confirmation:
        """Count the answers."""
        seconds = (self._eyes.clock() - self._began_us) / 1_000_000
        answered = sum(self._eyes.flooding.answered(one.id) for one in self._injections)
        evidence = f"sites have answered {answered} updates of the flood within {seconds:.1f} s"
        # Over the first second it only begins.
        wanted = max(1.0, ENOUGH * self._fault.rate * (seconds - 1.0))
        return Confirmation(is_seen=answered >= wanted, evidence=evidence)
