import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.formats.names import NAME_BYTES_MAX, name_fault, path_fault


@pytest.mark.parametrize("name", ["a", "layer.0/weight", "Grüße", "重み", "a b", "x" * 255, ".."])
def test_visible_names_are_fine(name: str) -> None:
    assert name_fault(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a\x00",
        "a\nb",
        "\x7f",
        "a\u202eb",  # right-to-left override
        "a\u200bb",  # zero-width space
        "a\ufeff",
        "a\u2028b",
        "\ue000",  # private use
        "\U0001f600",  # newer than Unicode 3.2
        "\ud800",
        "e\u0301",  # decomposed
        "\u212b",  # Angstrom sign, equal to a letter after normalisation
        "x" * (NAME_BYTES_MAX + 1),
        "é" * 128,
    ],
)
def test_hidden_or_ambiguous_names_are_not(name: str) -> None:
    assert name_fault(name) is not None
    assert path_fault(name) is not None


@pytest.mark.parametrize("path", ["a", "a/b.safetensors", "a..b", "...", ".hidden"])
def test_relative_paths_are_fine(path: str) -> None:
    assert path_fault(path) is None


@pytest.mark.parametrize("path", ["/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\\b", "C:a"])
def test_paths_that_leave_or_confuse_are_not(path: str) -> None:
    assert path_fault(path) is not None


@given(st.text())
def test_a_fault_never_repeats_the_name(name: str) -> None:
    fault = name_fault(name)
    assert fault is None or len(name) < 8 or name not in fault
