from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.errors import LocalError, PeerError
from seawall.formats import fxp24

LIMIT = fxp24.VALUE_MAX
GRID = st.integers(0, fxp24.GRID_BITS_MAX)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), min_size=1), GRID)
def test_quantising_rounds_halves_to_even_and_clips(values: list[float], grid_bits: int) -> None:
    exact = [round(Fraction(value) * 2**grid_bits) for value in values]
    integers, saturated = fxp24.quantise(np.array(values), grid_bits)
    assert integers.dtype == np.int32
    assert integers.tolist() == [max(-LIMIT, min(LIMIT, value)) for value in exact]
    assert saturated == sum(abs(value) > LIMIT for value in exact)


@given(st.lists(st.integers(-LIMIT, LIMIT), min_size=1), GRID)
def test_every_grid_value_is_exact_in_float32_and_comes_back(
    integers: list[int], grid_bits: int
) -> None:
    values = fxp24.dequantise(np.array(integers, dtype=np.int32), grid_bits)
    assert values.dtype == np.float32
    assert [Fraction(float(value)) for value in values] == [
        Fraction(integer, 2**grid_bits) for integer in integers
    ]
    again, saturated = fxp24.quantise(values, grid_bits)
    assert (again.tolist(), saturated) == (integers, 0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_shape_is_kept_for_each_float_type(dtype: type[np.floating]) -> None:
    integers, _ = fxp24.quantise(np.array([[0.5, -0.25]], dtype=dtype), 4)
    assert integers.tolist() == [[8, -4]]


def test_a_value_beyond_float64_after_scaling_saturates() -> None:
    integers, saturated = fxp24.quantise(np.array([1.7e308, -1.7e308]), 40)
    assert (integers.tolist(), saturated) == ([LIMIT, -LIMIT], 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_values_are_refused(bad: float) -> None:
    with pytest.raises(LocalError) as caught:
        fxp24.quantise(np.array([0.0, bad]), 20)
    assert caught.value.code == "FXP_NON_FINITE"


def test_other_types_and_grids_are_refused() -> None:
    with pytest.raises(LocalError) as caught:
        fxp24.quantise(np.array([0.0], dtype=np.longdouble), 20)
    assert caught.value.code == "FXP_DTYPE"
    for grid_bits in (-1, fxp24.GRID_BITS_MAX + 1):
        with pytest.raises(LocalError) as caught:
            fxp24.dequantise(np.array([0], dtype=np.int32), grid_bits)
        assert caught.value.code == "FXP_GRID_BITS"


@pytest.mark.parametrize(
    ("values", "code", "offset"),
    [
        (np.array([1, 2], dtype=np.int64), "VAL_DTYPE", None),
        (np.array([1, 2, 3], dtype=np.int32), "VAL_SHAPE", None),
        (np.array([[1, 2]], dtype=np.int32), "VAL_SHAPE", None),
        (np.array([0, LIMIT + 1], dtype=np.int32), "VAL_RANGE", 4),
        (np.array([-(2**31), 0], dtype=np.int32), "VAL_RANGE", 0),
    ],
)
def test_bad_received_values_are_refused(
    values: np.ndarray[tuple[int, ...], np.dtype[np.generic]], code: str, offset: int | None
) -> None:
    with pytest.raises(PeerError) as caught:
        fxp24.check_values(values, 2)
    assert (caught.value.code, caught.value.field) == (code, "delta")
    assert caught.value.offset == offset


def test_values_at_the_limits_are_accepted() -> None:
    fxp24.check_values(np.array([LIMIT, -LIMIT], dtype=np.int32), 2)
    fxp24.check_not_zero(np.array([0, 1], dtype=np.int32))


def test_an_update_of_zeros_is_refused() -> None:
    with pytest.raises(PeerError) as caught:
        fxp24.check_not_zero(np.zeros(3, dtype=np.int32), field="payload")
    assert (caught.value.code, caught.value.field) == ("VAL_ZERO", "payload")


def test_the_bound_on_sums_is_that_of_int64() -> None:
    most = (2**63 - 1) // LIMIT
    fxp24.check_sum(most)
    with pytest.raises(PeerError) as caught:
        fxp24.check_sum(most + 1)
    assert caught.value.code == "VAL_SUM_OVERFLOW"
