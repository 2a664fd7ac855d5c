"""Tables in plain text, readable in a terminal and as Markdown."""

from collections.abc import Sequence
from typing import TypeAlias

Cell: TypeAlias = str | int | float | None

NOTHING = "-"


def text(cell: Cell) -> str:
    """Return a cell as it is printed: three digits or so of a fraction, thousands with commas."""
    match cell:
        case None:
            return NOTHING
        case str():
            return cell
        case int():
            return f"{cell:,}"
        case float() if abs(cell) >= 100:  # noqa: PLR2004 - three digits in front of the point
            return f"{cell:,.0f}"
        case float() if abs(cell) >= 10:  # noqa: PLR2004 - two digits in front of the point
            return f"{cell:.1f}"
        case _:
            return f"{cell:.2f}"


def render(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a Markdown table: first column to the left, the others to the right.

    Raises:
        ValueError: a row is not as long as the header.

    """
    body = [[text(cell) for cell in row] for row in rows]
    if any(len(row) != len(header) for row in body):
        raise ValueError("each row has one cell per column")
    widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]
    rule = ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]]
    return "\n".join(
        "| " + " | ".join(align(row, widths)) + " |" for row in ([*header], rule, *body)
    )


def align(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Return the cells of a row, padded to the widths of their columns."""
    first = row[0].ljust(widths[0])
    return [first, *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
