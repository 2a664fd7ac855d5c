"""How a small piece of work is timed: processor time of this process, the best of rounds."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.quantiles import median

ROUNDS = 5
WARM_CALLS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Something to time: `call` does `operations` of what is counted.

    With `repeats` a round is so many calls, for pieces that use up what was made for them.
    """

    name: str
    call: Callable[[], object]
    operations: int = 1
    repeats: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Microseconds of processor time per operation: the fastest round and the middle one."""

    name: str
    best_us: float
    median_us: float


def measure(piece: Piece, seconds: float) -> Timing:
    """Return the timing of a piece; each of the rounds takes about `seconds`."""
    for _ in range(WARM_CALLS - 1):
        piece.call()
    started = time.process_time_ns()
    piece.call()
    once = max(time.process_time_ns() - started, 200)
    repeats = piece.repeats or max(1, round(seconds * 1e9 / once))
    rounds = []
    gc.collect()
    for _ in range(ROUNDS):
        started = time.process_time_ns()
        for _ in range(repeats):
            piece.call()
        spent = time.process_time_ns() - started
        rounds.append(spent / repeats / piece.operations / 1e3)
    return Timing(name=piece.name, best_us=min(rounds), median_us=median(rounds))
