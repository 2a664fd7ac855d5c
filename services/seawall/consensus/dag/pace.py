"""How much time lies between own blocks: the less there is to say, the faster what there is goes.

The least delay grows with what rounds carry, to twice its parameter: a round costs the same
whatever is in it, so full ones make updates cheap. A site with nothing to say waits for long. While
rounds are what is waited for it may do with a fraction of the least delay, on credit: a pause that
is longer than rounds need be in the long run, half of the least delay where they carry little,
gives credit, enough to take what breaks the silence to its commit. Who lags behind a little uses
none, and the further order or ledger lag behind, the longer the delay.

Source: docs/protocol.md, section 2.
"""

from typing import Final

from seawall.consensus.dag.core import Core
from seawall.domain.parameters import ConsensusParameters

BURST_ROUNDS: Final = 16
"""The most credit there is lets so many of the fastest rounds follow each other."""

BURST_DIVISOR: Final = 5
"""Which part of the least delay is kept between them."""

FULL_WORK: Final = 32
"""With as much work in each round, of all sites together, the delay is twice the least one."""

_SCALE: Final = 16


class Pace:
    """The delay between own blocks, and what it depends on besides the DAG."""

    def __init__(self, core: Core, parameters: ConsensusParameters) -> None:
        self._core = core
        self._parameters = parameters
        self._least_us = 1000 * parameters.round_delay_ms_min
        self._shortest_us = self._least_us // BURST_DIVISOR
        self._credit_max_us = BURST_ROUNDS * (self._least_us // 2 - self._shortest_us)
        self._credit_us = 0
        self._lag_max = parameters.gc_depth // 2
        self._last_us: int | None = None
        self._last_round = 0
        self._last_work = 0
        self._load = 0

    def due_at(self, round_: int, due_us: int) -> int:
        """Return when the next own block may be made that would be due at `due_us`."""
        if self._last_us is None:
            return due_us
        return max(due_us, self._last_us + self._delay_us(round_))

    def count(self, round_: int, now_us: int) -> None:
        """Take note of an own block: what the last pause exceeds or lacks changes the credit."""
        work = self._core.work_accepted
        if self._last_us is not None:
            saved_us = self._sustained_us() - (now_us - self._last_us)
            if self._lag() > self._lag_max:  # a pause that lag imposed is nothing lost
                saved_us = max(0, saved_us)
            self._credit_us = max(0, min(self._credit_max_us, self._credit_us - saved_us))
            passed = round_ - self._last_round
            carried = _SCALE * (work - self._last_work) // passed
            self._load = (3 * self._load + min(carried, _SCALE * FULL_WORK)) // 4
        self._last_us, self._last_round, self._last_work = now_us, round_, work

    def accepts_payload(self) -> bool:
        """Return whether blocks may carry payload: neither order nor ledger are far behind."""
        return self._lag() <= self._lag_max

    def _loaded_us(self) -> int:
        """Return the least delay for what rounds carry."""
        return self._least_us + self._least_us * self._load // (_SCALE * FULL_WORK)

    def _sustained_us(self) -> int:
        """Return the delay that may be kept for ever while rounds are waited for.

        That is half of the least one without load, and with full rounds as long as it is then.
        """
        return (self._least_us + 3 * self._least_us * self._load // (_SCALE * FULL_WORK)) // 2

    def _delay_us(self, round_: int) -> int:
        """Return the least time between the last own block and the next one."""
        core, parameters = self._core, self._parameters
        delay_us, lag = self._loaded_us(), self._lag()
        if lag > self._lag_max:
            longest_us = 1000 * parameters.leader_timeout_ms_max
            delay_us = min(delay_us + self._least_us * (lag - self._lag_max) // 4, longest_us)
        elif lag <= self._lag_max // 3 and core.is_waiting_for_rounds():
            delay_us = max(self._shortest_us, delay_us - self._credit_us)
        # Who has begun a round may have something to say and cannot say more in it: follow at once.
        # Who went past a round without a block lets others wait for it, until they see a later one.
        is_level = round_ <= self._last_round + 1
        if is_level and not core.store.authors_at(round_) and not core.is_busy():
            delay_us = max(delay_us, 1000 * parameters.round_delay_ms_idle)
        return delay_us

    def _lag(self) -> int:
        """Return by how many rounds the order, or our ledger, is behind."""
        core = self._core
        order = core.store.highest_round - core.linearizer.leader_round
        return max(order, core.linearizer.leader_round - core.rooted_round)
