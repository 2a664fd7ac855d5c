"""Faults under leases: applied once, renewed, reverted, ended by the process itself."""

import math
from random import Random
from typing import Any

import pytest

from seawall.chaos.actuators import ANSWER_US, Actuators
from seawall.chaos.faults import (
    KINDS,
    BandwidthFault,
    ByzantineFault,
    Caller,
    CallFault,
    ClockFault,
    CorruptFault,
    CrashFault,
    DelayFault,
    DiskFault,
    DuplicateFault,
    Fault,
    FreezeFault,
    GrayFault,
    LossFault,
    PartitionFault,
    ResetFault,
    SlowFault,
)
from seawall.chaos.plane import FAULTS_MAX, Change, FaultPlane
from seawall.errors import PeerError
from seawall.runtime.crash import ArmedCrashPoints
from seawall.runtime.faults.freezing import Freezer
from seawall.runtime.faults.links import Cut, Direction, LinkFaults
from seawall.runtime.faults.seams import Seams

POINT = "host.before_send"
SECOND = 1_000_000
IN, OUT = Direction.INBOUND, Direction.OUTBOUND
ALL_ROLES = ("ledger", "integrity", "consensus", "ingestion", "aggregation")


class Ended(Exception):  # noqa: N818 - stands for the end of the process
    """The process would have ended here."""


def end(code: int) -> None:
    raise Ended(code)


class Setup:
    """A plane of site 1 with its places, and what it told."""

    def __init__(self, roles: tuple[str, ...] = ALL_ROLES) -> None:
        self.points = ArmedCrashPoints(end)
        self.changes: list[Change] = []
        self.frozen: list[int] = []
        made = Seams.of(roles, self.points)
        self.seams = Seams(
            crash_points=self.points,
            calls=made.calls,
            freezer=Freezer(self.frozen.append),
            clock=made.clock,
            disk=made.disk,
            links=made.links,
            lies=made.lies,
        )
        if self.seams.lies is not None:
            self.seams.lies.known = ("delay", "equivocate")
        self.plane = FaultPlane(Actuators(self.seams, 1, (0, 2, 3)), self.changes.append)

    @property
    def links(self) -> LinkFaults:
        """Return the links of the replica."""
        assert self.seams.links is not None
        return self.seams.links

    def passes(self, peer: int, direction: Direction) -> bool:
        """Say whether a message of a link would pass now."""
        return not any(isinstance(one, Cut) for one in self.links.on(peer, direction))

    def strikes(self, point: str = POINT) -> bool:
        """Say whether the process would end at a point."""
        try:
            self.points.reach(point)
        except Ended:
            return True
        return False

    def refusal(self, fault: Fault, lease_seconds: int = 10) -> tuple[str, str | None]:
        """Return code and field of the refusal of a fault."""
        with pytest.raises(PeerError) as refused:
            self.plane.apply(fault, lease_seconds, 0)
        return refused.value.code, refused.value.field


@pytest.fixture
def one() -> Setup:
    """Return a plane without faults."""
    return Setup()


def crash(fault_id: str = "a", point: str = POINT, skip: int = 0) -> CrashFault:
    return CrashFault(id=fault_id, point=point, skip_count=skip, seed=5)


def test_a_fault_strikes_until_it_is_reverted(one: Setup) -> None:
    assert not one.strikes()
    one.plane.apply(crash(skip=1), 10, 0)
    assert not one.strikes()
    assert one.strikes()
    one.plane.revert("a")
    assert not one.strikes()
    assert [(change.active, change.reason) for change in one.changes] == [
        (True, ""),
        (False, "reverted"),
    ]


def test_a_lease_runs_out_unless_it_is_renewed(one: Setup) -> None:
    assert one.plane.due_us() is None
    one.plane.apply(crash(), 10, 0)
    one.plane.expire(10 * SECOND - 1)
    assert "a" in one.plane
    one.plane.renew("a", 20, 9 * SECOND)
    one.plane.expire(28 * SECOND)
    (standing,) = one.plane.active()
    assert (standing.fault, standing.until_us) == (crash(), 29 * SECOND)
    assert one.plane.due_us() == 29 * SECOND
    one.plane.expire(29 * SECOND)
    assert "a" not in one.plane
    assert not one.strikes()
    assert one.changes[-1] == Change(fault=crash(), active=False, reason="lease")


def test_two_faults_at_one_point_end_one_by_one(one: Setup) -> None:
    one.plane.apply(crash("a"), 10, 0)
    one.plane.apply(crash("b"), 10, 0)
    one.plane.revert("a")
    assert one.strikes()
    one.plane.revert("b")
    assert not one.strikes()


def test_what_cannot_be_a_fault_is_refused_and_changes_nothing(one: Setup) -> None:
    one.plane.apply(crash("taken"), 10, 0)
    for fault, lease, code in (
        (crash("taken"), 10, "FAULT_ID"),
        (crash(""), 10, "FAULT_ID"),
        (crash("x" * 129), 10, "FAULT_ID"),
        (CrashFault(id="b", point=POINT, experiment="Über"), 10, "FAULT_EXPERIMENT"),
        (crash("b"), 0, "FAULT_LEASE"),
        (crash("b"), 301, "FAULT_LEASE"),
        (crash("b", "nowhere"), 10, "FAULT_POINT"),
    ):
        assert one.refusal(fault, lease)[0] == code
    with pytest.raises(PeerError, match="FAULT_ID"):
        one.plane.renew("b", 10, 0)
    with pytest.raises(PeerError, match="FAULT_ID"):
        one.plane.revert("b")
    with pytest.raises(PeerError, match="FAULT_LEASE"):
        one.plane.renew("taken", 0, 0)
    assert len(one.changes) == len(one.plane.active()) == 1
    for number in range(FAULTS_MAX - 1):
        one.plane.apply(crash(str(number)), 10, 0)
    assert one.refusal(crash("more"))[0] == "FAULT_COUNT"


def partition(
    fault_id: str = "a", peers: tuple[int, ...] = (2,), directions: tuple[Direction, ...] = (OUT,)
) -> PartitionFault:
    return PartitionFault(id=fault_id, peers=peers, directions=directions)


def test_a_partition_cuts_its_links_in_its_directions_until_it_ends(one: Setup) -> None:
    one.plane.apply(partition(), 10, 0)
    one.plane.apply(partition("b", (2, 3), (IN, OUT)), 20, 0)
    assert [one.passes(peer, OUT) for peer in (0, 2, 3)] == [True, False, False]
    assert [one.passes(peer, IN) for peer in (0, 2, 3)] == [True, False, False]
    one.plane.revert("b")
    assert [one.passes(2, OUT), one.passes(2, IN), one.passes(3, OUT)] == [False, True, True]
    one.plane.expire(10 * SECOND)
    assert one.passes(2, OUT)
    assert one.changes[-1] == Change(fault=partition(), active=False, reason="lease")


def test_partitions_and_crashes_do_not_end_each_other(one: Setup) -> None:
    one.plane.apply(crash("a"), 10, 0)
    one.plane.apply(partition("b"), 10, 0)
    one.plane.revert("b")
    assert one.strikes()
    one.plane.apply(partition("b"), 10, 0)
    one.plane.revert("a")
    assert not one.strikes()
    assert not one.passes(2, OUT)


LINK: dict[str, Any] = {"id": "b", "peers": (2,), "directions": (OUT,)}
PLAIN: dict[str, Any] = {"id": "b"}


@pytest.mark.parametrize(
    ("fault", "code", "field"),
    [
        (partition(peers=()), "FAULT_PEERS", "partition.peers"),
        (partition(peers=(1,)), "FAULT_PEERS", "partition.peers"),
        (partition(peers=(4,)), "FAULT_PEERS", "partition.peers"),
        (partition(peers=(2, 2)), "FAULT_PEERS", "partition.peers"),
        (partition(directions=()), "FAULT_DIRECTION", "partition.direction"),
        (DelayFault(**LINK), "FAULT_RANGE", "delay.add_us"),
        (DelayFault(**LINK, add_us=60 * SECOND + 1), "FAULT_RANGE", "delay.add_us"),
        (DelayFault(**LINK, add_us=1, reorder=1.1), "FAULT_SHARE", "delay.reorder"),
        (DelayFault(**LINK, add_us=1, reorder=math.nan), "FAULT_SHARE", "delay.reorder"),
        (LossFault(**LINK, share=0.0), "FAULT_SHARE", "loss.share"),
        (LossFault(**LINK, share=math.inf), "FAULT_SHARE", "loss.share"),
        (GrayFault(**LINK, loss=-0.1), "FAULT_SHARE", "gray.loss"),
        (DuplicateFault(**LINK, share=2.0), "FAULT_SHARE", "duplicate.share"),
        (CorruptFault(**LINK, share=0.0), "FAULT_SHARE", "corrupt.share"),
        (
            BandwidthFault(**LINK, kbit_per_second=0, buffer_bytes=1),
            "FAULT_RANGE",
            "bandwidth.kbit_per_second",
        ),
        (
            BandwidthFault(**LINK, kbit_per_second=1, buffer_bytes=1 << 27),
            "FAULT_RANGE",
            "bandwidth.buffer_bytes",
        ),
        (ResetFault(**LINK, interval_us=1), "FAULT_RANGE", "reset.interval_us"),
        (SlowFault(**LINK, pause_us=0), "FAULT_RANGE", "slow.pause_us"),
        (CallFault(**PLAIN), "FAULT_RANGE", "call.delay_us"),
        (CallFault(**PLAIN, refuse=True, methods=("Nothing",)), "FAULT_METHOD", "call.methods"),
        (CallFault(**PLAIN, refuse=True, callers=(None,)), "FAULT_CALLERS", "call.callers"),
        (
            CallFault(**PLAIN, refuse=True, callers=(Caller.CLIENTS,), peers=(2,)),
            "FAULT_CALLERS",
            "call.callers",
        ),
        (
            CallFault(**PLAIN, refuse=True, callers=(Caller.SITES,), peers=(1,)),
            "FAULT_PEERS",
            "call.peers",
        ),
        (FreezeFault(**PLAIN, duration_us=999), "FAULT_RANGE", "freeze.duration_us"),
        (FreezeFault(**PLAIN, duration_us=10 * SECOND), "FAULT_RANGE", "freeze.duration_us"),
        (ClockFault(**PLAIN), "FAULT_RANGE", "clock.offset_us"),
        (ClockFault(**PLAIN, offset_us=-301 * SECOND), "FAULT_RANGE", "clock.offset_us"),
        (ClockFault(**PLAIN, drift_ppm=100_001), "FAULT_RANGE", "clock.drift_ppm"),
        (DiskFault(**PLAIN), "FAULT_RANGE", "disk.sync_add_us"),
        (DiskFault(**PLAIN, sync_add_us=1, sync_sigma=3.1), "FAULT_RANGE", "disk.sync_sigma"),
        (ByzantineFault(**PLAIN, behaviour="twins"), "FAULT_BEHAVIOUR", "byzantine.behaviour"),
        (
            ByzantineFault(**PLAIN, behaviour="delay", rounds=1001),
            "FAULT_RANGE",
            "byzantine.rounds",
        ),
        (
            ByzantineFault(**PLAIN, behaviour="equivocate", peers=(1,)),
            "FAULT_PEERS",
            "byzantine.peers",
        ),
    ],
)
def test_parameters_that_cannot_be_are_refused(
    one: Setup, fault: Fault, code: str, field: str
) -> None:
    assert one.refusal(fault) == (code, f"fault.{field}")
    assert one.plane.active() == ()
    assert one.passes(2, OUT)
    assert one.frozen == []


def test_a_process_says_which_kinds_it_can_do_and_refuses_the_others() -> None:
    assert Setup().plane.kinds == tuple(sorted(one.kind for one in KINDS))
    assert Setup(("ledger",)).plane.kinds == ("call", "crash", "disk", "freeze")
    plain = Setup(("integrity",))
    assert plain.plane.kinds == ("call", "crash", "freeze")
    assert plain.refusal(partition()) == ("FAULT_KIND", "fault.kind")
    lying = DiskFault(id="a", lying=True)
    assert Setup(("ledger",)).refusal(lying) == ("FAULT_KIND", "fault.disk.lying")


def test_only_one_freeze_holds_and_it_is_over_by_itself(one: Setup) -> None:
    freeze = FreezeFault(id="a", duration_us=2 * SECOND)
    one.plane.apply(freeze, 10, 0)
    assert one.refusal(FreezeFault(id="b", duration_us=SECOND)) == ("FAULT_OVERLAP", "fault.kind")
    assert one.plane.due_us() == ANSWER_US + 2 * SECOND
    one.plane.expire(ANSWER_US + 2 * SECOND)
    assert one.changes[-1] == Change(fault=freeze, active=False, reason="over")
    one.plane.apply(FreezeFault(id="b", duration_us=SECOND), 10, 3 * SECOND)


def test_connections_are_closed_at_once_and_after_each_interval(one: Setup) -> None:
    closed: list[int] = []
    one.links.opened(2, lambda: closed.append(2))
    one.links.opened(3, lambda: closed.append(3))
    one.plane.apply(ResetFault(id="once", peers=(3,), directions=()), 10, 0)
    one.plane.apply(ResetFault(id="often", peers=(2,), directions=(), interval_us=SECOND), 10, 0)
    assert closed == [3, 2]
    assert one.plane.due_us() == SECOND
    one.plane.expire(SECOND - 1)
    one.plane.expire(SECOND)
    one.plane.expire(SECOND)
    assert closed == [3, 2, 2]
    assert [standing.strikes for standing in one.plane.active()] == [1, 2]
    one.plane.expire(20 * SECOND)
    assert closed == [3, 2, 2]


def test_wrong_clocks_add_up_and_become_right_again(one: Setup) -> None:
    clock = one.seams.clock
    assert clock is not None
    now_us = clock.elapsed_us()
    one.plane.apply(ClockFault(id="a", offset_us=-200 * SECOND), 10, now_us)
    one.plane.apply(ClockFault(id="b", offset_us=100 * SECOND), 10, now_us)
    right = Seams.of(ALL_ROLES, one.points).clock
    assert right is not None
    assert -101_000 < clock.wall_ms() - right.wall_ms() < -99_000
    one.plane.revert("a")
    assert 99_000 < clock.wall_ms() - right.wall_ms() < 101_000
    one.plane.revert("b")
    assert abs(clock.wall_ms() - right.wall_ms()) < 1_000


def test_bad_disks_and_lies_end_with_their_faults(one: Setup) -> None:
    disk, lies = one.seams.disk, one.seams.lies
    assert disk is not None
    assert lies is not None
    one.plane.apply(DiskFault(id="full", full=True), 10, 0)
    one.plane.apply(DiskFault(id="lying", lying=True), 10, 0)
    one.plane.apply(ByzantineFault(id="lie", behaviour="delay", rounds=3), 10, 0)
    with pytest.raises(OSError, match="No space left"):
        disk.before_write()
    assert disk.is_lying()
    assert [(lie.behaviour, lie.rounds) for lie in lies.told] == [("delay", 3)]
    assert [standing.strikes for standing in one.plane.active()] == [1, 1, 0]
    one.plane.expire(10 * SECOND)
    disk.before_write()
    assert not disk.is_lying()
    assert lies.told == ()


def test_effects_of_one_seed_are_the_same_in_every_process(one: Setup) -> None:
    loss = LossFault(id="a", seed=9, peers=(2,), directions=(OUT,), share=0.5)
    one.plane.apply(loss, 10, 0)
    (effect,) = one.links.on(2, OUT)
    assert effect.random.getstate() == Random("9 2 outbound").getstate()
