"""Write helm/seawall/README.md: every value of the chart, from values.yaml and its comments.

A comment right above a key says what it is; one above a table says it of all that is in it.
`--check` says whether the page is up to date. Run by `make check` and `make format`.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parent.parent
VALUES = ROOT / "helm" / "seawall" / "values.yaml"
PAGE = ROOT / "helm" / "seawall" / "README.md"

HEAD = """# Values of the chart

Generated from [values.yaml](values.yaml) by `make format`. What is not here is refused.
How to install, upgrade and look after a release: [docs/kubernetes.md](../../docs/kubernetes.md).
"""


class Row(NamedTuple):
    """One value: its path, what it is when nobody says otherwise, and what it is for."""

    path: str
    default: str
    text: str


def comment_above(lines: list[str], line: int, column: int) -> str:
    """Return the comment that ends right above a line, at the same indentation, as one line."""
    found: list[str] = []
    for text in reversed(lines[:line]):
        if not text.startswith(" " * column + "#"):
            break
        found.insert(0, text.strip().removeprefix("#").strip())
    return " ".join(found)


def rows(text: str) -> Iterator[Row]:
    """Yield every value in the order of the file.

    Raises:
        ValueError: a value has no comment, and neither has any table that it is in.

    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode), "values are a mapping"
    yield from _rows(root, text.splitlines(), "", "")


def _rows(node: yaml.MappingNode, lines: list[str], path: str, above: str) -> Iterator[Row]:
    for key, value in node.value:
        place = f"{path}{key.value}"
        line, column = key.start_mark.line, key.start_mark.column
        # The first key of an item of a list has its comment above the dash.
        first = lines[line].lstrip().startswith("- ")
        own = comment_above(lines, line, column - len("- ") * first)
        said = own or above
        if isinstance(value, yaml.SequenceNode) and value.value and not value.flow_style:
            yield Row(place, "", said)
            yield from _rows(value.value[0], lines, f"{place}[].", said)
        elif isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
            yield from _rows(value, lines, f"{place}.", said)
        else:
            if not said:
                raise ValueError(f"{place} has no comment")
            yield Row(place, _default(value), said)


def _default(node: yaml.Node) -> str:
    """Return a value on one line."""
    plain = yaml.safe_dump(
        yaml.safe_load(yaml.serialize(node)), default_flow_style=True, width=1000
    )
    return plain.strip().removesuffix("...").strip()


def page(text: str) -> str:
    """Return the page of these values."""
    lines = [HEAD, "| value | default | what it is |", "|---|---|---|"]
    last = ""
    for row in rows(text):
        # What is said of a whole table is said once.
        said = "" if row.text == last else row.text.replace("|", "\\|")
        last = row.text
        default = f"`{row.default}`" if row.default else ""
        lines.append(f"| `{row.path}` | {default} | {said} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page, or say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    wanted = page(VALUES.read_text("utf-8"))
    if not parser.parse_args().check:
        PAGE.write_text(wanted, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text("utf-8") == wanted:
        return 0
    print(
        f"{PAGE.relative_to(ROOT)} is not what values.yaml says; run: make format", file=sys.stderr
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
