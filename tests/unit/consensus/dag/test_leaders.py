"""Leaders are distinct, known in advance, and as frequent as their stake."""

from collections import Counter

from seawall.consensus.dag.leaders import PermutationLeaders
from tests.unit.consensus.cluster import make_committee


def test_slots_of_a_round_have_distinct_leaders() -> None:
    schedule = PermutationLeaders(make_committee((1,) * 7), 3)
    for round_ in range(1, 50):
        assert len(set(schedule.leaders(round_))) == 3


def test_there_are_at_most_as_many_leaders_as_members() -> None:
    assert sorted(PermutationLeaders(make_committee((5, 1)), 4).leaders(1)) == [0, 1]


def test_everybody_draws_the_same_and_other_chains_and_epochs_do_not() -> None:
    rounds = range(1, 3000)  # more than are remembered
    schedule = PermutationLeaders(make_committee(), 2)
    first = [schedule.leaders(round_) for round_ in rounds]
    assert [schedule.leaders(round_) for round_ in rounds] == first
    other = PermutationLeaders(make_committee(epoch=1), 2)
    assert [other.leaders(round_) for round_ in rounds] != first


def test_stake_decides_how_often_one_leads() -> None:
    schedule = PermutationLeaders(make_committee((5, 3, 1, 1)), 1)
    leads = Counter(schedule.leaders(round_)[0] for round_ in range(1, 4001))
    for author, expected in enumerate((2000, 1200, 400, 400)):
        assert abs(leads[author] - expected) < 120
