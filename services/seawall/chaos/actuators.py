"""How each kind of fault is begun and ended in this process.

`Actuators.begin` checks what depends on the process, acts, and returns how that is undone. Faults
of one kind on one place add up: what is late is late twice, shares are drawn one after the other,
the narrowest bandwidth counts, clocks and disks are as wrong as all say together, lies are told in
their order. Only one freeze holds at a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from seawall.chaos import faults
from seawall.chaos.checks import FREEZE_US_MIN, ROUNDS_MAX, SECOND_US, check_links, check_peers
from seawall.chaos.faults import Caller, Fault
from seawall.errors import LocalError, PeerError
from seawall.runtime.faults.calls import API, CallRule
from seawall.runtime.faults.clocks import Deviation
from seawall.runtime.faults.disks import Illness
from seawall.runtime.faults.freezing import ANSWER_SECONDS
from seawall.runtime.faults.lies import Lie
from seawall.runtime.faults.links import (
    Cut,
    Damage,
    Effect,
    Late,
    LinkFaults,
    Narrow,
    Slow,
    Twice,
)
from seawall.runtime.faults.seams import Seams
from seawall.runtime.faults.tally import Tally

ANSWER_US: Final = int(ANSWER_SECONDS * SECOND_US)


@dataclass(slots=True, kw_only=True, eq=False)
class Action:
    """A fault at work.

    Attributes:
        tally: how often it has struck.
        end: undoes it.
        over_us: when it is over by itself, before its lease; None when it is not.
        again: does it once more; None when it is done once, or all the time.
        again_us: when to do it once more.
        interval_us: time between two times.

    """

    tally: Tally
    end: Callable[[], None] = lambda: None
    over_us: int | None = None
    again: Callable[[], None] | None = None
    again_us: int = 0
    interval_us: int = 0
    held: tuple[str, ...] = field(default=())
    """What no other fault may hold at the same time."""


class Actuators:
    """Acts on the places of one process."""

    def __init__(self, seams: Seams, own_site: int, peers: Sequence[int]) -> None:
        """Act on these places; `peers` are the other sites."""
        self._seams = seams
        self._own_site = own_site
        self._peers = tuple(peers)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return the names of the kinds that this process can do, in alphabetical order."""
        seams = self._seams
        links = faults.LINK_KINDS if seams.links is not None else ()
        found: list[type[Fault]] = [faults.CrashFault, faults.CallFault, faults.FreezeFault, *links]
        if seams.clock is not None:
            found.append(faults.ClockFault)
        if seams.disk is not None:
            found.append(faults.DiskFault)
        if seams.lies is not None and seams.lies.known:
            found.append(faults.ByzantineFault)
        return tuple(sorted(one.kind for one in found))

    def begin(self, fault: Fault, now_us: int, until_us: int) -> Action:
        """Do a fault whose parameters hold by themselves.

        Raises:
            PeerError: FAULT_KIND when this process cannot do it; FAULT_POINT, FAULT_PEERS,
                FAULT_DIRECTION, FAULT_METHOD, FAULT_RANGE, FAULT_BEHAVIOUR.

        """
        if fault.kind not in self.kinds:
            hint = f"this process can do {', '.join(self.kinds)}: ask another one of the site"
            raise PeerError("FAULT_KIND", hint, field="fault.kind")
        match fault:
            case faults.CrashFault():
                return self._crash(fault)
            case faults.ResetFault():
                return self._reset(fault, now_us)
            case faults.CallFault():
                return self._call(fault)
            case faults.FreezeFault():
                return self._freeze(fault, now_us, until_us)
            case faults.ClockFault():
                return self._clock(fault, now_us)
            case faults.DiskFault():
                return self._disk(fault)
            case faults.ByzantineFault():
                return self._lie(fault)
            case _:
                return self._shape(fault)

    def _crash(self, fault: faults.CrashFault) -> Action:
        points = self._seams.crash_points
        try:
            points.arm(fault.point, fault.skip_count)
        except LocalError as refused:
            raise PeerError("FAULT_POINT", refused.hint, field="fault.crash.point") from None
        return Action(tally=Tally(), end=lambda: points.disarm(fault.point))

    def _shape(self, fault: faults.Shaping) -> Action:
        check_links(fault, self._peers)
        links, tally = self._links(), Tally()
        effects = {
            (peer, direction): effect_of(
                # Text seeds hash the same in every process.
                fault,
                tally,
                Random(f"{fault.seed} {peer} {direction.value}"),  # noqa: S311 - no secret
            )
            for peer in fault.peers
            for direction in fault.directions
        }
        links.add(effects)
        return Action(tally=tally, end=lambda: links.remove(effects))

    def _reset(self, fault: faults.ResetFault, now_us: int) -> Action:
        check_links(fault, self._peers)
        links, tally = self._links(), Tally()

        def close() -> None:
            tally.count += links.close(fault.peers)

        close()
        if not fault.interval_us:
            return Action(tally=tally)
        return Action(
            tally=tally,
            again=close,
            again_us=now_us + fault.interval_us,
            interval_us=fault.interval_us,
        )

    def _call(self, fault: faults.CallFault) -> Action:
        check_peers(fault.kind, fault.peers, self._peers)
        calls = self._seams.calls
        rule = CallRule(
            methods=self._methods(fault.methods),
            hits_site=self._hits(fault),
            delay_us=fault.delay_us,
            jitter_us=fault.jitter_us,
            refuse=fault.refuse,
            random=Random(fault.seed),  # noqa: S311 - no secret
        )
        calls.add(rule)
        return Action(tally=rule.tally, end=lambda: calls.remove(rule))

    def _methods(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the full names of the methods that are meant."""
        served = self._seams.calls.methods
        if not names:
            return served
        found: list[str] = []
        for name in names:
            full = API + name.removeprefix(API)
            meant = [one for one in served if one == full or one.startswith(f"{full}/")]
            if not meant:
                hint = "name services or methods that this process serves, as LedgerService/Append"
                raise PeerError("FAULT_METHOD", hint, field="fault.call.methods")
            found += meant
        return tuple(dict.fromkeys(found))

    def _hits(self, fault: faults.CallFault) -> Callable[[int | None], bool]:
        """Return whether calls of a site are hit; None stands for clients."""
        callers = fault.callers or tuple(Caller)
        sites = fault.peers or self._peers

        def hits(site: int | None) -> bool:
            if site is None:
                return Caller.CLIENTS in callers
            if site == self._own_site:
                return Caller.OWN_SITE in callers
            return Caller.SITES in callers and site in sites

        return hits

    def _freeze(self, fault: faults.FreezeFault, now_us: int, until_us: int) -> Action:
        over_us = now_us + ANSWER_US + fault.duration_us
        if fault.duration_us < FREEZE_US_MIN or over_us > until_us:
            hint = "freeze for 1 ms up to the lease, less 50 ms"
            raise PeerError("FAULT_RANGE", hint, field="fault.freeze.duration_us")
        tally = Tally()
        tally.add()
        self._seams.freezer.freeze(fault.duration_us // 1000)
        return Action(tally=tally, over_us=over_us, held=("freeze",))

    def _clock(self, fault: faults.ClockFault, now_us: int) -> Action:
        clock = self._seams.clock
        assert clock is not None, "the kind was looked up"
        deviation = Deviation(offset_us=fault.offset_us, drift_ppm=fault.drift_ppm, since_us=now_us)
        clock.add(deviation)
        tally = Tally()
        tally.add()
        return Action(tally=tally, end=lambda: clock.remove(deviation))

    def _disk(self, fault: faults.DiskFault) -> Action:
        disk = self._seams.disk
        assert disk is not None, "the kind was looked up"
        if fault.lying and self._seams.links is None:
            hint = "only a replica's journal can lie: ask the process that runs it"
            raise PeerError("FAULT_KIND", hint, field="fault.disk.lying")
        illness = Illness(
            add_us=fault.sync_add_us,
            sigma=fault.sync_sigma,
            lying=fault.lying,
            full=fault.full,
            random=Random(fault.seed),  # noqa: S311 - no secret
        )
        disk.add(illness)
        return Action(tally=illness.tally, end=lambda: disk.remove(illness))

    def _lie(self, fault: faults.ByzantineFault) -> Action:
        lies = self._seams.lies
        assert lies is not None, "the kind was looked up"
        if fault.behaviour not in lies.known:
            hint = f"choose among {', '.join(lies.known)}"
            raise PeerError("FAULT_BEHAVIOUR", hint, field="fault.byzantine.behaviour")
        check_peers(fault.kind, fault.peers, self._peers)
        if not 1 <= fault.rounds <= ROUNDS_MAX:
            hint = f"choose 1 to {ROUNDS_MAX} rounds"
            raise PeerError("FAULT_RANGE", hint, field="fault.byzantine.rounds")
        lie = Lie(behaviour=fault.behaviour, peers=fault.peers, rounds=fault.rounds)
        lies.add(lie)
        return Action(tally=lie.tally, end=lambda: lies.remove(lie))

    def _links(self) -> LinkFaults:
        assert self._seams.links is not None, "the kind was looked up"
        return self._seams.links


def effect_of(fault: faults.Shaping, tally: Tally, random: Random) -> Effect:
    """Return what a fault does to one direction of one link."""
    match fault:
        case faults.PartitionFault():
            return Cut(tally, random)
        case faults.DelayFault():
            return Late(
                tally,
                random,
                add_us=fault.add_us,
                jitter_us=fault.jitter_us,
                reorder=fault.reorder,
                reorder_by_us=fault.reorder_by_us,
            )
        case faults.LossFault():
            return Late(tally, random, loss=fault.share)
        case faults.GrayFault():
            late = {"add_us": fault.add_us, "jitter_us": fault.jitter_us}
            return Late(tally, random, loss=fault.loss, **late)
        case faults.DuplicateFault():
            return Twice(tally, random, fault.share)
        case faults.CorruptFault():
            return Damage(tally, random, fault.share)
        case faults.BandwidthFault():
            return Narrow(
                tally,
                random,
                kbit_per_second=fault.kbit_per_second,
                buffer_bytes=fault.buffer_bytes,
            )
        case faults.SlowFault():
            return Slow(tally, random, fault.pause_us)
