"""An owner's numbers: what is remembered, and what is not."""

import pytest

from seawall.consensus.dag.owners import REMEMBERED_SEQS, Owner, drop_below

X, Y = b"x" * 32, b"y" * 32
WHO = b"w" * 32


def test_two_digests_contest_a_key_once() -> None:
    owner = Owner()
    assert [owner.deliver(1, digest) for digest in (X, X, Y, Y)] == [False, False, True, False]
    assert not owner.is_quiet
    assert not owner.is_shut(1)


def test_a_rival_after_the_accept_contests_too() -> None:
    owner = Owner()
    owner.deliver(1, X)
    owner.accept(1, X)
    assert owner.is_quiet
    assert owner.is_shut(1)
    assert owner.deliver(1, Y)


def test_an_accepted_key_is_neither_closed_nor_settled() -> None:
    owner = Owner()
    owner.deliver(1, X)
    owner.settle(1)
    assert owner.settled
    owner.accept(1, X)
    owner.close(1)
    owner.settle(1)
    assert owner.is_quiet
    owner.deliver(2, X)
    owner.close(2)
    assert owner.is_shut(2)


def test_numbers_below_the_window_are_forgotten_and_shut() -> None:
    owner = Owner()
    for seq in (1, 2, 3):
        owner.deliver(seq, X)
        owner.settle(seq)
    owner.accept(3, X)
    owner.accept(REMEMBERED_SEQS + 2, X)
    assert owner.floor == 2
    assert (list(owner.first), list(owner.settled)) == ([2], [2])
    assert owner.is_shut(1)
    assert not owner.deliver(1, Y)
    owner.accept(1, Y)
    owner.settle(1)
    assert list(owner.accepted) == [3, REMEMBERED_SEQS + 2]


def test_the_digest_tells_unusual_keys_apart() -> None:
    def made(*steps: str) -> bytes:
        owner = Owner()
        owner.deliver(1, X)
        for step in steps:
            match step:
                case "contest":
                    owner.deliver(1, Y)
                case "close":
                    owner.close(1)
                case _:
                    owner.settle(1)
        return owner.digest(WHO)

    cases = [(), ("contest",), ("close",), ("settle",), ("contest", "close", "settle")]
    assert len({made(*steps) for steps in cases}) == len(cases)
    owner = Owner()
    owner.deliver(1, Y)
    owner.settle(1)
    assert owner.digest(WHO) != made("settle")


def test_a_snapshot_gives_the_owner_back() -> None:
    owner = Owner()
    for seq in (1, 2, 3, 4):
        owner.deliver(seq, X)
    owner.deliver(2, Y)
    owner.accept(1, X)
    owner.close(2)
    owner.settle(3)
    owner.accept(REMEMBERED_SEQS + 1, Y)
    state = owner.snapshot(WHO)
    again = Owner.restored(state)
    assert again.snapshot(WHO) == state
    assert again.digest(WHO) == owner.digest(WHO)


@pytest.mark.parametrize(("before", "floor"), [(0, 3), (0, 10**9), (2, 3)])
def test_dropping_is_equal_by_either_way(before: int, floor: int) -> None:
    table: dict[int, bytes] = dict.fromkeys(range(before, 6), X)
    drop_below(table, before, floor)
    assert list(table) == [seq for seq in range(before, 6) if seq >= floor]
