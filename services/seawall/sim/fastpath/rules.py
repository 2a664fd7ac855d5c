"""Parameters of a modelled epoch, and the rules of the fast path that a search may break.

`Rules()` is the protocol. Every field is one rule in an older or a wrong form, switched off by
default; `docs/fast-path-model.md` says what each of them lets happen.
"""

from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The numbers of one epoch; every author has one unit of stake.

    `wave` is w, `window` W, `deadline` D, `slots` the leader slots of a round. Rounds and depths
    count rounds. `leader_seed` draws the leaders of each round; `led` fixes the first leader of
    the rounds from 1 on, as far as it goes.
    """

    authors: int = 4
    wave: int = 3
    window: int = 1
    deadline: int = 3
    gc_depth: int = 60
    slots: int = 2
    leader_seed: int = 0
    led: tuple[int, ...] = ()

    @property
    def quorum(self) -> int:
        """Return Q."""
        return 2 * self.authors // 3 + 1

    def leaders(self, round_: int) -> tuple[int, ...]:
        """Return the leaders of a round in slot order."""

        def mark(author: int) -> bytes:
            return sha256(f"{self.leader_seed}/{round_}/{author}".encode()).digest()

        drawn = sorted(range(self.authors), key=mark)
        if round_ <= len(self.led):
            drawn.sort(key=lambda author: author != self.led[round_ - 1])
        return tuple(drawn[: self.slots])


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Rules in an older or wrong form; all off is the protocol."""

    burn_rivals: bool = False
    """At the deadline of one instance, reject every instance of its key that is still open."""

    closing_wins: bool = False
    """Accept nothing under a closed key, whatever votes arrive."""

    count_collected: bool = False
    """Count a vote on a block at or below the gc round of the commit that delivers the vote."""

    local_votes: bool = False
    """Let the finaliser count all votes that a site holds, not only delivered ones."""

    one_vote_each: bool = False
    """Count only the first vote of an author, accept or reject, over all its chains."""

    every_block_votes: bool = False
    """Count each block above an instance as a vote, not only the first of its chain."""

    no_window: bool = False
    """Let certificates be of any round, over votes of any round."""

    unlock_on_reject: bool = False
    """Drop the lock of a key when an instance of it is rejected."""

    unlock_on_restart: bool = False
    """Keep locks in memory only."""

    lock_late: bool = False
    """Take the locks of a proposal after all of its checks."""

    reads_targets: bool = False
    """Refuse a block that rejects an update which its target, where held, does not have."""

    walk_stops: bool = False
    """End a commit's walk at the highest committed round of each author."""
