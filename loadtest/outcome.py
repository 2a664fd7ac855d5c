"""What became of one thing that was sent."""

from dataclasses import dataclass, field

UNANSWERED = "UNANSWERED"
"""Stands for the code of what has not been told to be committed or refused."""


@dataclass(slots=True)
class Outcome:
    """The end of one sending; `code` is empty when the update is committed.

    `received` and `committed` are moments of the monotonic clock.
    """

    code: str = UNANSWERED
    entry_index: int = 0
    received: float | None = None
    committed: float | None = None

    @property
    def acknowledged(self) -> bool:
        """Say whether the update was told to be committed."""
        return not self.code


@dataclass(slots=True)
class Flooding:
    """The codes that the parts of a flood were answered with; empty for those let in."""

    codes: list[str] = field(default_factory=list)

    def outcome(self, expected: str) -> Outcome:
        """Return the expected refusal when it came, and nothing else went wrong."""
        others = [one for one in self.codes if one not in ("", expected)]
        if others:
            return Outcome(others[0])
        return Outcome(expected if expected in self.codes else "FLOOD_LET_IN")
