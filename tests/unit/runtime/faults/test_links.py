"""What is wrong with links: when messages get through, which are repeated, which are damaged."""

from random import Random

from seawall.runtime.faults.links import (
    RETRANSMIT_US,
    RETRANSMIT_US_MAX,
    Cut,
    Damage,
    Direction,
    Effect,
    Late,
    LinkFaults,
    Narrow,
    Slow,
    Twice,
)
from seawall.runtime.faults.tally import Tally

SECOND = 1_000_000
OUT = Direction.OUTBOUND


def is_quiet(links: LinkFaults) -> bool:
    return links.quiet


def seeded(seed: int = 1) -> tuple[Tally, Random]:
    return Tally(), Random(seed)


def test_a_delay_varies_around_what_is_added_and_never_brings_a_message_forward() -> None:
    tally, random = seeded()
    late = Late(tally, random, add_us=100, jitter_us=150)
    waits = [late.due_us(1_000, 10) - 1_000 for _ in range(500)]
    assert min(waits) == 0
    assert 240 < max(waits) <= 250
    assert 0 < tally.count < 500


def test_a_lost_segment_waits_200_ms_doubling_up_to_a_minute() -> None:
    waits = [Late(*seeded(seed), loss=0.5).due_us(0, 10) for seed in range(2000)]
    allowed = [RETRANSMIT_US * (2**losses - 1) for losses in range(9)]
    assert all(wait in [*allowed, RETRANSMIT_US_MAX] for wait in waits)
    assert 900 < sum(wait == 0 for wait in waits) < 1100
    assert 400 < sum(wait == RETRANSMIT_US for wait in waits) < 600
    assert Late(*seeded(), loss=1.0).due_us(0, 10) == RETRANSMIT_US_MAX


def test_a_segment_that_was_overtaken_is_waited_for() -> None:
    late = Late(*seeded(), reorder=0.25, reorder_by_us=7)
    waits = [late.due_us(0, 10) for _ in range(1000)]
    assert sorted(dict.fromkeys(waits)) == [0, 7]
    assert 200 < waits.count(7) < 300


def test_a_narrow_link_lets_bits_through_one_after_the_other() -> None:
    narrow = Narrow(*seeded(), kbit_per_second=8, buffer_bytes=5_000)
    assert narrow.due_us(0, 1_000) == SECOND
    assert narrow.due_us(0, 500) == 3 * SECOND // 2
    assert narrow.due_us(10 * SECOND, 1_000) == 11 * SECOND
    assert narrow.bytes_max == 5_000


def test_a_slow_connection_pauses_after_each_message() -> None:
    slow = Slow(*seeded(), pause_us=SECOND)
    assert [slow.due_us(0, 10), slow.due_us(0, 10), slow.due_us(5 * SECOND, 10)] == [
        0,
        SECOND,
        5 * SECOND,
    ]
    assert slow.messages_max == 1


def test_shares_of_messages_are_repeated_or_damaged_and_counted() -> None:
    tally, random = seeded()
    twice = Twice(tally, random, 0.5)
    copies = [twice.copies() for _ in range(1000)]
    assert copies.count(2) == tally.count
    assert 450 < tally.count < 550
    tally, random = seeded()
    damage = Damage(tally, random, 1.0)
    assert damage.damages()
    assert tally.count == 1
    plain = Effect(*seeded())
    assert (plain.copies(), plain.damages(), plain.due_us(3, 1)) == (1, False, 3)


def test_effects_come_and_go_and_say_so() -> None:
    links = LinkFaults()
    first, second = Cut(*seeded()), Cut(*seeded())
    changed = links.changed
    assert is_quiet(links)
    links.add({(1, OUT): first})
    assert not is_quiet(links)
    assert changed.is_set()
    assert not links.changed.is_set()
    links.add({(1, OUT): second})
    assert links.on(1, OUT) == (first, second)
    assert links.on(1, Direction.INBOUND) == links.on(2, OUT) == ()
    links.remove({(1, OUT): first})
    assert links.on(1, OUT) == (second,)
    assert not is_quiet(links)
    links.remove({(1, OUT): second})
    assert links.on(1, OUT) == ()
    assert is_quiet(links)


def test_connections_are_closed_while_they_are_open() -> None:
    links, closed = LinkFaults(), list[str]()

    def first() -> None:
        closed.append("first")

    def second() -> None:
        closed.append("second")

    links.opened(1, first)
    links.opened(1, second)
    assert links.close([0, 1]) == 2
    links.closed(1, first)
    assert links.close([1]) == 1
    assert closed == ["first", "second", "second"]
