from bench import micro, timing
from bench.timing import Piece, measure


def test_a_timing_is_per_operation() -> None:
    calls = []
    piece = Piece(name="count", call=lambda: calls.append(sum(range(1000))), operations=10)
    taken = measure(piece, 0.001)
    assert len(calls) > timing.ROUNDS
    assert 0 < taken.best_us <= taken.median_us
    assert "count" in micro.table([taken])


def test_a_piece_that_uses_up_its_supply_is_called_as_often_as_it_says() -> None:
    supply = iter(range(timing.WARM_CALLS + 3 * timing.ROUNDS))
    measure(Piece(name="take", call=lambda: next(supply), repeats=3), 1.0)
    assert next(supply, None) is None
