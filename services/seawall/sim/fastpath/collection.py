"""Enumerates a family of runs in which blocks and instances fall to garbage collection.

n = 4, (w, W, D) = (3, 1, 3), gc_depth = 7, one leader slot a round, 14 rounds. The Byzantine
author 3 keeps two chains from round 1 on; the first block of the hidden one carries digest x of a
key, and only site 1 gets it. Site 1 hears everybody and is heard by nobody for a while, so that
its vote on the hidden block is collected. The hidden chain then comes to light at site 0, and
site 2 proposes digest y. Enumerated are: who leads rounds 8, 9 and 10; when the hidden
chain comes to light; when site 1 is heard again; when y is proposed; which of the sites 1
and 2 reject x for a reason of their own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final

from seawall.sim.fastpath.rules import Scope
from seawall.sim.fastpath.script import Action, Arrive, Forge, Propose, Script

ROUNDS: Final = 14
HIDDEN: Final = ("s1", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One run of the family; all numbers but the leaders and doubting sites are rounds."""

    leaders: tuple[int, int, int]
    shown: int
    heard: int
    rival: int
    doubting: tuple[int, ...]

    def script(self) -> Script:
        """Return the run as a script."""
        early = tuple((2, 3, 0)[number % 3] for number in range(7))
        scope = Scope(gc_depth=7, slots=1, led=(*early, *self.leaders))
        actions = [action for round_ in range(1, ROUNDS + 1) for action in self._round(round_)]
        return Script(scope, (3,), tuple(actions))

    def _round(self, round_: int) -> Iterator[Action]:
        """Yield the actions of one round."""
        for site in range(3):
            yield Propose(
                site,
                f"{'abc'[site]}{round_}",
                updates=(("k", "y"),) if (site, round_) == (2, self.rival) else (),
                doubts=(HIDDEN,) if site in self.doubting else (),
            )
        yield from self._forged(round_)
        for site in (0, 1, 2):
            yield Arrive(site, f"c{round_}")
            yield Arrive(site, f"a{round_}")
            hidden = (site, round_) == (0, self.shown)
            yield Arrive(site, f"{'s' if hidden else 'e'}{round_}")
        if round_ >= self.heard:
            yield Arrive(0, f"b{round_}")
            yield Arrive(2, f"b{round_}")

    def _forged(self, round_: int) -> Iterator[Action]:
        """Yield the blocks of both Byzantine chains."""
        if round_ == 1:
            yield Forge(3, "e1", 1, ("g3", "g0", "g1", "g2"))
            yield Forge(3, "s1", 1, ("g3", "g0", "g1", "g2"), updates=(("k", "x"),))
            yield Arrive(1, "s1")
            return
        before = round_ - 1
        heard = (f"b{before}",) if before >= self.heard else ()
        yield Forge(3, f"e{round_}", round_, (f"e{before}", f"a{before}", f"c{before}", *heard))
        if round_ <= self.shown:
            yield Forge(3, f"s{round_}", round_, (f"s{before}", f"a{before}", f"c{before}"))


def family(*, whole: bool) -> Iterator[Member]:
    """Yield all runs, or those in which site 1 leads round 8: then nothing commits there.

    Only such a gap lets the gc round pass a block and the vote on it in one commit.
    """
    leaders = range(4)
    for first, second, third in product(leaders if whole else (1,), leaders, leaders):
        for shown, heard, rival in product((7, 8, 9), (9, 10), (8, 9)):
            for doubting in ((), (1,), (2,), (1, 2)):
                yield Member(
                    leaders=(first, second, third),
                    shown=shown,
                    heard=heard,
                    rival=rival,
                    doubting=doubting,
                )
