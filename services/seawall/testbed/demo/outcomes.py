"""Expectations and what was observed. The table holds no times, so one seed gives one table."""

from dataclasses import asdict, dataclass

import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One line of the table.

    Attributes:
        subject: what was done or looked at.
        expected: what should be observed.
        observed: what was observed; equal to `expected` where the expectation held.
        holds: whether it did.
        detail: figures of this run, not part of the table.

    """

    subject: str
    expected: str
    observed: str
    holds: bool
    detail: str = ""


def expect(subject: str, expected: str, observed: str, *, detail: str = "") -> Outcome:
    """Return the outcome of an expectation that holds when both texts are equal."""
    return Outcome(
        subject=subject,
        expected=expected,
        observed=observed,
        holds=expected == observed,
        detail=detail,
    )


def require(subject: str, expected: str, *, holds: bool, detail: str = "") -> Outcome:
    """Return the outcome of an expectation about figures: the table says only if it held."""
    return Outcome(
        subject=subject,
        expected=expected,
        observed="as expected" if holds else f"not so: {detail}",
        holds=holds,
        detail=detail,
    )


def render(outcomes: tuple[Outcome, ...]) -> str:
    """Return the table as text; equal runs give equal bytes."""
    header = ("", "what", "expected", "observed")
    rows = [
        ("ok" if one.holds else "FAIL", one.subject, one.expected, one.observed) for one in outcomes
    ]
    widths = [max(len(row[at]) for row in (header, *rows)) for at in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, tuple("-" * width for width in widths), *rows)
    ]
    return "\n".join(lines) + "\n"


def to_json(outcomes: tuple[Outcome, ...]) -> list[dict[str, object]]:
    """Return the outcomes as JSON values."""
    return [asdict(one) for one in outcomes]


class Sample(msgspec.Struct, frozen=True):
    """The sites at one moment: seconds since the start, heights (-1 when down), versions."""

    seconds: float
    heights: tuple[int, ...]
    versions: tuple[int, ...]
    rounds: tuple[int, ...]


class Band(msgspec.Struct):
    """An attack in time; `end` stays negative while it goes on."""

    number: int
    name: str
    start: float
    end: float = -1.0
