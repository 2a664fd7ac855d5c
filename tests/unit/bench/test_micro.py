from bench import micro


def test_every_piece_runs_and_is_named_once() -> None:
    pieces = list(micro.pieces())
    names = [piece.name for piece in pieces]
    assert len(names) == len(set(names))
    for piece in pieces:
        if "262 k" not in piece.name:
            piece.call()


def test_a_timing_is_per_operation() -> None:
    calls = []
    piece = micro.Piece(name="count", call=lambda: calls.append(sum(range(1000))), operations=10)
    timing = micro.measure(piece, 0.001)
    assert len(calls) > micro.ROUNDS
    assert 0 < timing.best_us <= timing.median_us
    assert "count" in micro.table([timing])
