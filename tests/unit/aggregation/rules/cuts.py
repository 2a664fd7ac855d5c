"""Cuts to try rules on: small random ones, and one with a bad minority."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from seawall.aggregation.rules import Contribution
from tests.unit.aggregation.rules.reference import Plain, expand

SIZE = 4
LIMIT = 2**23 - 1
VALUE = st.one_of(st.integers(-3, 3), st.integers(-LIMIT, LIMIT))
VECTOR = st.lists(VALUE, min_size=SIZE, max_size=SIZE)


@st.composite
def plain_cuts(draw: st.DrawFn) -> list[Plain]:
    """Draw one to seven updates; equal vectors are likely, so ties are too."""
    count = draw(st.integers(1, 7))
    pool = draw(st.lists(VECTOR, min_size=1, max_size=4))
    return [
        Plain(
            update_id=bytes([i]),
            delta=draw(st.sampled_from(pool)),
            staleness=draw(st.integers(0, 20)),
            num_examples=draw(st.integers(0, 300)),
        )
        for i in range(count)
    ]


def contributions(updates: Sequence[Plain]) -> list[Contribution]:
    return [
        Contribution(
            update_id=one.update_id,
            delta=np.array(one.delta, dtype=np.int32),
            staleness=one.staleness,
            num_examples=one.num_examples,
        )
        for one in updates
    ]


def direction() -> npt.NDArray[np.int32]:
    """Return where honest updates point, up to noise."""
    return expand("direction", 1, 200, 16).ravel()


def attacked_cut(honest: int = 6, bad: int = 4, strength: int = -10) -> list[Contribution]:
    """Return honest updates near `direction` and bad ones at `strength` times it."""
    truth = direction()
    noise = expand("noise", honest, truth.size, 14)
    good = [(truth + one).astype(np.int32) for one in noise]
    evil = [(strength * truth + one // 4).astype(np.int32) for one in noise[:bad]]
    return [
        Contribution(update_id=bytes([i]), delta=delta, staleness=0, num_examples=10)
        for i, delta in enumerate([*good, *evil])
    ]


def cosine(left: npt.NDArray[np.int32], right: npt.NDArray[np.int32]) -> float:
    a, b = left.astype(np.float64), right.astype(np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def progress(step: npt.NDArray[np.int32], truth: npt.NDArray[np.int32]) -> float:
    """Return how far a step goes along the truth: 1 for all the way, 0 for none of it."""
    a, b = step.astype(np.float64), truth.astype(np.float64)
    return float(a @ b / (b @ b))
