import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seawall.formats.dtypes import BITS, Array, first_refused, name_of, view

FLOATS = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<c8"}


@given(
    st.sampled_from(sorted(FLOATS)).flatmap(
        lambda name: st.tuples(st.just(name), hnp.arrays(FLOATS[name], st.integers(0, 20)))
    )
)
def test_refused_floats_are_those_that_numpy_calls_not_finite(case: tuple[str, Array]) -> None:
    name, array = case
    at = first_refused(memoryview(array.tobytes()), name)
    finite = np.isfinite(array)
    if finite.all():
        assert at is None
    else:
        assert at is not None
        assert at // array.itemsize == int(np.argmin(finite))


@pytest.mark.parametrize(
    ("name", "bits", "width"),
    [
        ("F16", 0x7C00, 2),  # infinity
        ("F16", 0xFC00, 2),
        ("F16", 0x7C01, 2),  # signalling NaN
        ("BF16", 0x7F80, 2),
        ("BF16", 0xFF80, 2),
        ("BF16", 0x7F81, 2),
        ("F32", 0x7F800000, 4),
        ("F32", 0x7F800001, 4),
        ("F64", 0x7FF0000000000000, 8),
        ("F64", 0x7FF0000000000001, 8),
        ("F8_E5M2", 0x7C, 1),
        ("F8_E5M2", 0xFF, 1),
        ("F8_E4M3", 0x7F, 1),
        ("F8_E4M3", 0xFF, 1),
        ("F8_E8M0", 0xFF, 1),
        ("F8_E4M3FNUZ", 0x80, 1),
        ("F8_E5M2FNUZ", 0x80, 1),
        ("BOOL", 0x02, 1),
        ("BOOL", 0xFF, 1),
    ],
)
def test_each_special_value_is_found_where_it_stands(name: str, bits: int, width: int) -> None:
    data = bytes(3 * width) + bits.to_bytes(width, "little") + bytes(width)
    assert first_refused(memoryview(data), name) == 3 * width


@pytest.mark.parametrize(
    ("name", "bits", "width"),
    [
        ("F16", 0x7BFF, 2),  # the greatest finite value
        ("BF16", 0x7F7F, 2),
        ("F32", 0xFF7FFFFF, 4),
        ("F64", 0x7FEFFFFFFFFFFFFF, 8),
        ("F8_E5M2", 0x7B, 1),
        ("F8_E4M3", 0x7E, 1),
        ("F8_E8M0", 0xFE, 1),
        ("F8_E4M3FNUZ", 0xFF, 1),
        ("F8_E5M2FNUZ", 0xFF, 1),
        ("F4", 0xFF, 1),
        ("F6_E3M2", 0xFF, 1),
        ("BOOL", 0x01, 1),
        ("I32", 0x7F800000, 4),
    ],
)
def test_ordinary_values_pass(name: str, bits: int, width: int) -> None:
    assert first_refused(memoryview(bits.to_bytes(width, "little")), name) is None


def test_a_bad_value_is_found_beyond_the_first_block() -> None:
    array = np.zeros(2**18 + 5, np.float32)
    array[2**18 + 3] = np.nan
    assert first_refused(memoryview(array.tobytes()), "F32") == 4 * (2**18 + 3)


def test_views_have_the_type_of_the_name() -> None:
    for name in BITS:
        array = view(memoryview(bytes(BITS[name])), name, (8,))
        assert name_of(array.dtype) in (name, "U8", "U16")
    assert name_of(np.dtype(">i4")) is None
    assert name_of(np.dtype("c16")) is None
