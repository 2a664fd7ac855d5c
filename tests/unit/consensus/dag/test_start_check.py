"""The check at every start: enough answers, a bounded wait for more, nobody forgotten."""

from seawall.consensus.dag.effects import Effects
from seawall.consensus.dag.stakes import StakeTable
from seawall.consensus.dag.start_check import RETRY_US, StartCheck
from seawall.consensus.engine import LatestQuery, LatestReply
from seawall.domain.block import VerifiedBlock
from tests.unit.consensus.cluster import make_committee
from tests.unit.consensus.dag.drawing import draw_block, genesis

COMMITTEE = make_committee()
WAIT_US = 700_000
NOTHING = LatestReply(None, None)


def new_check(own: int = 0, stakes: tuple[int, ...] = (1, 1, 1, 1)) -> StartCheck:
    """Return a check that has not begun."""
    return StartCheck(own, StakeTable(make_committee(stakes)), WAIT_US)


def block(round_: int, author: int) -> VerifiedBlock:
    """Return a block of this slot."""
    return draw_block(round_, author, [genesis(COMMITTEE)[author]])


def asked(effects: Effects) -> list[int]:
    """Return who was asked, and forget it."""
    peers = [send.peer for send in effects.sends if send.message == LatestQuery()]
    effects.sends.clear()
    return peers


def test_it_ends_at_once_when_all_have_answered() -> None:
    check, effects = new_check(), Effects()
    assert check.poll(0, effects) == RETRY_US
    assert asked(effects) == [1, 2, 3]
    for peer in (1, 2, 3):
        assert not check.done
        check.answer(peer, NOTHING)
        check.poll(1000, effects)
    assert check.done
    assert check.poll(2000, effects) is None
    assert asked(effects) == []
    check.answer(1, LatestReply(block(1000, 1), None))
    assert check.highest_round == 0


def test_enough_answers_and_a_bounded_wait_will_do() -> None:
    check, effects = new_check(), Effects()
    check.poll(0, effects)
    check.answer(1, NOTHING)
    assert check.poll(1, effects) == RETRY_US
    check.answer(2, NOTHING)
    assert check.poll(2, effects) == RETRY_US
    asked(effects)
    assert check.poll(RETRY_US, effects) == WAIT_US
    assert asked(effects) == [3]
    assert not check.done
    assert check.poll(WAIT_US, effects) is None
    assert check.done


def test_too_few_answers_never_end_it() -> None:
    check, effects = new_check(), Effects()
    check.poll(0, effects)
    check.answer(1, NOTHING)
    check.answer(1, NOTHING)
    for times in range(1, 20):
        assert check.poll(times * RETRY_US, effects) == (times + 1) * RETRY_US
    assert not check.done
    asked(effects)
    check.ask_again(1, effects)
    check.ask_again(2, effects)
    assert asked(effects) == [2]


def test_stake_counts_not_heads() -> None:
    check, effects = new_check(0, (1, 3, 1, 2)), Effects()  # Q = 5, so 4 of others
    check.poll(0, effects)
    check.answer(1, NOTHING)
    check.poll(WAIT_US, effects)
    assert not check.done
    check.answer(2, NOTHING)
    check.poll(WAIT_US + 1, effects)
    assert check.done


def test_a_lone_site_asks_nobody() -> None:
    check, effects = new_check(0, (1,)), Effects()
    assert check.poll(0, effects) is None
    assert check.done
    check.ask_again(0, effects)
    assert asked(effects) == []


def test_the_greatest_round_is_kept() -> None:
    check = new_check()
    check.answer(1, LatestReply(block(5, 1), block(7, 0)))
    check.answer(2, LatestReply(block(6, 2), None))
    assert check.highest_round == 7
