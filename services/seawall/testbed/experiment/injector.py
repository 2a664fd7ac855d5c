"""Injects the faults of an experiment into a world, and takes them away again."""

from collections.abc import Callable, Iterable
from functools import partial
from heapq import heappop, heappush
from typing import Final

from seawall.chaos.experiment.checks import random_of, targets_of
from seawall.chaos.experiment.faults import Byzantine, Clock, Crash, Disk, Links, Partition
from seawall.chaos.experiment.schema import Experiment
from seawall.consensus.byzantine.table import Script
from seawall.sim import plan
from seawall.sim.disk import DiskHealth
from seawall.sim.plan import ClockChange, DiskChange, Flaw, LinksChange, ScriptChange
from seawall.sim.world import World
from seawall.testbed.experiment import links
from seawall.testbed.experiment.injected import Injected
from seawall.testbed.experiment.meter import Meter
from seawall.testbed.experiment.probes import Probe, probe_of

SPARED_SHAPES: Final = ("majority", "majorities_ring", "bridge", "groups")
"""Partitions that leave no side alone."""


class Injector:
    """Applies faults as moves of a world, so that a violation names them in its replay command."""

    def __init__(self, experiment: Experiment, world: World, meter: Meter) -> None:
        """Schedule every fault of the experiment; none is active yet."""
        self._experiment = experiment
        self._world = world
        self._meter = meter
        self._active: dict[int, Injected] = {}
        self._probes: dict[int, Probe] = {}
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0
        self.injected: list[Injected] = []
        phases = experiment.spec.phases
        for number, fault in enumerate(experiment.spec.faults):
            self._at(phases.baseline + fault.ends_us(phases.hold), partial(self._end, number))
        for number, fault in enumerate(experiment.spec.faults):
            self._at(phases.baseline + fault.at, partial(self._begin, number))

    def _twin(self, site: int) -> int:
        """Return the seat of a site's twin."""
        return self._world.committee.size + self._world.plan.twins.index(site)

    def drive(self, until_us: int) -> None:
        """Move the world on to this time, with all faults that begin or end until then."""
        if not self._world.now_us:
            self._stop_twins()
        while self._heap and self._heap[0][0] <= until_us:
            time_us, _, action = heappop(self._heap)
            if time_us > self._world.now_us:
                # Not between changes of one instant: a replay makes them at one go, too.
                self._world.advance(time_us)
            action()
        self._world.advance(until_us)

    def _stop_twins(self) -> None:
        """Stop the second process of each site that will have one: so far it has none."""
        self._world.advance(1)
        for site in self._world.plan.twins:
            self._world.crash(self._twin(site), restart_after_us=None)

    def _at(self, time_us: int, action: Callable[[], None]) -> None:
        self._sequence += 1
        heappush(self._heap, (time_us, self._sequence, action))

    def _begin(self, number: int) -> None:
        """Begin one fault and start to look for its traces."""
        fault = self._experiment.spec.faults[number]
        world, phases = self._world, self._experiment.spec.phases
        primaries = self._primaries()
        targets = targets_of(self._experiment, number, primaries)
        injected = Injected(
            number=number,
            kind=fault.kind,
            begin_us=world.now_us,
            end_us=phases.baseline + fault.ends_us(phases.hold),
            hit=targets.get("targets", ()),
            about=targets.get("peers", ()),
        )
        match fault.detail:
            case Partition() as detail:
                random = random_of(self._experiment, number)
                size = world.committee.size
                injected.illness = links.partition(detail, size, random, primaries)
                if detail.shape not in SPARED_SHAPES:
                    injected.hit = injected.illness.inside
            case Links() as detail:
                zones = self._experiment.site_zones
                injected.illness = links.flaws(detail, zones, targets)
            case Byzantine(behaviour="twins"):
                injected.twins = {site: self._twin(site) for site in injected.hit}
                injected.illness = links.twins(injected.twins, injected.about, world.plan.authors)
            case _:
                pass
        self.injected.append(injected)
        self._active[number] = injected
        self._probes[number] = probe_of(fault.detail, injected, world, self._meter)
        if isinstance(fault.detail, Crash):
            self._crash(fault.detail, injected)
        else:
            self._apply(injected)
        for site, twin in injected.twins.items():
            world.start(twin, copy_of=site)

    def _end(self, number: int) -> None:
        """Look whether the fault was real, and end it; what others still do goes on."""
        injected = self._active.pop(number)
        injected.confirmation = self._probes[number].confirm()
        for twin in injected.twins.values():
            self._world.crash(twin, restart_after_us=None)
        if injected.kind != "crash":
            self._apply(injected)

    def _primaries(self) -> tuple[int, ...]:
        """Return the leaders of the highest round that any site has reached."""
        world = self._world
        rounds = [seat.engine.status().round for seat in world.seats if seat.engine is not None]
        return tuple(world.machinery.leaders(world.committee, world.plan, max(rounds, default=1)))

    def _crash(self, detail: Crash, injected: Injected) -> None:
        """Crash all sites at once, or one after the other."""
        down_us = detail.every or injected.end_us - injected.begin_us
        for place, seat in enumerate(injected.hit):
            crash = plan.Crash(
                at_us=0,
                seat=seat,
                restart_after_us=down_us if detail.restart else None,
                wipe=detail.disk == "lost",
                torn=detail.disk == "torn",
            )
            at_us = injected.begin_us + place * (detail.every or 0)
            self._at(at_us, partial(self._world.apply, crash))

    def _apply(self, injected: Injected) -> None:
        """Bring links or sites that a fault hits in line with the faults that are active now."""
        if injected.illness.directions:
            self._apply_links()
        now_us = self._world.now_us
        match injected.kind:
            case "disk":
                for seat in injected.hit:
                    health = self._health(seat)
                    self._world.apply(DiskChange(at_us=now_us, seat=seat, health=health))
            case "clock":
                for seat in injected.hit:
                    self._world.apply(self._clock(seat))
            case "byzantine" if not injected.twins:
                for seat in injected.hit:
                    scripts = tuple(self._scripts(seat))
                    self._world.apply(ScriptChange(at_us=now_us, seat=seat, scripts=scripts))
            case _:
                pass

    def _apply_links(self) -> None:
        whole = links.merged(one.illness for one in self._active.values())
        flaws = tuple(
            Flaw(source=source, target=target, quality=quality)
            for (source, target), quality in sorted(whole.flaws.items())
        )
        now_us = self._world.now_us
        self._world.apply(
            LinksChange(at_us=now_us, cut=whole.cut, stalled=whole.stalled, flaws=flaws)
        )

    def _health(self, seat: int) -> DiskHealth:
        disks = [
            detail
            for one in self._active.values()
            if seat in one.hit
            and isinstance(detail := self._experiment.spec.faults[one.number].detail, Disk)
        ]
        return DiskHealth(
            add_us=sum(disk.sync_add for disk in disks),
            sigma=max((disk.sync_sigma for disk in disks), default=0.0),
            lying=any(disk.lying for disk in disks),
            full=any(disk.full for disk in disks),
        )

    def _clock(self, seat: int) -> ClockChange:
        clocks = [
            detail
            for one in self._active.values()
            if seat in one.hit
            and isinstance(detail := self._experiment.spec.faults[one.number].detail, Clock)
        ]
        return ClockChange(
            at_us=self._world.now_us,
            seat=seat,
            offset_ms=sum(clock.offset for clock in clocks) // 1000,
            drift_ppm=sum(clock.drift for clock in clocks),
        )

    def _scripts(self, seat: int) -> Iterable[Script]:
        for one in self._active.values():
            detail = self._experiment.spec.faults[one.number].detail
            if isinstance(detail, Byzantine) and not one.twins and seat in one.hit:
                yield Script(behaviour=detail.behaviour, peers=one.about, rounds=detail.rounds)
