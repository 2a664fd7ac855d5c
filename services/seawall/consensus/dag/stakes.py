"""Stake of sets of authors, as bit masks: author i is bit i.

Tallies are masks, so that an author counts once however many blocks it signs.
"""

from typing import Final

from seawall.domain.committee import Committee

_REMEMBERED_MAX: Final = 4096


class StakeTable:
    """Answers how much stake a mask of authors has, and whether that is a quorum."""

    def __init__(self, committee: Committee) -> None:
        self.weights = tuple(member.stake for member in committee.members)
        self.size = committee.size
        self.total = committee.total
        self.quorum = committee.quorum
        self.validity = committee.validity
        self.unit = self.weights[0] if len({*self.weights}) == 1 else 0
        """The stake of each author where all have the same, else 0."""
        self._remembered: dict[int, int] = {}

    def of(self, authors: int) -> int:
        """Return the stake of the authors in the mask."""
        stake = self._remembered.get(authors)
        if stake is None:
            if len(self._remembered) >= _REMEMBERED_MAX:
                self._remembered.clear()
            stake = sum([w for i, w in enumerate(self.weights) if authors >> i & 1])
            self._remembered[authors] = stake
        return stake

    def is_quorum(self, authors: int) -> bool:
        """Return whether the authors in the mask have stake Q."""
        return self.of(authors) >= self.quorum
