from seawall.consensus.dag.stakes import StakeTable
from tests.unit.consensus.cluster import make_committee


def test_stake_of_masks() -> None:
    stakes = StakeTable(make_committee((3, 1, 1, 2)))
    assert (stakes.total, stakes.quorum, stakes.validity) == (7, 5, 3)
    assert stakes.of(0) == 0
    assert stakes.of(0b1001) == 5
    assert stakes.is_quorum(0b1001)
    assert not stakes.is_quorum(0b0111 & ~0b0100)


def test_what_is_remembered_is_bounded() -> None:
    stakes = StakeTable(make_committee((1,) * 13))
    assert [stakes.of(mask) for mask in range(2**13)] == [mask.bit_count() for mask in range(2**13)]
    assert stakes.of(0b101) == 2


def test_quorums_of_equal_sites() -> None:
    expected = {4: (3, 2), 5: (4, 2), 6: (5, 2), 7: (5, 3), 8: (6, 3), 9: (7, 3), 10: (7, 4)}
    for n, (quorum, validity) in expected.items():
        committee = make_committee((1,) * n)
        assert (committee.quorum, committee.validity) == (quorum, validity)
