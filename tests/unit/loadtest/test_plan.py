from collections import Counter
from dataclasses import replace

import pytest

from loadtest.plan import (
    EXPECTED,
    FLOOD_OPENS,
    SPIKE_FACTOR,
    SPIKE_FROM,
    SPIKE_TO,
    Kind,
    Plan,
    Shape,
    Transport,
    offered,
    schedule,
)

PLAN = Plan(
    seed=7,
    seconds=100.0,
    rate=20.0,
    shape=Shape.FIXED,
    tasks=(("small", 1 << 10), ("large", 1 << 20)),
    sites=4,
    contributors=9,
    malicious_share=0.2,
    http_share=0.25,
)


def test_a_seed_always_gives_the_same_schedule_and_another_one_another() -> None:
    assert schedule(PLAN) == schedule(PLAN)
    assert schedule(PLAN) != schedule(replace(PLAN, seed=8))


def test_arrivals_are_in_order_within_the_run_and_as_many_as_asked_for() -> None:
    items = schedule(PLAN)
    times = [item.due_seconds for item in items]
    assert times == sorted(times)
    assert times[-1] < PLAN.seconds
    # 2,000 on average; a Poisson count is within five deviations.
    assert len(items) == pytest.approx(2000, abs=5 * 2000**0.5)
    assert [item.serial for item in items] == list(range(len(items)))


def test_shares_sites_and_sizes_are_mixed() -> None:
    items = schedule(PLAN)
    kinds = offered(items)
    assert set(kinds) == {*Kind}
    assert 1 - kinds["honest"] / len(items) == pytest.approx(0.2, abs=0.05)
    http = sum(item.transport is Transport.HTTP for item in items)
    assert http / len(items) == pytest.approx(0.25, abs=0.05)
    assert {item.site for item in items} == {0, 1, 2, 3}
    tasks = Counter(item.task for item in items if item.kind is not Kind.FLOOD)
    # By the root of their sizes: 32 to 1.
    assert tasks["small"] > 10 * tasks["large"] > 0


def test_no_contributor_uses_a_number_twice_and_floods_have_one_of_their_own() -> None:
    used: set[tuple[int, int]] = set()
    for item in schedule(PLAN):
        count = FLOOD_OPENS if item.kind is Kind.FLOOD else 1
        numbers = {(item.contributor, item.number + at) for at in range(count)}
        assert not used & numbers
        used |= numbers
        assert (item.contributor == PLAN.contributors - 1) == (item.kind is Kind.FLOOD)
        assert item.kind is not Kind.FLOOD or item.task == "small"


def counts(shape: Shape) -> list[int]:
    """Return arrivals in each fifth of a run."""
    plan = replace(PLAN, shape=shape)
    fifths = Counter(int(5 * item.due_seconds / plan.seconds) for item in schedule(plan))
    return [fifths[at] for at in range(5)]


def test_a_ramp_rises_and_a_spike_is_where_it_should_be() -> None:
    ramp = counts(Shape.RAMP)
    assert ramp == sorted(ramp)
    assert ramp[4] > 3 * ramp[0]
    spike = counts(Shape.SPIKE)
    assert (SPIKE_FROM, SPIKE_TO) == (2 / 5, 3 / 5)
    quiet = sum(spike[:2] + spike[3:]) / 4
    assert spike[2] / quiet == pytest.approx(SPIKE_FACTOR, rel=0.2)


def test_every_kind_but_honest_has_a_code() -> None:
    assert set(EXPECTED) == set(Kind) - {Kind.HONEST}
