import pytest

from bench.load import Flight, Lane, closed_loop, one_at_a_time, open_loop


def test_a_closed_loop_fills_up_what_has_landed() -> None:
    lane = Lane(0)
    lane.flights = {number: Flight(1.0, 1.0) for number in range(3)}
    times, _ = closed_loop(5)(lane, 7.0)
    assert times == [7.0, 7.0]


def test_an_open_loop_sends_what_is_due_since_the_start_however_late() -> None:
    rule = open_loop(rate=40.0, lanes=4, started=100.0)
    lane = Lane(2)
    times, pause = rule(lane, 100.0)
    assert times == []
    assert pause == pytest.approx(0.05)
    times, pause = rule(lane, 100.27)
    assert times == pytest.approx([100.05, 100.15, 100.25])
    assert pause == pytest.approx(0.08)
    lane.sent = 3
    times, pause = rule(lane, 100.27)
    assert times == []
    assert pause == pytest.approx(0.08)
    # A stall of a second is made up for: due times stay what they were.
    times, _ = rule(lane, 101.3)
    assert times[0] == pytest.approx(100.35)
    assert len(times) == 10


def test_lanes_of_an_open_loop_take_turns() -> None:
    rule = open_loop(rate=40.0, lanes=4, started=0.0)
    firsts = [rule(Lane(site), 0.0999)[0][0] for site in range(4)]
    assert firsts == pytest.approx([0.0, 0.025, 0.05, 0.075])


def test_one_client_waits_for_each_update_and_then_a_changing_while() -> None:
    rule = one_at_a_time(1)
    assert rule(Lane(0), 5.0)[0] == []
    lane = Lane(1)
    assert rule(lane, 5.0) == ([5.0], 0.0)
    lane.sent, lane.flights = 1, {1: Flight(5.0, 5.0)}
    assert rule(lane, 6.0)[0] == []
    lane.flights, lane.landed = {}, [Flight(5.0, 5.0, {"committed": 6.0})]
    times, pause = rule(lane, 6.0)
    assert times == []
    assert 0 < pause < 0.06
    assert rule(lane, 6.06) == ([6.06], 0.0)
