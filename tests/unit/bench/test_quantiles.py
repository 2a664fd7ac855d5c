from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.quantiles import median, nearest_rank, summarise

VALUES = st.lists(st.integers(0, 1000).map(float), min_size=1, max_size=200)


@pytest.mark.parametrize(
    ("percent", "value"), [(50, 10.0), (95, 19.0), (99, 20.0), (100, 20.0), (1, 1.0), (5, 1.0)]
)
def test_percentiles_of_one_to_twenty(percent: float, value: float) -> None:
    assert nearest_rank([float(one) for one in range(1, 21)], percent) == value


@given(VALUES, st.integers(1, 100))
def test_at_least_so_many_values_do_not_exceed_a_percentile(
    values: list[float], percent: int
) -> None:
    found = nearest_rank(sorted(values), percent)
    needed = ceil(len(values) * percent / 100)
    assert sum(value <= found for value in values) >= needed
    assert sum(value < found for value in values) < needed


@pytest.mark.parametrize("percent", [0, -1, 100.1])
def test_a_percentage_out_of_range_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="percentage"):
        nearest_rank([1.0], percent)


def test_nothing_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="at least one"):
        nearest_rank([], 50)
    assert summarise([]) is None


def test_latencies_are_reported_in_milliseconds() -> None:
    latency = summarise([0.004, 0.001, 0.003, 0.002])
    assert latency is not None
    assert (latency.count, latency.p50_ms, latency.p95_ms, latency.max_ms) == (4, 2.0, 4.0, 4.0)


def test_the_median_of_two_is_the_lower() -> None:
    assert median([3.0, 1.0]) == 1.0
