"""Missing blocks are asked for in turn; answers are bounded."""

import itertools

from seawall.consensus.dag import synchroniser as module
from seawall.consensus.dag.core import Core
from seawall.consensus.dag.leaders import PermutationLeaders
from seawall.consensus.dag.synchroniser import (
    ANSWER_BYTES_MAX,
    BACK_OFF_US,
    GRACE_US,
    MESSAGE_BYTES_MAX,
    REFS_PER_FETCH_MAX,
    SILENCE_US,
    Synchroniser,
)
from seawall.consensus.engine import BelowGc, Blocks, FetchBlocks, Message, Subscribe
from seawall.domain.block import Ref, VerifiedBlock
from seawall.domain.parameters import ConsensusParameters
from tests.unit.consensus.cluster import make_committee, make_identity
from tests.unit.consensus.dag.drawing import draw_block, full_rounds, genesis, own_first

COMMITTEE = make_committee()


class Setting:
    """A synchroniser of member 0 over a core."""

    def __init__(self, gc_depth: int = 60) -> None:
        parameters = ConsensusParameters(gc_depth=gc_depth)
        self.core = Core(make_identity(0), COMMITTEE, parameters, PermutationLeaders(COMMITTEE, 2))
        self.synchroniser = Synchroniser(self.core, COMMITTEE.size)

    def sent(self) -> list[tuple[int, Message]]:
        """Return what was sent since the last call."""
        sends = [(send.peer, send.message) for send in self.core.effects.sends]
        self.core.effects.sends.clear()
        return sends

    def poll(self, now_us: int) -> list[tuple[int, Message]]:
        """Poll and return the requests for blocks that were sent."""
        self.synchroniser.poll(now_us)
        return [(peer, one) for peer, one in self.sent() if isinstance(one, FetchBlocks)]

    def suspend(self, block: VerifiedBlock, source: int, now_us: int = 0) -> list[Ref]:
        """Admit a block whose parents are missing."""
        missing = self.core.admit(block)
        self.synchroniser.want(missing, source, now_us)
        return missing


def test_it_asks_the_sender_then_the_author_then_everybody_with_growing_pauses() -> None:
    setting = Setting()
    blocks = full_rounds(COMMITTEE, 2)
    for block in (blocks[0], blocks[2], blocks[3]):
        setting.core.admit(block)
    missing = setting.suspend(blocks[7], source=3)
    assert missing == [blocks[1].ref]
    assert setting.poll(GRACE_US - 1) == []
    now, asked, pauses = GRACE_US, [], []
    for attempt in range(8):
        ((peer, message),) = setting.poll(now)
        assert message == FetchBlocks((blocks[1].ref,))
        asked.append(peer)
        pause = BACK_OFF_US << min(attempt, 4)
        assert setting.poll(now + pause - 1) == []
        pauses.append(pause)
        now += pause
    assert asked[:2] == [3, 1]
    assert set(asked) == {1, 2, 3}
    assert pauses[-1] == pauses[-2] == 16 * BACK_OFF_US
    assert setting.synchroniser.is_wanted((blocks[1].ref,))
    setting.core.admit(blocks[1])
    assert setting.poll(now) == []
    assert len(setting.synchroniser) == 0
    assert not setting.synchroniser.is_wanted((blocks[1].ref,))


def test_peers_without_a_link_are_left_out_while_there_are_others() -> None:
    setting = Setting()
    block = draw_block(2, 1, [Ref(1, 1, bytes(32))])
    setting.suspend(block, source=1)
    setting.synchroniser.peer_down(1)
    ((peer, _),) = setting.poll(GRACE_US)
    assert peer == 2
    for other in (2, 3):
        setting.synchroniser.peer_down(other)
    assert len(setting.poll(10 * BACK_OFF_US)) == 1


def test_what_is_wanted_twice_is_asked_for_once() -> None:
    setting = Setting()
    ref = Ref(1, 1, bytes(32))
    setting.suspend(draw_block(2, 1, [ref]), source=1)
    setting.synchroniser.want([ref], 2, 5)
    assert len(setting.poll(GRACE_US + 5)) == 1


def test_requests_are_batched_and_bounded() -> None:
    setting = Setting()
    count = 0
    for author in (1, 2, 3):
        for round_ in range(2, 110):
            refs = [Ref(round_ - 1, a, bytes([author]) * 32) for a in (author, 0)]
            count += len(setting.suspend(draw_block(round_, author, refs), source=1))
    requests = setting.poll(GRACE_US)
    assert count > 256
    assert len(requests) == 4
    assert all(peer == 1 for peer, _ in requests)
    sizes = [len(one.refs) for _, one in requests if isinstance(one, FetchBlocks)]
    assert sizes == [REFS_PER_FETCH_MAX] * 4
    assert setting.poll(2 * GRACE_US)


def test_silent_streams_are_taken_up_again_ever_more_rarely() -> None:
    setting = Setting()
    assert setting.synchroniser.poll(0) == SILENCE_US
    assert setting.sent() == [(peer, Subscribe(0)) for peer in (1, 2, 3)]
    now, times = 0, []
    while now < 100 * SILENCE_US:
        at = setting.synchroniser.poll(now)
        assert at is not None
        if any(peer == 1 for peer, _ in setting.sent()):
            times.append(now)
        now = at
    gaps = [later - before for before, later in itertools.pairwise(times)]
    assert max(gaps) == 8 * SILENCE_US
    assert gaps == sorted(gaps)
    for block in full_rounds(COMMITTEE, 1):
        setting.core.admit(block)
    setting.synchroniser.poll(now + 8 * SILENCE_US)
    assert setting.sent() == []
    setting.synchroniser.poll(now + 20 * SILENCE_US)
    assert (1, Subscribe(1)) in setting.sent()


def test_a_link_that_comes_up_is_asked_at_once() -> None:
    setting = Setting()
    setting.synchroniser.peer_up(2, 5)
    assert setting.sent() == [(2, Subscribe(0))]


def big(round_: int, author: int, size: int) -> VerifiedBlock:
    """Return a block of about this many bytes."""
    return draw_block(round_, author, genesis(COMMITTEE)[author:], transactions=(b"x" * size,))


def test_answers_come_in_parts_up_to_a_limit() -> None:
    setting = Setting()
    blocks = []
    for round_ in range(1, 9):
        own = big(round_, 0, 700_000)
        setting.core.accept(own)
        blocks.append(own)
    setting.synchroniser.on_subscribe(1, 0, 0)
    messages = [message for _, message in setting.sent()]
    sent = [block for one in messages if isinstance(one, Blocks) for block in one.blocks]
    assert sent == blocks[: len(sent)]
    assert ANSWER_BYTES_MAX - 2 * 700_000 < sum(len(block.raw) for block in sent) < ANSWER_BYTES_MAX
    for message in messages:
        assert isinstance(message, Blocks)
        assert sum(len(block.raw) for block in message.blocks) <= MESSAGE_BYTES_MAX
    # A second time the budget is spent, later it is there again, for another peer always.
    setting.synchroniser.on_subscribe(1, 0, 1)
    assert setting.sent() == []
    setting.synchroniser.on_subscribe(2, 7, 1)
    assert setting.sent() == [(2, Blocks((blocks[7],)))]
    setting.synchroniser.on_subscribe(1, 7, module.SILENCE_US)
    assert setting.sent() == [(1, Blocks((blocks[7],)))]


def test_a_single_large_block_is_always_sent() -> None:
    setting = Setting()
    block = big(1, 0, MESSAGE_BYTES_MAX + 1)
    setting.core.accept(block)
    setting.synchroniser.on_fetch(1, (block.ref, block.ref), 0)
    assert setting.sent() == [(1, Blocks((block,)))]


def test_suspended_blocks_are_served_too() -> None:
    setting = Setting()
    block = draw_block(2, 1, [Ref(1, 1, bytes(32))])
    setting.suspend(block, source=1)
    setting.synchroniser.on_fetch(2, (block.ref,), 0)
    assert setting.sent() == [(2, Blocks((block,)))]


def test_below_the_gc_round_the_newest_blocks_come_along() -> None:
    setting = Setting(gc_depth=5)
    blocks = full_rounds(COMMITTEE, 12)
    for block in blocks:
        setting.core.admit(block)
        setting.core.decide()
    core = setting.core
    certified = core.linearizer.index - 3
    core.votes.restore(certified, certified)
    leader_round = core.recent[certified].leader.round
    assert leader_round < core.linearizer.leader_round
    newest = own_first([b.ref for b in blocks if b.ref.round >= leader_round], 0)
    gone = Ref(2, 1, b"gone" * 8)
    setting.synchroniser.on_fetch(3, (gone, blocks[-1].ref), 0)
    found, below = setting.sent()
    assert found == (3, Blocks((blocks[-1],)))
    answer = below[1]
    assert isinstance(answer, BelowGc)
    assert (answer.commit_index, answer.refs) == (setting.core.linearizer.index, (gone,))
    assert sorted(block.ref for block in answer.blocks) == sorted(newest)
    setting.synchroniser.on_fetch(3, (gone,), 1)
    assert setting.sent() == []
    core.votes.restore(core.linearizer.index + 5, 0)
    setting.synchroniser.on_fetch(3, (gone,), module.BELOW_GC_PAUSE_US)
    ((_, last),) = setting.sent()
    assert isinstance(last, BelowGc)
    assert min(block.ref.round for block in last.blocks) == core.linearizer.leader_round


def test_without_any_certificate_all_that_is_held_comes_along() -> None:
    setting = Setting(gc_depth=5)
    blocks = full_rounds(COMMITTEE, 12)
    for block in blocks:
        setting.core.admit(block)
        setting.core.decide()
    setting.synchroniser.on_fetch(3, (Ref(2, 1, b"gone" * 8),), 0)
    ((_, answer),) = setting.sent()
    assert isinstance(answer, BelowGc)
    assert sorted(b.ref for b in answer.blocks) == sorted(v.ref for v in setting.core.store)


def test_newest_blocks_that_do_not_fit_come_with_the_next_answers() -> None:
    setting = Setting(gc_depth=5)
    for block in full_rounds(COMMITTEE, 12):
        setting.core.admit(block)
        setting.core.decide()
    core = setting.core
    for round_ in range(20, 32):
        core.accept(big(round_, 0, 700_000))
    core.votes.restore(core.linearizer.index, core.linearizer.index)
    held = [v.ref for v in core.store if v.round >= core.linearizer.leader_round]
    gone = Ref(2, 1, b"gone" * 8)
    joined: list[Ref] = []
    for turn in range(4):
        setting.synchroniser.on_fetch(3, (gone,), turn * module.BELOW_GC_PAUSE_US)
        messages = [message for _, message in setting.sent()]
        blocks = [b for m in messages if isinstance(m, BelowGc) for b in m.blocks]
        assert sum(len(block.raw) for block in blocks) <= ANSWER_BYTES_MAX
        joined += [block.ref for block in blocks]
    assert joined[: len(held)] == held
    assert joined[len(held) :] == held[: len(joined) - len(held)], "then from the beginning"
