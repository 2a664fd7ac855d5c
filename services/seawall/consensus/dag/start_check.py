"""At every start: does anybody hold a block of ours that our journal lacks?

If so the disk is lost (or an old copy of it came back), and this site must not sign for a round
that it may have signed for before. Everybody else is asked for their own latest block and the
latest of ours; m is the greatest round in the answers, and nothing is proposed below m + 2. Our
last lost block names blocks of stake Q one round below it; answers of stake Q - own include one
of their honest authors, whose own latest block is at least that old.

Source: docs/protocol.md, section 5.
"""

from typing import Final

from seawall.consensus.dag.effects import Effects
from seawall.consensus.dag.stakes import StakeTable
from seawall.consensus.engine import LatestQuery, LatestReply

RETRY_US: Final = 500_000


class StartCheck:
    """Asks, counts the answers, and knows when it is enough."""

    def __init__(self, own: int, stakes: StakeTable, wait_us: int) -> None:
        self._stakes = stakes
        self._others = [author for author in range(stakes.size) if author != own]
        self._enough = stakes.quorum - stakes.weights[own]
        self._wait_us = wait_us
        self._answered = 0
        self._asked_us: int | None = None
        self._retry_us = 0
        self.highest_round = 0
        self.done = False

    def poll(self, now_us: int, effects: Effects) -> int | None:
        """Ask whoever has not answered; return when to call again, None when the check is over.

        Answers of stake Q - own are enough, after a bounded wait for the rest: to demand all
        would let one dead site stop every restart.
        """
        if self.done:
            return None
        if self._asked_us is None:
            self._asked_us = self._retry_us = now_us
        missing = [author for author in self._others if not self._answered >> author & 1]
        patient_until = self._asked_us + self._wait_us
        enough = self._stakes.of(self._answered) >= self._enough
        if enough and (not missing or now_us >= patient_until):
            self.done = True
            return None
        if now_us >= self._retry_us:
            self._retry_us = now_us + RETRY_US
            for author in missing:
                effects.send(author, LatestQuery())
        return min(self._retry_us, patient_until) if enough else self._retry_us

    def ask_again(self, peer: int, effects: Effects) -> None:
        """Ask a peer whose link has just come up."""
        if not self.done and not self._answered >> peer & 1:
            effects.send(peer, LatestQuery())

    def answer(self, peer: int, reply: LatestReply) -> None:
        """Count an answer, unless it comes too late."""
        if self.done:
            return
        self._answered |= 1 << peer
        for block in (reply.own, reply.yours):
            if block is not None:
                self.highest_round = max(self.highest_round, block.ref.round)
