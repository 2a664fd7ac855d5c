"""Faults under leases: applied once, renewed, reverted, ended by the process itself."""

import pytest

from seawall.chaos.plane import FAULTS_MAX, Change, CrashFault, FaultPlane, PartitionFault
from seawall.errors import PeerError
from seawall.runtime.crash import ArmedCrashPoints
from seawall.runtime.cuts import Direction, LinkCuts

POINT = "host.before_send"
SECOND = 1_000_000


class Ended(Exception):  # noqa: N818 - stands for the end of the process
    """The process would have ended here."""


def end(code: int) -> None:
    raise Ended(code)


class Setup:
    """A plane with its crash points, and what it told."""

    def __init__(self) -> None:
        self.points = ArmedCrashPoints(end)
        self.changes: list[Change] = []
        self.cuts = LinkCuts()
        self.plane = FaultPlane(self.points, self.changes.append, cuts=self.cuts, peers=(0, 2, 3))

    def passes(self, peer: int, direction: Direction) -> bool:
        """Say whether a message of a link would pass now."""
        return not self.cuts.is_cut(peer, direction)

    def strikes(self, point: str = POINT) -> bool:
        """Say whether the process would end at a point."""
        try:
            self.points.reach(point)
        except Ended:
            return True
        return False


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
    one.plane.apply(crash(), 10, 0)
    one.plane.expire(10 * SECOND - 1)
    assert "a" in one.plane
    one.plane.renew("a", 20, 9 * SECOND)
    one.plane.expire(28 * SECOND)
    assert one.plane.active() == ((crash(), 29 * SECOND),)
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
        (crash("b"), 0, "FAULT_LEASE"),
        (crash("b"), 301, "FAULT_LEASE"),
        (crash("b", "nowhere"), 10, "FAULT_POINT"),
    ):
        with pytest.raises(PeerError, match=code):
            one.plane.apply(fault, lease, 0)
    with pytest.raises(PeerError, match="FAULT_ID"):
        one.plane.renew("b", 10, 0)
    with pytest.raises(PeerError, match="FAULT_ID"):
        one.plane.revert("b")
    with pytest.raises(PeerError, match="FAULT_LEASE"):
        one.plane.renew("taken", 0, 0)
    assert len(one.changes) == len(one.plane.active()) == 1
    for number in range(FAULTS_MAX - 1):
        one.plane.apply(crash(str(number)), 10, 0)
    with pytest.raises(PeerError, match="FAULT_COUNT"):
        one.plane.apply(crash("more"), 10, 0)


IN, OUT = Direction.INBOUND, Direction.OUTBOUND


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


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (partition(peers=()), "FAULT_PEERS"),
        (partition(peers=(1,)), "FAULT_PEERS"),
        (partition(peers=(4,)), "FAULT_PEERS"),
        (partition(peers=(2, 2)), "FAULT_PEERS"),
        (partition(directions=()), "FAULT_DIRECTION"),
    ],
)
def test_what_cannot_be_a_partition_is_refused(
    one: Setup, fault: PartitionFault, code: str
) -> None:
    with pytest.raises(PeerError, match=code):
        one.plane.apply(fault, 10, 0)
    assert one.plane.active() == ()
    assert one.passes(2, OUT)


def test_a_process_without_a_replica_has_no_links_to_cut(one: Setup) -> None:
    plane = FaultPlane(one.points, one.changes.append)
    with pytest.raises(PeerError, match="FAULT_KIND"):
        plane.apply(partition(), 10, 0)
