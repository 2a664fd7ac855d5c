"""Draws what a liar does: one to three of the scripted behaviours, with random parameters."""

from random import Random
from typing import Final

from seawall.consensus.byzantine.table import BEHAVIOURS, Script

BEHAVIOURS_AT_ONCE_MAX: Final = 3
DELAY_ROUNDS_MAX: Final = 6
STALE_ROUNDS_MAX: Final = 80
"""More than the gc depth, so that parents far below it are asked for too."""

_COIN_ONLY: Final = ("garbage_shares",)


def draw_scripts(random: Random, author: int, size: int, *, has_coin: bool) -> tuple[Script, ...]:
    """Return the scripts of an author of a committee of this size, at least one."""
    names = [name for name in sorted(BEHAVIOURS) if has_coin or name not in _COIN_ONLY]
    others = [peer for peer in range(size) if peer != author]
    return tuple(
        _drawn(random, name, others)
        for name in random.sample(names, random.randint(1, BEHAVIOURS_AT_ONCE_MAX))
    )


def _drawn(random: Random, name: str, others: list[int]) -> Script:
    peers = tuple(sorted(random.sample(others, random.randint(0, len(others) - 1))))
    match name:
        case "delay":
            return Script(behaviour=name, rounds=random.randint(1, DELAY_ROUNDS_MAX))
        case "stale_parents":
            return Script(behaviour=name, rounds=random.randint(1, STALE_ROUNDS_MAX))
        case "censor" | "equivocate" | "selective" | "two_chains" | "withhold":
            return Script(behaviour=name, peers=peers)
        case _:
            return Script(behaviour=name)
