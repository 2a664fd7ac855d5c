"""What comes into the DAG, what is kept out, and what is let go."""

import msgspec
import pytest

from seawall.consensus.dag import recent as recent_module
from seawall.consensus.dag.core import PENDING_MARGIN, Core
from seawall.consensus.dag.leaders import PermutationLeaders
from seawall.domain.block import CommitVote, Ref, RejectSet, VerifiedBlock
from seawall.domain.commit import Commit
from seawall.domain.parameters import ConsensusParameters
from tests.unit.consensus.cluster import make_batch, make_committee, make_identity
from tests.unit.consensus.dag.drawing import draw_block, full_rounds, genesis, own_first

COMMITTEE = make_committee()
GC_DEPTH = 8


def new_core(own: int = 0) -> Core:
    """Return the core of a member, without blocks."""
    parameters = ConsensusParameters(gc_depth=GC_DEPTH)
    schedule = PermutationLeaders(COMMITTEE, parameters.leaders_per_round)
    return Core(make_identity(own), COMMITTEE, parameters, schedule)


def admit_all(core: Core, blocks: list[VerifiedBlock]) -> None:
    """Admit blocks and commit what they decide."""
    for block in blocks:
        core.admit(block)
        core.decide()


def names(core: Core) -> list[str]:
    """Return the names of what was observed."""
    return [seen.name for seen in core.effects.observations]


def twin_of(block: VerifiedBlock) -> VerifiedBlock:
    """Return another block for the same slot."""
    content = block.block
    return draw_block(content.round, content.author, content.parents, time_ms=77)


def test_blocks_are_accepted_in_any_order() -> None:
    blocks = full_rounds(COMMITTEE, 12)
    forward, backward = new_core(), new_core()
    admit_all(forward, blocks)
    for block in reversed(blocks):
        backward.admit(block)
    backward.decide()
    assert [one.digest for one in backward.effects.deliver] == [
        one.digest for one in forward.effects.deliver
    ]
    assert len(backward.pending) == 0
    assert backward.clock.round == forward.clock.round == 13


def test_missing_parents_are_named_once() -> None:
    core = new_core()
    blocks = full_rounds(COMMITTEE, 2)
    assert core.admit(blocks[4]) == [*blocks[4].block.parents]
    assert core.admit(blocks[4]) == []
    assert core.admit(blocks[5]) == [*blocks[5].block.parents]
    assert core.find(blocks[4].ref) is blocks[4]
    assert core.find(blocks[0].ref) is None


def test_a_second_block_in_a_slot_is_evidence_and_its_author_is_shunned() -> None:
    core = new_core()
    blocks = full_rounds(COMMITTEE, 3)
    admit_all(core, blocks[:4])
    twin = twin_of(blocks[3])
    core.admit(twin)
    assert twin.ref in core.store
    assert core.equivocators.evidence == {3: (blocks[3], twin)}
    assert names(core).count("equivocation") == 1
    # Unsolicited blocks of an equivocator are not even suspended ...
    third = draw_block(1, 3, blocks[3].block.parents, time_ms=5)
    later = draw_block(2, 3, [twin.ref, *[block.ref for block in blocks[:3]]])
    for block in (third, later):
        assert core.admit(block) == []
        assert block.ref not in core.store
    # ... but an ancestor of somebody else's block is always taken in.
    child = draw_block(2, 1, [blocks[1].ref, blocks[0].ref, blocks[2].ref, third.ref])
    assert core.admit(child) == [third.ref]
    assert core.admit(third) == []
    assert third.ref in core.store
    assert child.ref in core.store
    assert core.admit(later, solicited=True) == []
    assert later.ref in core.store
    assert names(core).count("equivocation") == 1


def test_blocks_far_ahead_and_too_many_of_one_author_are_ignored() -> None:
    core = new_core()
    far = GC_DEPTH + PENDING_MARGIN
    parents = genesis(COMMITTEE)
    assert core.admit(draw_block(far + 1, 1, [Ref(far, 1, bytes(32)), *parents])) == []
    for round_ in range(2, far + 1):
        core.admit(draw_block(round_, 1, [Ref(round_ - 1, 1, bytes(32)), parents[0]]))
    assert len(core.pending) == far - 1
    core.admit(draw_block(2, 1, [Ref(1, 1, b"x" * 32)], time_ms=1))
    assert len(core.pending) == far
    assert not core.pending.has_room(1)
    # Not even in an answer may they come without end; those that can be accepted may.
    core.admit(draw_block(2, 1, [Ref(1, 1, b"y" * 32)], time_ms=2), solicited=True)
    assert len(core.pending) == far
    whole = draw_block(1, 1, own_first(parents, 1), time_ms=3)
    core.admit(whole, solicited=True)
    assert whole.ref in core.store


def test_old_blocks_are_ignored_and_old_parents_count_as_present() -> None:
    core = new_core()
    blocks = full_rounds(COMMITTEE, 14, absent=[(1, 3)])
    admit_all(core, blocks)
    assert core.gc_round == 4
    held = len(core.store)
    assert core.admit(draw_block(4, 3, genesis(COMMITTEE)[3:])) == []
    assert len(core.store) == held
    lost = Ref(4, 3, b"lost" * 8)
    own = [block.ref for block in blocks if block.ref.round == 14]
    late = draw_block(15, 3, [lost, *[ref for ref in own if ref.author != 3]])
    assert core.admit(late) == []
    assert late.ref in core.store


def test_the_gc_round_frees_what_waits_for_lost_blocks() -> None:
    core = new_core()
    blocks = full_rounds(COMMITTEE, 16, absent=[(r, 3) for r in range(1, 16)])
    lost = Ref(2, 3, b"lost" * 8)
    first = [block.ref for block in blocks if block.ref.round == 15]
    waiting = draw_block(16, 3, [lost, *first], time_ms=1)
    old = draw_block(3, 3, [lost])
    admit_all(core, [block for block in blocks if block.ref.round < 6])
    core.admit(waiting)
    core.admit(old)
    assert len(core.pending) == 2
    admit_all(core, [block for block in blocks if 6 <= block.ref.round < 16])
    assert core.gc_round >= 3
    assert len(core.pending) == 0
    assert waiting.ref in core.store
    # It came free when its parent fell below the gc round, one round before itself.
    assert old.ref in core.store


def test_busy_before_the_first_checkpoint_unless_the_ledger_is_behind() -> None:
    core = new_core()
    assert core.is_busy()
    admit_all(core, full_rounds(COMMITTEE, 6))
    assert core.effects.deliver
    assert not core.is_busy()
    for commit in core.effects.deliver:
        core.rooted(commit.index, commit.index, bytes(32))
    assert core.is_busy()
    core.votes.restore(1, 1)
    assert not core.is_busy()


def test_busy_while_payload_is_on_its_way() -> None:
    core = new_core()
    core.votes.restore(1, 1)
    blocks = full_rounds(COMMITTEE, 6)
    admit_all(core, blocks[:4])
    assert not core.is_busy()
    parents = own_first([block.ref for block in blocks[:4]], 1)
    loaded = draw_block(2, 1, parents, batches=(make_batch(COMMITTEE, 1, 1),))
    core.admit(loaded)
    assert core.is_busy()
    rest = [block for block in blocks[4:8] if block.ref.author != 1]
    admit_all(core, rest)
    newest = [loaded.ref, *[block.ref for block in rest]]
    for round_ in range(3, 7):
        made = [draw_block(round_, a, own_first(newest, a)) for a in range(4)]
        admit_all(core, made)
        newest = [block.ref for block in made]
    delivered = {block.ref: one.index for one in core.effects.deliver for block in one.blocks}
    assert loaded.ref in delivered
    accepted = [one.index for one in core.effects.deliver if one.verdicts]
    assert core.last_payload_index == accepted[-1] > delivered[loaded.ref]
    # Delivered, but the ledger has not answered: rounds do not help.
    assert not core.is_busy()
    for commit in core.effects.deliver:
        core.rooted(commit.index, commit.index, bytes(32))
    assert core.is_busy()


def test_rejects_make_busy_and_payload_out_of_reach_does_not() -> None:
    core = new_core()
    core.votes.restore(1, 1)
    blocks = full_rounds(COMMITTEE, 16, absent=[(r, 3) for r in range(2, 17)])
    admit_all(core, blocks[:4])
    parents = own_first([block.ref for block in blocks[:4]], 3)
    orphan = draw_block(2, 3, parents, rejects=(RejectSet(blocks[0].ref, (0,)),))
    core.admit(orphan)
    assert core.is_busy()
    admit_all(core, blocks[4:])
    assert core.gc_round >= 2
    assert not core.is_busy()


def test_own_payload_that_is_collected_goes_back_to_the_queue() -> None:
    core = new_core(own=3)
    blocks = full_rounds(COMMITTEE, 16, absent=[(r, 3) for r in range(2, 17)])
    admit_all(core, blocks[:4])
    parents = own_first([block.ref for block in blocks[:4]], 3)
    orphan = draw_block(2, 3, parents, transactions=(b"again",))
    core.payloads.proposed(orphan)
    core.accept(orphan)
    admit_all(core, blocks[4:])
    assert "payload_requeued" in names(core)
    assert core.payloads.take() == ((), (b"again",))


def test_updates_that_no_commit_delivered_in_time_are_reported_dead() -> None:
    core = new_core()
    blocks = full_rounds(COMMITTEE, 16, absent=[(r, 3) for r in range(2, 17)])
    admit_all(core, blocks[:4])
    parents = own_first([block.ref for block in blocks[:4]], 3)
    batch = make_batch(COMMITTEE, 3, 1, updates=5)
    core.accept(draw_block(2, 3, parents, batches=(batch,)))
    admit_all(core, blocks[4:])
    dead = [seen for seen in core.effects.observations if seen.name == "updates_dead"]
    assert [dict(seen.fields) for seen in dead] == [{"updates": 5}]


def certified_chain(rounds: int) -> tuple[list[Commit], tuple[VerifiedBlock, ...]]:
    """Return commits over full rounds, and blocks that certify the last of them."""
    core = new_core()
    admit_all(core, full_rounds(COMMITTEE, rounds))
    commits = list(core.effects.deliver)
    last = commits[-1]
    vote = CommitVote(last.index, last.digest, 5, bytes(32), bytes(72))
    voters = tuple(
        draw_block(rounds + 1, author, [genesis(COMMITTEE)[author]], votes=(vote,))
        for author in range(3)
    )
    return commits, voters


def test_certified_commits_are_taken_over_as_they_are() -> None:
    commits, voters = certified_chain(12)
    core = new_core(own=3)
    # Some blocks are there already, some are suspended, one waits for blocks of the commits.
    blocks = full_rounds(COMMITTEE, 12)
    admit_all(core, blocks[:6])
    for block in blocks[20:24]:
        core.admit(block)
    core.admit(blocks[44])
    assert core.adopt(commits, voters) == ""
    assert core.effects.deliver[-1].digest == commits[-1].digest
    assert [commit.index for commit in core.effects.deliver] == list(range(1, len(commits) + 1))
    assert core.votes.certified_index == commits[-1].index
    assert core.adopt(commits, voters) == "nothing_new"
    admit_all(core, full_rounds(COMMITTEE, 14))
    assert len(core.effects.deliver) > len(commits)


def test_commits_with_a_twin_of_a_suspended_block_are_taken_over() -> None:
    """The suspended twin becomes free inside the commit that delivers the other one."""
    commits, voters = certified_chain(12)
    core = new_core(own=3)
    leader = next(commit.leader for commit in commits if commit.leader.round == 5)
    before = [block.ref for block in full_rounds(COMMITTEE, 12) if block.ref.round == 4]
    twin = draw_block(5, leader.author, own_first(before, leader.author), time_ms=1)
    core.admit(twin)
    assert core.adopt(commits, voters) == ""
    assert core.effects.deliver[-1].digest == commits[-1].digest
    assert twin.ref in core.store
    pair = core.equivocators.evidence[leader.author]
    assert {block.ref for block in pair} == {twin.ref, leader}


@pytest.mark.parametrize("missing", ["first", "vote", "digest"])
def test_uncertified_commits_change_nothing(missing: str) -> None:
    commits, voters = certified_chain(12)
    reasons = {"first": "chain", "vote": "certificate", "digest": "chain"}
    if missing == "first":
        commits = commits[1:]
    elif missing == "vote":
        voters = voters[:2]
    else:
        commits[3] = msgspec.structs.replace(commits[3], digest=bytes(32))
    core = new_core(own=3)
    assert core.adopt(commits, voters) == reasons[missing]
    assert core.linearizer.index == 0
    assert len(core.store) == 0


def test_votes_wait_until_the_round_is_decided_and_the_last_commit_of_it_counts() -> None:
    core = new_core()
    admit_all(core, full_rounds(COMMITTEE, 8))
    commits = core.effects.deliver
    for commit in commits:
        core.rooted(commit.index, commit.index, bytes(32))
        core.rooted(commit.index, commit.index, bytes(32))
    core.rooted(999, 1, bytes(32))
    last_of_round = {commit.leader.round: commit.index for commit in commits}
    del last_of_round[1]  # no clock yet
    assert [vote.index for vote in core.votes.take_ready()] == sorted(last_of_round.values())


def test_a_vote_on_half_a_round_waits() -> None:
    core = new_core()
    schedule = core.schedule
    assert isinstance(schedule, PermutationLeaders)
    late = schedule.leaders(5)[1]
    # The second leader of round 5 stays undecided: half of the next round does not see it.
    blocks = full_rounds(COMMITTEE, 5)
    before = [block.ref for block in blocks if block.ref.round == 5]
    admit_all(core, blocks)
    seen = {
        a: before if a in {late, (late + 1) % 4} else [r for r in before if r.author != late]
        for a in range(4)
    }
    sixth = [draw_block(6, a, own_first(seen[a], a), time_ms=6000) for a in range(4)]
    admit_all(core, sixth)
    newest = [block.ref for block in sixth]
    admit_all(core, [draw_block(7, a, own_first(newest, a), time_ms=7000) for a in range(4)])
    commits = list(core.effects.deliver)
    assert commits[-1].leader.slot == (5, schedule.leaders(5)[0])
    assert core.committer.next_slot == (5, 1)
    for commit in commits:
        core.rooted(commit.index, commit.index, bytes(32))
    assert commits[-1].index not in {vote.index for vote in core.votes.take_ready()}


def test_recent_commits_are_bounded_but_kept_until_certified(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent_module, "RECENT_COMMITS_MAX", 4)
    core = new_core()
    blocks = full_rounds(COMMITTEE, 8)
    admit_all(core, blocks)
    assert len(core.recent) == len(core.effects.deliver) > 4
    core.votes.certified_index = core.rooted_index = 6
    admit_all(core, full_rounds(COMMITTEE, 9))
    assert min(core.recent) == 6


def test_blocks_are_pruned_below_a_certified_commit_only() -> None:
    core = new_core()
    admit_all(core, full_rounds(COMMITTEE, 20))
    core.prune()
    assert len(core.store) == 80
    commit = next(one for one in core.effects.deliver if one.leader.round == 14)
    core.votes.certified_index = core.rooted_index = commit.index
    core.prune()
    core.prune()
    assert core.pruned_round == 14 - GC_DEPTH
    assert len(core.store) == 4 * (20 - core.pruned_round)
