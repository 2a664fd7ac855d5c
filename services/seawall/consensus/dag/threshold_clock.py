"""The round that a replica is in: it advances when blocks of stake Q of a round are held."""

from seawall.consensus.dag.stakes import StakeTable


class ThresholdClock:
    """Counts distinct authors of the current round; a block of a later round moves it there.

    Source: Ford, "Threshold logical clocks for asynchronous distributed coordination", 2019.
    """

    def __init__(self, stakes: StakeTable) -> None:
        self._stakes = stakes
        self._seen = 0
        self.round = 1

    def on_accept(self, round_: int, author_bit: int) -> bool:
        """Count an accepted block and return whether the clock advanced."""
        before = self.round
        if round_ > before:
            self.round = round_
            self._seen = author_bit
        elif round_ == before:
            self._seen |= author_bit
        if self._stakes.is_quorum(self._seen):
            self.round += 1
            self._seen = 0
        return self.round > before
