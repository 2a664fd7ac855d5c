from random import Random

import pytest

from seawall.sim.aiming import Bystanders, Strategy
from seawall.sim.population import committee_of


def strategy(size: int, wave_length: int, *leaders: tuple[int, ...]) -> Strategy:
    """Return the strategy against these leaders, in turn."""
    return Strategy(
        committee_of((1,) * size),
        wave_length,
        lambda round_: leaders[round_ % len(leaders)],
        Random(1),
    )


def hidden(found: Strategy | Bystanders, round_: int, size: int) -> dict[tuple[int, int], int]:
    """Return (author, target) to the round until which the block is hidden."""
    pairs = [(author, target) for author in range(size) for target in range(size)]
    until = {pair: found.hidden_until(round_, *pair) for pair in pairs}
    return {pair: round_ for pair, round_ in until.items() if round_}


@pytest.mark.parametrize("round_", range(1, 20))
def test_at_w3_two_of_four_miss_each_leader_and_nobody_misses_two(round_: int) -> None:
    found = hidden(strategy(4, 3, (0, 1), (2, 0), (3, 2)), round_, 4)
    leaders = ((0, 1), (2, 0), (3, 2))[round_ % 3]
    assert sorted(author for author, _ in found) == sorted([*leaders, *leaders])
    assert sorted(target for _, target in found) == [0, 1, 2, 3]
    assert set(found.values()) == {round_ + 1}


def test_at_w3_with_seven_sites_three_miss_each_leader() -> None:
    found = hidden(strategy(7, 3, (0, 1)), 5, 7)
    assert len(found) == 6
    assert max(sum(target == site for _, target in found) for site in range(7)) <= 2


def test_at_w4_nobody_sees_the_leader_and_the_next_one_for_a_round_longer() -> None:
    found = hidden(strategy(4, 4, (0,), (1,), (2,), (3,)), 5, 4)
    assert found == {(1, 0): 6, (1, 2): 7, (1, 3): 6}


def test_who_leads_twice_in_a_row_is_hidden_for_both_rounds() -> None:
    found = hidden(strategy(4, 4, (2,)), 5, 4)
    assert found == {(2, 0): 7, (2, 1): 7, (2, 3): 7}


def test_only_the_first_leader_is_aimed_at_with_longer_waves() -> None:
    assert {author for author, _ in hidden(strategy(4, 5, (0, 1)), 3, 4)} == {0}


@pytest.mark.parametrize("round_", range(1, 7))
def test_each_honest_site_misses_one_block_that_does_not_lead(round_: int) -> None:
    leader = round_ % 3
    found = hidden(Bystanders(committee_of((1,) * 4), lambda one: (one % 3,), 3), round_, 4)
    assert found.pop((leader, 3)) == round_ + 1, "the hostile site need not vote for the leader"
    assert sorted(target for _, target in found) == [0, 1, 2]
    assert all(author not in (leader, target, 3) for author, target in found)
