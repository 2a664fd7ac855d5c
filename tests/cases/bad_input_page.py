"""Writes docs/bad-input.md from the rows: python -m tests.cases.bad_input_page."""

from pathlib import Path
from typing import Final

from tests.cases.bad_answers import unused_messages
from tests.cases.bad_content import HELLOS, LEFT_OUT, TESTED
from tests.cases.bad_messages import refused_messages

PAGE: Final = Path(__file__).parents[2] / "docs" / "bad-input.md"

_HEAD: Final = """\
# What peers may get wrong

Written by `python -m tests.cases.bad_input_page` from the rows that
`tests/unit/consensus/test_bad_input.py` checks: what a site answers to bad input of another
one, and that its replica is where it was before: the same status, nothing new in the journal,
nothing delivered. [errors.md](errors.md) explains the codes, [protocol.md](protocol.md) the rules.

## Refused at the door

The link ends with the code; it names a field, or the offset in the bytes at fault.

| what | wrong | code | where |
|---|---|---|---|
"""

_HELLOS: Final = """
A link whose first message is no fitting hello ends before it is up.

| what | wrong | code | where |
|---|---|---|---|
| a hello | none | `HELLO_MISSING` | kind |
"""

_UNUSED: Final = """
## Read, and of no use

The link stays up.

| message | wrong | observed | sent because of it |
|---|---|---|---|
"""

_CONTENT: Final = """
## Inside a valid block

Some things can only be judged with more than the block's bytes. They never make it invalid: the
part is left out, and the rest of the block counts.

| part | wrong | observed |
|---|---|---|
"""


def render() -> str:
    """Return the page."""
    refused = [
        f"| {one.area} | {one.name} | `{one.code}` | {one.place} |\n" for one in refused_messages()
    ]
    hellos = [f"| a hello | {name} | `{code}` | {field} |\n" for name, code, field, _ in HELLOS]
    unused = [
        f"| {one.area} | {one.name} | {one.observed and f'`{one.observed}`'} | {one.sent} |\n"
        for one in unused_messages()
    ]
    left_out = [f"| {one.part} | {one.name} | |\n" for one in LEFT_OUT]
    tested = [f"| {part} | {name} | {seen} |\n" for part, name, seen, _, _ in TESTED]
    tables = (_HEAD, *refused, _HELLOS, *hellos, _UNUSED, *unused, _CONTENT, *left_out, *tested)
    return "".join(tables)


def main() -> None:
    """Write the page."""
    PAGE.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
