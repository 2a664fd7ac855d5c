"""Faults under leases: applied once, renewed, reverted, ended by the process itself."""

import pytest

from seawall.chaos.plane import FAULTS_MAX, Change, CrashFault, FaultPlane
from seawall.errors import PeerError
from seawall.runtime.crash import ArmedCrashPoints

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
        self.plane = FaultPlane(self.points, self.changes.append)

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
