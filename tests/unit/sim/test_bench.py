from dataclasses import replace

import pytest

from seawall.sim import bench
from seawall.sim.bench import (
    CHECKED_SIZE_MAX,
    EXPECTED,
    EXPECTED_FINAL,
    HEADER,
    Case,
    Figures,
    measure,
)
from seawall.sim.plan import Passing


@pytest.mark.parametrize("wave_length", EXPECTED)
@pytest.mark.parametrize("size", [4, 5, 7, 10])
def test_the_honest_steady_case_takes_the_delays_of_the_protocol(
    size: int, wave_length: int
) -> None:
    figures = measure(Case(size=size, wave_length=wave_length, rounds=12, updates=2))
    # Exactly: nobody paces rounds here, so there is nothing to allow for.
    assert (figures.leader, figures.other) == EXPECTED[wave_length]
    assert figures.final == EXPECTED_FINAL
    # A vote stands in the next round's blocks; the commit of one of those delivers the verdict.
    assert figures.accepted == wave_length + 2
    assert figures.rounds_per_delay == 1.0
    assert figures.commits > 12
    assert figures.update is not None
    assert figures.update_p95 is not None
    assert EXPECTED[wave_length][0] < figures.update <= figures.update_p95


def test_everything_offered_is_committed_and_its_cost_counted() -> None:
    figures = measure(Case(size=4, rounds=40, updates=3))
    assert figures.offered_per_delay == 12
    assert figures.updates_per_delay == pytest.approx(12, rel=0.15)
    # Each block goes to three others; four blocks a delay carry twelve updates.
    assert figures.messages == pytest.approx(1.0, rel=0.2)
    # Three others verify a block's signature, its batch's two attestations and its votes.
    assert figures.signatures > 3 * (1 + 2) * 4 / 12
    assert figures.bytes > 300


def test_a_run_is_the_same_every_time() -> None:
    case = Case(size=4, rounds=5)
    assert measure(case) == measure(case)


def test_large_sizes_run_few_rounds_and_hand_blocks_over() -> None:
    small, large = bench.cases_of([4, 31], [3], rounds=30, updates=1)
    assert (small.rounds, large.rounds) == (30, 12)
    assert bench.plan_of(small).passing is Passing.ONCE
    assert bench.plan_of(large).passing is Passing.REFERENCE
    figures = measure(replace(large, size=CHECKED_SIZE_MAX + 3, rounds=4))
    assert (figures.leader, figures.other) == EXPECTED[3]


def test_the_table_and_the_document_show_what_is_known() -> None:
    figures = measure(Case(size=4, rounds=6))
    cells = bench.row(figures)
    assert len(cells) == len(HEADER)
    assert cells[HEADER.index("expected")] == "3/4"
    assert bench.row(_unmeasured(figures))[HEADER.index("leader δ")] == "-"
    document = bench.document([figures])
    assert document["kind"] == "SimBench"
    assert document["delayMs"] == 100


def test_a_case_that_takes_longer_does_not_hold() -> None:
    figures = measure(Case(size=4, rounds=8))
    assert bench.holds(figures)
    assert not bench.holds(replace(figures, final=3.5))
    assert not bench.holds(replace(figures, other=5.0))


def _unmeasured(figures: Figures) -> Figures:
    return replace(figures, leader=None)
