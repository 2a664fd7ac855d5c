import pytest

from bench.tables import render, text


@pytest.mark.parametrize(
    ("cell", "printed"),
    [
        (None, "-"),
        ("p50", "p50"),
        (1234567, "1,234,567"),
        (1234.5, "1,234"),
        (12.345, "12.3"),
        (0.126, "0.13"),
        (-250.0, "-250"),
    ],
)
def test_cells(cell: str | float | None, printed: str) -> None:
    assert text(cell) == printed


def test_a_table_is_aligned_markdown() -> None:
    assert render(("size", "rate"), [("1 KB", 1000), ("64 KB", None)]) == (
        "| size  |  rate |\n"
        "| ----- | ----: |\n"
        "| 1 KB  | 1,000 |\n"
        "| 64 KB |     - |"
    )  # fmt: skip


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="one cell per column"):
        render(("a", "b"), [("x",)])
