"""Who leads a round: the first of a stake-weighted permutation, seeded by chain, epoch and round.

Everybody can compute it in advance, so it suits partial synchrony, where proposers wait for
leaders. Under asynchrony a common coin takes its place: leaders are unknown until it is revealed.
"""

from typing import Final, Protocol

from seawall.crypto.hashing import tagged
from seawall.domain.committee import Committee

_LEADERS: Final = b"seawall/leaders/v1"
_REMEMBERED_MAX: Final = 1024
_SHUFFLE: Final = b"seawall/coin-leaders/v1"


class LeaderSchedule(Protocol):
    """Names the authors of a round's leader slots."""

    def leaders(self, round_: int) -> tuple[int, ...] | None:
        """Return the distinct authors in slot order; None as long as nobody can know them."""
        ...


class PermutationLeaders:
    """Draws without replacement, each author with a chance in proportion to its stake."""

    def __init__(self, committee: Committee, leaders_per_round: int) -> None:
        self._origin = committee.origin.encode()
        self._epoch = committee.epoch.to_bytes(8, "big")
        self._weights = tuple(member.stake for member in committee.members)
        self._count = min(leaders_per_round, committee.size)
        self._remembered: dict[int, tuple[int, ...]] = {}

    def leaders(self, round_: int) -> tuple[int, ...]:
        """Return the leaders of this round in slot order."""
        found = self._remembered.get(round_)
        if found is None:
            if len(self._remembered) >= _REMEMBERED_MAX:
                self._remembered.clear()
            found = self._draw(round_)
            self._remembered[round_] = found
        return found

    def _draw(self, round_: int) -> tuple[int, ...]:
        """Return the first authors of the round's permutation."""
        left = list(enumerate(self._weights))
        drawn: list[int] = []
        for position in range(self._count):
            total = sum(weight for _, weight in left)
            seed = tagged(
                _LEADERS,
                self._origin,
                self._epoch,
                round_.to_bytes(8, "big"),
                position.to_bytes(2, "big"),
            )
            # 256 bits over a small total: the bias of the remainder is below 2^-190.
            mark = int.from_bytes(seed, "big") % total
            place = 0
            while mark >= left[place][1]:
                mark -= left[place][1]
                place += 1
            drawn.append(left.pop(place)[0])
        return tuple(drawn)


class CoinLeaders:
    """Names the first of a Fisher-Yates permutation that the round's coin seeds."""

    def __init__(self, committee: Committee, leaders_per_round: int) -> None:
        self._size = committee.size
        self._count = min(leaders_per_round, committee.size)
        self._known: dict[int, tuple[int, ...]] = {}

    def leaders(self, round_: int) -> tuple[int, ...] | None:
        """Return the leaders of this round in slot order, once its coin is revealed."""
        return self._known.get(round_)

    def reveal(self, round_: int, coin: bytes) -> None:
        """Draw the leaders of a round by its coin."""
        order = list(range(self._size))
        for place in range(self._count):
            seed = tagged(_SHUFFLE, coin, place.to_bytes(2, "big"))
            other = place + int.from_bytes(seed, "big") % (self._size - place)
            order[place], order[other] = order[other], order[place]
        self._known[round_] = tuple(order[: self._count])

    def forget(self, below: int) -> None:
        """Drop rounds that are decided."""
        for round_ in [known for known in self._known if known < below]:
            del self._known[round_]
