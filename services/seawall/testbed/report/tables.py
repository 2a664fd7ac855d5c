"""Tables of a report, from the same cells as those of the terminal."""

from collections.abc import Iterator, Sequence
from html import escape


def table(header: Sequence[str], rows: Sequence[Sequence[str]], marks: Sequence[str]) -> str:
    """Return a sheet with a table; a row's last cell has the class in `marks`, if any."""
    return "".join(_table(header, rows, marks))


def _table(
    header: Sequence[str], rows: Sequence[Sequence[str]], marks: Sequence[str]
) -> Iterator[str]:
    yield '<div class="sheet"><table class="figures"><tr>'
    yield "".join([f"<th>{escape(name)}</th>" for name in header])
    yield "</tr>"
    for row, mark in zip(rows, marks, strict=True):
        cells = [f"<td>{escape(cell)}</td>" for cell in row[:-1]]
        yield f'<tr>{"".join(cells)}<td class="mark {mark}">{escape(row[-1])}</td></tr>'
    yield "</table></div>"
