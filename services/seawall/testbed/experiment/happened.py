"""A fault of a run as it was, for reports and verdicts of every platform."""

from dataclasses import dataclass

from seawall.chaos.runner.injection import Confirmation


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One fault as it was: `hit` are the sites that it hit themselves, rather than their links.

    `confirmation` is None when the run ended before anybody could look.
    """

    number: int
    kind: str
    begin_us: int
    end_us: int
    hit: tuple[int, ...] = ()
    directions: tuple[tuple[int, int], ...] = ()
    confirmation: Confirmation | None = None
