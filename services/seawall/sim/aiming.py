"""Whom the aiming adversary keeps from seeing what, and until when.

With w = 3 votes stand one round above the leader: f + 1 sites miss each leader's block when they
vote, so that it gets neither Q votes nor Q blames. With longer waves every vote rests on two
rounds, and the adversary aims at the first leader L of each round r:

- nobody but L has its block when it proposes for r + 1;
- the leader of r + 1 has it not even when it proposes for r + 2, and so blames it;
- at r + 3 the same rule has kept the leader of r + 2 out of three blocks in four, so those see the
  blame in place of a vote, and certify nothing.

No site ever misses more than one block of a round, so none has to wait. The rules suffice against
one leader a round who is known beforehand, with n = 4, as long as no site leads twice in a row.

`Bystanders` is for w = 3, n = 4, one leader a round, and a hostile site that votes against leaders.
"""

from collections.abc import Callable, Sequence
from random import Random

from seawall.domain.committee import Committee

_SYNCHRONOUS_WAVE = 3


class Strategy:
    """Says which block of a leader a site must not have before it has proposed for which round."""

    def __init__(
        self,
        committee: Committee,
        wave_length: int,
        leaders: Callable[[int], Sequence[int]],
        random: Random,
    ) -> None:
        """Aim at `leaders` of each round; ties are broken by `random`, round by round."""
        self._size = committee.size
        self._spare = committee.size - committee.quorum
        self._wave_length = wave_length
        self._leaders = leaders
        self._random = random
        self._missing: dict[int, dict[int, tuple[int, ...]]] = {}

    def hidden_until(self, round_: int, author: int, target: int) -> int:
        """Return the round that `target` must have proposed for; 0: it may have the block at once.

        The block is the author's one of `round_`.
        """
        leaders = self._leaders(round_)
        if author not in leaders or author == target:
            return 0
        if self._wave_length <= _SYNCHRONOUS_WAVE:
            return round_ + 1 if target in self._missers(round_)[author] else 0
        if author != leaders[0]:
            return 0
        following = self._leaders(round_ + 1)[0]
        return round_ + (2 if following in (author, target) else 1)

    def _missers(self, round_: int) -> dict[int, tuple[int, ...]]:
        """Return who misses each leader: f + 1 sites, leaders first, nobody too many."""
        if round_ not in self._missing:
            leaders = self._leaders(round_)
            order = self._random.sample(range(self._size), self._size)
            order.sort(key=lambda site: site not in leaders)
            missed = dict.fromkeys(order, 0)
            found: dict[int, tuple[int, ...]] = {}
            for leader in leaders:
                able = [site for site in order if site != leader and missed[site] < self._spare]
                found[leader] = tuple(able[: self._spare + 1])
                missed.update({site: missed[site] + 1 for site in found[leader]})
            self._missing[round_] = found
        return self._missing[round_]


class Bystanders:
    """Keeps from every honest site one block of each round that is no leader's.

    With the hostile site's vote against the leader before, a site then sees neither Q votes nor
    Q blames, although it has the leader of the round. The hostile site gets no leader's block in
    time, so that it need not vote for it.
    """

    def __init__(
        self, committee: Committee, leaders: Callable[[int], Sequence[int]], hostile: int
    ) -> None:
        """Help the hostile site against these leaders."""
        self._leaders = leaders
        self._hostile = hostile
        self._honest = tuple(author for author in range(committee.size) if author != hostile)

    def hidden_until(self, round_: int, author: int, target: int) -> int:
        """Return the round that `target` must have proposed for; 0: it may have the block at once.

        The block is the author's one of `round_`.
        """
        leaders = self._leaders(round_)
        if target == self._hostile:
            return round_ + 1 if author in leaders else 0
        others = [one for one in self._honest if one != target and one not in leaders]
        return round_ + 1 if author == others[(target + round_) % len(others)] else 0
