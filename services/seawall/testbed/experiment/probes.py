"""Independent looks at whether a fault is real: at what arrives, stops, lags or lies meanwhile.

A run whose fault had no effect says nothing, so its verdict is INCONCLUSIVE.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from seawall.chaos.experiment.faults import Byzantine, Clock, Crash, Disk, FaultKind, Flood, Links
from seawall.chaos.experiment.links import Direction
from seawall.chaos.runner.injection import Confirmation
from seawall.sim.network import RETRANSMIT_US
from seawall.sim.world import World
from seawall.testbed.experiment.injected import Injected
from seawall.testbed.experiment.meter import Meter

ENOUGH: Final = 0.5
"""Share of the effect that must be seen."""


class Probe(Protocol):
    """Takes note of how things are when a fault begins, and compares when it ends."""

    def confirm(self) -> Confirmation:
        """Return what has been seen of the fault."""
        ...


def probe_of(fault: FaultKind, injected: Injected, world: World, meter: Meter) -> Probe:
    """Return the probe for a fault that is about to begin."""
    match fault:
        case Crash():
            return _CrashProbe(injected, meter)
        case Disk():
            return _DiskProbe(fault, injected, world, meter)
        case Clock():
            return _ClockProbe(fault, injected, meter)
        case Byzantine():
            return _TwinProbe(injected, world) if injected.twins else _LieProbe(injected, world)
        case Links():
            return _DelayProbe(injected, world)
        case Flood():
            return _FloodProbe(fault, injected, meter)
        case _:
            return _CutProbe(injected, world)


def _carried(world: World, directions: Sequence[Direction]) -> tuple[int, int]:
    """Return (messages, their travel times together) that these directions have carried so far."""
    found = [world.network.carried(source, target) for source, target in directions]
    return sum(messages for messages, _ in found), sum(travel for _, travel in found)


class _CutProbe:
    """A partition is real when links that carried messages before carry none."""

    def __init__(self, injected: Injected, world: World) -> None:
        self._world = world
        self._directions = injected.illness.directions
        self._before = _carried(world, self._directions)[0]

    def confirm(self) -> Confirmation:
        during = _carried(self._world, self._directions)[0] - self._before
        evidence = (
            f"{len(self._directions)} directions carried {self._before} messages before, "
            f"{during} meanwhile"
        )
        return Confirmation(is_seen=self._before > 0 and during == 0, evidence=evidence)


class _DelayProbe:
    """Slow links are real when messages travel longer, by a good part of what was added."""

    def __init__(self, injected: Injected, world: World) -> None:
        self._world = world
        self._flaws = injected.illness.flaws
        self._directions = injected.illness.directions
        self._before = _carried(world, self._directions)

    def confirm(self) -> Confirmation:
        messages, travel_us = _carried(self._world, self._directions)
        messages_before, travel_before_us = self._before
        messages -= messages_before
        usual_us = travel_before_us / max(1, messages_before)
        mean_us = (travel_us - travel_before_us) / max(1, messages)
        expected = [
            flaw.add_us
            + flaw.loss / max(1.0 - flaw.loss, 0.01) * RETRANSMIT_US
            + flaw.late * flaw.late_us
            for flaw in self._flaws.values()
        ]
        added_us = sum(expected) / max(1, len(expected))
        evidence = (
            f"a message took {mean_us / 1000:.1f} ms on {len(self._directions)} directions, "
            f"{usual_us / 1000:.1f} ms before"
        )
        seen = messages > 0 and mean_us - usual_us >= ENOUGH * added_us
        return Confirmation(is_seen=seen, evidence=evidence)


class _CrashProbe:
    """A crash is real when every process that it hits has stopped."""

    def __init__(self, injected: Injected, meter: Meter) -> None:
        self._injected = injected
        self._meter = meter
        self._before = dict(meter.crashes)

    def confirm(self) -> Confirmation:
        hit = self._injected.hit
        stopped = [
            site for site in hit if self._meter.crashes.get(site, 0) > self._before.get(site, 0)
        ]
        evidence = f"{len(stopped)} of {len(hit)} processes stopped"
        return Confirmation(is_seen=bool(hit) and len(stopped) == len(hit), evidence=evidence)


class _DiskProbe:
    """A bad disk is real when syncs take longer, keep nothing, or its process has stopped."""

    def __init__(self, fault: Disk, injected: Injected, world: World, meter: Meter) -> None:
        self._fault = fault
        self._disks = [world.seats[site].disk for site in injected.hit]
        self._crash = _CrashProbe(injected, meter)
        self._usual_us = world.plan.sync_us
        self._before = [(disk.syncs, disk.synced_us) for disk in self._disks]
        self._lost_before = [disk.lost_records for disk in self._disks]

    def confirm(self) -> Confirmation:
        if self._fault.full:
            return self._crash.confirm()
        if self._fault.lying:
            found = [
                disk.lost_records - lost + disk.promised_records
                for disk, lost in zip(self._disks, self._lost_before, strict=True)
            ]
            evidence = f"{sum(found)} records were acknowledged and not durable"
            return Confirmation(is_seen=bool(found) and all(found), evidence=evidence)
        syncs = sum(disk.syncs for disk in self._disks) - sum(n for n, _ in self._before)
        took_us = sum(disk.synced_us for disk in self._disks) - sum(us for _, us in self._before)
        mean_us = took_us / max(1, syncs)
        evidence = f"a sync took {mean_us / 1000:.1f} ms, {self._usual_us / 1000:.1f} ms is usual"
        seen = syncs > 0 and mean_us - self._usual_us >= ENOUGH * self._fault.sync_add
        return Confirmation(is_seen=seen, evidence=evidence)


class _FloodProbe:
    """A flood is real when a good part of it was handed in."""

    def __init__(self, fault: Flood, injected: Injected, meter: Meter) -> None:
        self._meter = meter
        seconds = (injected.end_us - injected.begin_us) / 1_000_000
        self._expected = fault.rate * seconds
        self._before = meter.flooded

    def confirm(self) -> Confirmation:
        count = self._meter.flooded - self._before
        evidence = f"{count} updates of the flood were handed in"
        return Confirmation(is_seen=count >= ENOUGH * self._expected, evidence=evidence)


class _ClockProbe:
    """A wrong clock is real when the timestamps of the site's blocks are off."""

    def __init__(self, fault: Clock, injected: Injected, meter: Meter) -> None:
        self._injected = injected
        self._meter = meter
        seconds = (injected.end_us - injected.begin_us) / 1_000_000
        self._expected_ms = fault.offset / 1000 + fault.drift * seconds / 1000
        self._before = dict(meter.skew_ms)

    def confirm(self) -> Confirmation:
        found = [
            self._meter.skew_ms.get(site, 0) - self._before.get(site, 0)
            for site in self._injected.hit
        ]
        evidence = "timestamps of blocks moved by " + ", ".join(f"{one} ms" for one in found)
        share = [one / self._expected_ms if self._expected_ms else 0.0 for one in found]
        seen = bool(share) and min(share) >= ENOUGH
        return Confirmation(is_seen=seen, evidence=evidence)


class _LieProbe:
    """A behaviour is real when the site has signed or sent what an honest one would not."""

    def __init__(self, injected: Injected, world: World) -> None:
        self._seats = [world.seats[site] for site in injected.hit]
        self._before = [seat.lies for seat in self._seats]

    def confirm(self) -> Confirmation:
        found = [seat.lies - lies for seat, lies in zip(self._seats, self._before, strict=True)]
        evidence = ", ".join(
            f"site {seat.index} lied in {lies} steps"
            for seat, lies in zip(self._seats, found, strict=True)
        )
        return Confirmation(is_seen=bool(found) and all(found), evidence=evidence)


class _TwinProbe:
    """A twin is real when it has signed blocks of rounds after its site's at the beginning."""

    def __init__(self, injected: Injected, world: World) -> None:
        self._injected = injected
        self._world = world
        self._before = [self._round(site) for site in injected.hit]

    def confirm(self) -> Confirmation:
        twins = self._injected.twins
        found = [self._round(twins[site]) for site in self._injected.hit]
        rounds = [max(0, now - then) for now, then in zip(found, self._before, strict=True)]
        evidence = ", ".join(
            f"the twin of site {site} signed blocks of {count} rounds"
            for site, count in zip(self._injected.hit, rounds, strict=True)
        )
        return Confirmation(is_seen=bool(rounds) and all(rounds), evidence=evidence)

    def _round(self, seat: int) -> int:
        engine = self._world.seats[seat].engine
        return 0 if engine is None else engine.status().last_proposed_round
