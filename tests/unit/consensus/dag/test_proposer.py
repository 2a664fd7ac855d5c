"""When a site proposes, and on what."""

from dataclasses import replace

import pytest

from seawall.codec import decode_block, genesis_ref
from seawall.consensus.dag.core import Core
from seawall.consensus.dag.leaders import PermutationLeaders
from seawall.consensus.dag.proposer import LATE_WAITS, UNHEARD, Proposer
from seawall.consensus.engine import Instant
from seawall.consensus.verification import verify_block
from seawall.domain.block import Ref, VerifiedBlock
from seawall.domain.parameters import ConsensusParameters
from tests.unit.consensus.cluster import make_batch, make_committee, make_identity
from tests.unit.consensus.dag.drawing import draw_block, full_rounds, own_first

COMMITTEE = make_committee()
PARAMETERS = ConsensusParameters()
MS = 1000


class Setting:
    """A core and a proposer of member 0."""

    def __init__(self, parameters: ConsensusParameters = PARAMETERS) -> None:
        schedule = PermutationLeaders(COMMITTEE, parameters.leaders_per_round)
        self.parameters = parameters
        self.core = Core(make_identity(0), COMMITTEE, parameters, schedule)
        own_last = genesis_ref(COMMITTEE.origin, 0, 0)
        self.proposer = Proposer(self.core, make_identity(0), COMMITTEE, parameters, own_last)

    def admit(self, blocks: list[VerifiedBlock], now_us: int = 0) -> None:
        """Admit blocks; tell the proposer when the clock moves."""
        for block in blocks:
            self.core.admit(block)
            self.core.decide()
            if self.core.clock_moved:
                self.core.clock_moved = False
                self.proposer.on_clock(now_us)

    def propose(self, now_us: int = 0) -> VerifiedBlock:
        """Propose and accept the block."""
        block = self.proposer.propose(Instant(now_us, 1_700_000_000_000 + now_us // MS))
        self.admit([block], now_us)
        return block


def others(round_: int, before: list[VerifiedBlock], *authors: int) -> list[VerifiedBlock]:
    """Return blocks of these authors over all blocks of the round before."""
    refs = [block.ref for block in before]
    return [draw_block(round_, author, own_first(refs, author)) for author in authors]


def leaders_of(setting: Setting, round_: int) -> tuple[int, ...]:
    """Return the leaders of a round; here everybody knows them in advance."""
    found = setting.core.schedule.leaders(round_)
    assert found is not None
    return found


def test_the_first_block_rests_on_genesis_and_is_due_at_once() -> None:
    setting = Setting()
    assert setting.proposer.due_at(5) == 5
    block = setting.propose(5)
    assert block.ref.slot == (1, 0)
    assert block.block.parents == tuple(genesis_ref(COMMITTEE.origin, 0, a) for a in range(4))
    assert verify_block(decode_block(block.raw), COMMITTEE, PARAMETERS) == block
    assert setting.proposer.due_at(10**9) is None
    with pytest.raises(AssertionError):
        setting.propose(6)


def test_idle_sites_pause_and_follow_whoever_begins() -> None:
    setting = Setting()
    setting.core.votes.restore(1, 1)
    first = setting.propose()
    rest = full_rounds(COMMITTEE, 1)[1:]
    setting.admit(rest, 2 * MS)
    assert setting.proposer.due_at(3 * MS) == 1000 * MS
    setting.admit(others(2, [first, *rest], 1), 4 * MS)
    assert setting.proposer.due_at(5 * MS) == 25 * MS


def test_a_quiet_time_is_credit_for_faster_rounds_while_rounds_are_waited_for() -> None:
    setting = Setting()
    setting.core.votes.restore(1, 1)
    first = setting.propose()
    before = full_rounds(COMMITTEE, 1)[1:]
    setting.admit(before, MS)
    second = setting.propose(2000 * MS)
    following = others(2, [first, *before], 1, 2, 3)
    setting.admit(following, 2001 * MS)
    begun = others(3, [second, *following], 1)
    setting.admit(begun, 2002 * MS)
    assert setting.proposer.due_at(2003 * MS) == 2025 * MS
    setting.core.payloads.submit_transaction(b"{}")
    assert setting.proposer.due_at(2003 * MS) == 2005 * MS


def test_payload_ends_the_pause_but_not_the_least_delay() -> None:
    setting = Setting()
    setting.propose()
    setting.admit(full_rounds(COMMITTEE, 1)[1:], 2 * MS)
    setting.core.payloads.submit_batch(make_batch(COMMITTEE, 0, 1))
    assert setting.proposer.due_at(3 * MS) == 25 * MS
    block = setting.propose(30 * MS)
    assert [batch.number for batch in block.block.batches] == [1]
    assert block.block.vote_cutoff == 0


def test_a_reachable_leader_is_waited_for_until_the_timer() -> None:
    setting = Setting()
    leaders = leaders_of(setting, 1)
    late = next(author for author in leaders if author)
    first = setting.propose()
    rest = [block for block in full_rounds(COMMITTEE, 1)[1:] if block.ref.author != late]
    setting.admit(rest, 2 * MS)
    setting.core.payloads.submit_transaction(b"{}")
    assert setting.core.clock.round == 2
    assert setting.proposer.due_at(3 * MS) == (2 + 250) * MS
    setting.core.heard_rounds[late] = UNHEARD
    assert setting.proposer.due_at(3 * MS) == 25 * MS
    assert first.ref in setting.core.store


def test_a_leader_that_has_gone_on_is_not_waited_for() -> None:
    setting = Setting()
    late = next(author for author in leaders_of(setting, 1) if author)
    first = setting.propose()
    rest = [block for block in full_rounds(COMMITTEE, 1)[1:] if block.ref.author != late]
    setting.admit(rest, 2 * MS)
    setting.core.payloads.submit_transaction(b"{}")
    assert setting.proposer.due_at(3 * MS) == (2 + 250) * MS
    own_last = genesis_ref(COMMITTEE.origin, 0, late)
    refs = [own_last, *[block.ref for block in (first, *rest)]]
    setting.admit([draw_block(2, late, tuple(refs))], 4 * MS)
    assert setting.proposer.due_at(5 * MS) == 25 * MS


def test_leaders_alone_are_not_enough_votes_must_be_clear() -> None:
    setting = Setting()
    before = [setting.propose(), *full_rounds(COMMITTEE, 1)[1:]]
    setting.admit(before[1:], MS)
    blamed = leaders_of(setting, 1)[0]
    without = [block for block in before if block.ref.author != blamed]
    setting.core.payloads.submit_transaction(b"{}")
    own = setting.propose(25 * MS)
    leaders = set(leaders_of(setting, 2)) - {0}
    voters = sorted({1, 2, 3} - {max({1, 2, 3} - leaders, default=3)} | leaders)[:2]
    # Two votes and one blame: neither is clear, though both leaders of round 2 may be there.
    setting.admit(others(2, before, voters[0]), 31 * MS)
    setting.admit(others(2, without, voters[1]), 31 * MS)
    assert own.ref in setting.core.store
    assert not setting.core.committer.has_clear_votes(1)
    setting.core.payloads.submit_transaction(b"{}")
    assert setting.proposer.due_at(32 * MS) == (31 + 250) * MS
    (missing,) = {1, 2, 3} - set(voters)
    setting.admit(others(2, before, missing), 33 * MS)
    # By the pace alone: the first pause was half a least delay longer than it had to be.
    assert setting.proposer.due_at(34 * MS) == 25 * MS + 12_500


def test_equivocators_are_not_waited_for() -> None:
    setting = Setting()
    setting.core.votes.restore(1, 1)
    first = setting.propose()
    rest = full_rounds(COMMITTEE, 1)[1:]
    setting.admit(rest, MS)
    setting.core.payloads.submit_transaction(b"{}")
    setting.propose(25 * MS)
    late = next(author for author in leaders_of(setting, 2) if author)
    setting.admit(others(2, [first, *rest], *sorted({1, 2, 3} - {late})), 31 * MS)
    setting.core.payloads.submit_transaction(b"{}")
    waiting = setting.proposer.due_at(32 * MS)
    assert waiting == (31 + 250) * MS
    setting.core.equivocators.mask |= 1 << late
    assert setting.proposer.due_at(32 * MS) == 25 * MS + 12_500


class Lateness:
    """Rounds in which one author's block comes only after everybody has gone on."""

    def __init__(self, wave_length: int, late: int) -> None:
        self.setting = Setting(replace(PARAMETERS, wave_length=wave_length))
        self.late = late
        self.now_us = 0
        self.own = self.setting.propose()
        self.blocks = full_rounds(COMMITTEE, 1)[1:]

    def play(self, rounds: int, *, punctual: bool = False) -> list[int]:
        """Return, of these rounds, those after which the next proposal waited for the timer."""
        waited: list[int] = []
        setting = self.setting
        for _ in range(rounds):
            round_ = setting.core.clock.round
            in_time = [one for one in self.blocks if punctual or one.ref.author != self.late]
            setting.admit(in_time, self.now_us)
            setting.core.payloads.submit_transaction(b"{}")
            due_us = setting.proposer.due_at(self.now_us)
            assert due_us is not None
            if due_us == self.now_us + setting.proposer.timeout_us:
                waited.append(round_)
            self.now_us = due_us
            seen, known = [self.own, *in_time], [self.own, *self.blocks]
            self.own = setting.propose(self.now_us)
            setting.admit([one for one in self.blocks if one not in in_time], self.now_us)
            punctuals = sorted({1, 2, 3} - {self.late})
            self.blocks = others(round_ + 1, seen, *punctuals)
            self.blocks += others(round_ + 1, known, self.late)
        return waited

    def timers(self) -> int:
        """Return how often a proposal was reported as made by the timer."""
        found = self.setting.core.effects.take(None).observe
        return sum(1 for one in found if one.name == "proposed_by_timer")


@pytest.mark.parametrize("wave_length", [3, 5])
def test_who_came_late_is_spared_some_waits_and_then_waited_for_again(wave_length: int) -> None:
    late = 2
    play = Lateness(wave_length, late)
    waited = play.play(30)
    counted = [
        round_
        for round_ in range(1, 31)
        if wave_length > 3 or late in leaders_of(play.setting, round_)
    ]
    assert waited == counted[:: LATE_WAITS + 1]


def test_who_comes_in_time_is_waited_for_as_ever() -> None:
    play = Lateness(3, 2)
    assert play.play(12, punctual=True) == []
    assert play.timers() == 0
    assert len(play.play(8)) == 1
    assert play.timers() == 1


def test_long_waves_wait_for_everybody_reachable() -> None:
    setting = Setting(replace(PARAMETERS, wave_length=5))
    setting.propose()
    rest = full_rounds(COMMITTEE, 1)[1:]
    setting.admit(rest[:2], MS)
    setting.core.payloads.submit_transaction(b"{}")
    assert setting.proposer.due_at(2 * MS) == (1 + 50) * MS
    setting.admit(rest[2:], 3 * MS)
    assert setting.proposer.due_at(4 * MS) == 25 * MS


def split_rounds(setting: Setting, last_round: int) -> list[VerifiedBlock]:
    """Return rounds in which half of the authors see the leader before: nothing is direct."""
    newest = [genesis_ref(COMMITTEE.origin, 0, author) for author in range(4)]
    blocks: list[VerifiedBlock] = []
    for round_ in range(1, last_round + 1):
        leader = leaders_of(setting, round_ - 1)[0]
        seeing = {leader, (leader + 1) % 4} if round_ > 1 else {0, 1, 2, 3}
        made = [
            draw_block(
                round_,
                author,
                own_first([r for r in newest if author in seeing or r.author != leader], author),
            )
            for author in range(4)
        ]
        blocks.extend(made)
        newest = [block.ref for block in made]
    return blocks


def test_rounds_that_were_decided_elsewhere_do_not_lengthen_the_timeout() -> None:
    setting = Setting()
    setting.core.committer.jump_behind(30, leaders_of(setting, 30)[0])
    for round_ in (34, 35):
        setting.core.clock.on_accept(round_, 1)
        setting.proposer.on_clock(0)
        expected = 250 if round_ == 34 else 500
        assert setting.proposer.timeout_us == expected * MS, "round 30 is known, 31 had its time"


def test_the_timeout_doubles_without_direct_decisions_and_decays_with_them() -> None:
    setting = Setting(replace(PARAMETERS, leaders_per_round=1))
    setting.admit(full_rounds(COMMITTEE, 20))
    assert setting.proposer.timeout_us == 250 * MS
    setting = Setting(replace(PARAMETERS, leaders_per_round=1))
    split = split_rounds(setting, 14)
    seen = []
    for block in split:
        setting.admit([block])
        seen.append(setting.proposer.timeout_us // MS)
    assert sorted(set(seen)) == [250, 500, 1000, 2000, 4000, 8000, 10_000]
    newest = split[-4:]
    for round_ in range(15, 30):
        newest = others(round_, newest, 0, 1, 2, 3)
        setting.admit(newest)
    assert 250 * MS <= setting.proposer.timeout_us < 1000 * MS


def alone(rounds: int) -> list[VerifiedBlock]:
    """Return full rounds of the others."""
    return full_rounds(COMMITTEE, rounds, absent=[(r, 0) for r in range(1, rounds + 1)])


def test_lag_stops_payload_and_slows_down() -> None:
    setting = Setting(replace(PARAMETERS, gc_depth=8, round_delay_ms_idle=25))
    setting.propose()
    setting.core.payloads.submit_transaction(b"{}")
    setting.admit(alone(12))
    # The order is up to date, the ledger has answered nothing.
    assert setting.core.linearizer.leader_round == 10
    assert not setting.proposer.pace.accepts_payload()
    assert setting.proposer.due_at(MS) == 25 * MS + 25 * MS * (10 - 4) // 4
    block = setting.propose(100 * MS)
    assert block.block.transactions == ()
    setting.core.rooted_round = 10
    assert setting.proposer.pace.accepts_payload()


def test_the_delay_has_a_limit() -> None:
    setting = Setting(replace(PARAMETERS, gc_depth=8, leader_timeout_ms_max=40))
    setting.propose()
    setting.core.payloads.submit_transaction(b"{}")
    setting.admit(alone(40))
    assert setting.proposer.due_at(MS) == 40 * MS


def test_parents_are_own_first_then_the_newest_not_yet_covered() -> None:
    setting = Setting()
    own = setting.propose()
    rest = full_rounds(COMMITTEE, 1)[1:]
    setting.admit(rest, MS)
    # Author 3 falls silent after round 1; nobody references its block.
    trio = [own, rest[0], rest[1]]
    second = [*others(2, trio, 1, 2)]
    own_second = setting.propose(2000 * MS)
    assert own_second.block.parents[0] == own.ref
    assert set(own_second.block.parents[1:]) == {block.ref for block in rest}
    setting.admit(second, 2001 * MS)
    own_third = setting.propose(4000 * MS)
    # Author 3's block of round 1 is an ancestor through the own block already.
    assert own_third.block.parents == (own_second.ref, second[0].ref, second[1].ref)


def test_of_twins_one_is_a_parent() -> None:
    setting = Setting()
    setting.propose()
    rest = full_rounds(COMMITTEE, 1)[1:]
    twin = draw_block(1, 3, rest[2].block.parents, time_ms=9)
    setting.admit([*rest, twin], MS)
    block = setting.propose(2000 * MS)
    assert [ref for ref in block.block.parents if ref.author == 3] == [rest[2].ref]


def test_nothing_is_proposed_below_the_floor_or_without_the_own_last_block() -> None:
    setting = Setting()
    assert setting.proposer.raise_floor(3)
    assert not setting.proposer.raise_floor(3)
    assert setting.proposer.due_at(0) is None
    setting.admit(alone(2))
    assert setting.core.clock.round == 3
    assert setting.proposer.due_at(0) is not None
    setting.proposer.note_own(Ref(2, 0, b"x" * 32))
    assert setting.proposer.due_at(0) is None
    setting.proposer.note_own(Ref(1, 0, b"y" * 32))
    assert setting.proposer.own_last == Ref(2, 0, b"x" * 32)
