from fractions import Fraction
from math import isqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.aggregation.rules import exact
from tests.unit.aggregation.rules.reference import expand

VALUE = st.integers(-(2**23) + 1, 2**23 - 1)


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1), st.integers(1, 2**62 - 1))
def test_division_rounds_to_nearest_and_halves_to_even(
    numerators: list[int], denominator: int
) -> None:
    expected = [round(Fraction(value, denominator)) for value in numerators]
    assert exact.divide(np.array(numerators, dtype=np.int64), denominator).tolist() == expected
    assert [exact.divide_integer(value, denominator) for value in numerators] == expected


@pytest.mark.parametrize(
    ("numerator", "expected"), [(-5, -2), (-3, -2), (-1, 0), (1, 0), (3, 2), (5, 2), (7, 4)]
)
def test_division_of_halves(numerator: int, expected: int) -> None:
    assert exact.divide(np.array([numerator]), 2).tolist() == [expected]
    assert exact.divide_integer(numerator, 2) == expected


@pytest.mark.parametrize("denominator", [0, -1, 2**62])
def test_division_asserts_its_limits(denominator: int) -> None:
    with pytest.raises(AssertionError):
        exact.divide(np.array([1]), denominator)


@given(st.lists(st.lists(VALUE, min_size=3, max_size=3), min_size=1, max_size=4))
def test_inner_products_equal_python_integers(rows: list[list[int]]) -> None:
    matrix = np.array(rows, dtype=np.int32)
    expected = [[sum(a * b for a, b in zip(x, y, strict=True)) for y in rows] for x in rows]
    assert exact.inner_products(matrix, matrix) == expected
    assert exact.squared_norms(matrix) == [expected[i][i] for i in range(len(rows))]


def test_inner_products_stay_exact_over_several_chunks_of_extreme_values() -> None:
    columns = 2 * exact.COLUMNS_MAX + 5
    top, bottom = 2**23 - 1, -(2**23) + 1
    matrix = np.full((2, columns), top, dtype=np.int32)
    matrix[1] = bottom
    matrix[1, -1] = 1
    square = columns * top * top
    mixed = (columns - 1) * top * bottom + top
    other = (columns - 1) * bottom * bottom + 1
    assert exact.inner_products(matrix, matrix) == [[square, mixed], [mixed, other]]
    assert exact.squared_norms(matrix) == [square, other]
    assert square > 2**63


def test_squared_distances_are_those_of_the_differences() -> None:
    rows = expand("distances", 4, 50)
    wide = rows.astype(object)
    distances = exact.squared_distances(exact.inner_products(rows, rows))
    for i in range(4):
        for j in range(4):
            gap = wide[i] - wide[j]
            assert distances[i][j] == (gap * gap).sum()


@pytest.mark.parametrize(
    ("column", "expected"), [([7], 7), ([1, 2], 2), ([2, 3], 2), ([9, -1, 4], 4), ([0, 0, 1, 2], 0)]
)
def test_median_of_a_column(column: list[int], expected: int) -> None:
    rows = np.array(column, dtype=np.int64)[:, np.newaxis]
    assert exact.coordinate_median(rows).tolist() == [expected]


def test_staleness_weights_fall_like_the_inverse_square_root() -> None:
    assert [exact.staleness_weight(tau) for tau in (0, 1, 3, 8)] == [65536, 46340, 32768, 21845]
    assert all(exact.staleness_weight(tau) == isqrt(2**32 // (1 + tau)) > 0 for tau in range(2**10))


def test_scaling_keeps_the_range() -> None:
    values = np.array([2**23 - 1, -(2**23) + 1, 3], dtype=np.int32)
    assert exact.scale(values, 2**17).tolist() == [2**23 - 1, -(2**23) + 1, 6]
    assert exact.scale(values, 2**15).tolist() == [2**22, -(2**22), 2]


def test_column_ranges_cover_everything_once() -> None:
    assert list(exact.column_ranges(0)) == []
    ranges = list(exact.column_ranges(exact.COLUMNS_MAX + 1))
    assert [(one.start, one.stop) for one in ranges] == [
        (0, exact.COLUMNS_MAX),
        (exact.COLUMNS_MAX, exact.COLUMNS_MAX + 1),
    ]
