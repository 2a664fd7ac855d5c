from random import Random

import pytest

from seawall.consensus.engine import Subscribe
from seawall.sim.network import (
    RECONNECT_US,
    RETRANSMIT_US,
    SILENCE_US,
    FixedDelay,
    LogNormalDelay,
    Loss,
    Network,
    Quality,
    ZoneDelay,
)

TWIN = 4


def network(loss: Loss | None = None, delay: object = None, seed: int = 1) -> Network:
    made = Network(
        authors=(0, 1, 2, 3, 0),
        zones=("eu", "us", "eu", "us", "eu"),
        delay=delay if isinstance(delay, LogNormalDelay) else FixedDelay(delay_us=100),
        loss=loss or Loss(),
        random=Random(seed),
    )
    for seat in range(5):
        made.set_alive(seat, alive=True)
    made.refresh(0)
    return made


def test_twins_have_no_link_between_them() -> None:
    made = network()
    assert not made.is_up(0, TWIN)
    assert made.peers[0] == (1, 2, 3)
    assert made.is_up(0, 1)
    assert made.is_up(TWIN, 1)


def test_a_link_delivers_in_order_whatever_the_delays() -> None:
    made = network(delay=LogNormalDelay(median_us=1000, sigma=2.0))
    arrivals = []
    for now_us in range(0, 1000, 10):
        sent = made.schedule(0, 1, now_us)
        assert sent is not None
        arrivals.append(sent[0])
    assert arrivals == sorted(arrivals)


def test_a_retransmission_is_a_delay_and_holds_up_what_follows() -> None:
    made = network(Loss(retransmit=0.5), seed=3)
    arrivals = [made.schedule(0, 1, 0) for _ in range(40)]
    times = [sent[0] for sent in arrivals if sent is not None]
    assert len(times) == 40
    assert max(times) > 100
    assert times == sorted(times)


def test_a_reset_loses_the_message_and_everything_on_its_way() -> None:
    made = network()
    sent = made.schedule(0, 1, 0)
    assert sent is not None
    made.loss = Loss(reset=1.0)
    assert made.schedule(0, 1, 10) is None
    assert made.refresh(10) == [(0, 1, False)]
    assert not made.arrives(0, 1, sent[1])
    assert made.schedule(1, 0, 20) is None
    repaired_us = made.repaired_us(1, 0)
    assert repaired_us == 10 + RECONNECT_US
    assert made.refresh(repaired_us) == [(0, 1, True)]
    assert not made.arrives(0, 1, sent[1]), "a new connection does not carry old messages"


def test_a_bad_direction_is_slow_and_lossy_one_way_only() -> None:
    made = network(seed=7)
    made.set_qualities({(0, 1): Quality(add_us=5_000, jitter_us=1_000, loss=0.3)})
    for _ in range(50):
        made.schedule(0, 1, 0)
        made.schedule(1, 0, 0)
    messages, travel_us = made.take_travel(0, 1)
    assert messages == 50
    assert travel_us / messages > 5_000
    assert made.take_travel(1, 0) == (50, 50 * 100)
    assert made.take_travel(1, 0) == (0, 0)
    made.set_qualities({})
    assert made.schedule(2, 3, 0) == (100, 1)


def test_the_network_knows_until_when_what_was_sent_again_is_on_its_way() -> None:
    made = network(Loss(retransmit=0.5), seed=3)
    arrivals = [made.schedule(0, 1, 0) for _ in range(20)]
    last_us = max(arrival[0] for arrival in arrivals if arrival is not None)
    made.loss = Loss()
    assert last_us > RETRANSMIT_US
    assert made.resent_until_us == last_us
    made.schedule(0, 2, last_us)
    assert made.resent_until_us == last_us


def test_two_faults_of_a_direction_add_up() -> None:
    both = Quality(add_us=10, loss=0.5).and_then(Quality(add_us=5, jitter_us=3, loss=0.5))
    assert both == Quality(add_us=15, jitter_us=3, loss=0.75)


def test_seats_may_stand_in_other_zones_than_their_committee_says() -> None:
    made = Network(
        authors=(0, 1),
        zones=("eu", "eu"),
        delay=ZoneDelay(median_us={"a>b": 7_000}, default_us=10, sigma=0.0),
        loss=Loss(),
        random=Random(1),
    )
    made.set_alive(0, alive=True)
    made.set_alive(1, alive=True)
    made.refresh(0)
    made.place(("a", "b"))
    assert made.schedule(0, 1, 0) == (7_000, 1)


def test_a_partition_cuts_exactly_the_links_between_groups() -> None:
    made = network()
    made.set_partition([(0, 1)])
    changes = made.refresh(5)
    assert changes == [
        (0, 2, False),
        (0, 3, False),
        (1, 2, False),
        (1, 3, False),
        (1, TWIN, False),
    ]
    assert made.is_up(2, TWIN)
    made.set_partition([])
    assert made.refresh(6) == [(a, b, True) for a, b, _ in changes]


def test_sight_hides_one_twin_from_one_seat() -> None:
    made = network()
    made.set_blind([(TWIN, 1)])
    assert made.refresh(5) == [(1, TWIN, False)]
    assert made.is_up(0, 1)


def test_a_stopped_seat_has_no_links() -> None:
    made = network()
    made.set_alive(2, alive=False)
    assert {(a, b) for a, b, up in made.refresh(1) if not up} == {(0, 2), (1, 2), (2, 3), (2, 4)}


def test_zones_differ_and_unknown_pairs_take_the_default() -> None:
    delay = ZoneDelay(median_us={"eu>us": 100_000}, default_us=10, sigma=0.0)
    random = Random(1)
    assert delay.sample_us(random, "eu", "us") == 100_000
    assert delay.sample_us(random, "us", "eu") == 10


@pytest.mark.parametrize("median_us", [1000, 30_000])
def test_log_normal_delay_has_the_stated_median(median_us: int) -> None:
    delay = LogNormalDelay(median_us=median_us)
    random = Random(5)
    samples = sorted(delay.sample_us(random, "eu", "us") for _ in range(2001))
    assert abs(samples[1000] / median_us - 1) < 0.1


def test_a_segment_that_is_overtaken_holds_up_the_stream() -> None:
    made = network(seed=7)
    made.set_qualities({(0, 1): Quality(late=0.2, late_us=5_000)})
    arrivals = [sent[0] for now in range(100) if (sent := made.schedule(0, 1, now)) is not None]
    assert arrivals == sorted(arrivals)
    assert arrivals[0] < 5_000 < arrivals[-1]
    assert made.carried(0, 1)[0] == 100


def test_a_stalled_direction_keeps_its_messages_until_it_works_again() -> None:
    made = network()
    assert made.set_stalled([(0, 1)], 10) == []
    first, second = Subscribe(after_round=1), Subscribe(after_round=2)
    assert made.hold(0, 1, first)
    assert made.hold(0, 1, second)
    assert not made.hold(1, 0, first), "the other direction goes on"
    assert made.is_up(0, 1)
    assert made.round_trip_us(0, 1, Random(1)) is None
    assert made.set_stalled([], 20) == [(0, 1, (first, second))]
    assert made.set_stalled([], 30) == []
    assert made.round_trip_us(0, 1, Random(1)) == 200


def test_a_connection_ends_when_one_direction_is_silent_for_too_long() -> None:
    made = network()
    made.set_stalled([(0, 1)], 0)
    made.hold(0, 1, Subscribe(after_round=1))
    made.set_stalled([(0, 1), (2, 3)], SILENCE_US - 1)
    assert made.refresh(SILENCE_US - 1) == []
    assert made.refresh(SILENCE_US) == [(0, 1, False)]
    assert made.set_stalled([], SILENCE_US) == [], "what was held went with the connection"
    assert made.refresh(SILENCE_US) == [(0, 1, True)]
