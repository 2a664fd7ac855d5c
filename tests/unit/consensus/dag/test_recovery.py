"""A journal that does not fit together is refused; a base alone is enough."""

import pytest

from seawall.codec import decode_commit_summary, encode_commit_summary, summarise
from seawall.consensus.dag.core import Core
from seawall.consensus.dag.leaders import PermutationLeaders
from seawall.consensus.dag.records import (
    BASE_BEGIN,
    BLOCK,
    COMMIT,
    FAST_PATH,
    JUDGED,
    floor_record,
    read_block,
)
from seawall.consensus.dag.recovery import make_base, restore
from seawall.consensus.engine import Record
from seawall.domain.block import RejectSet, VerifiedBlock
from seawall.domain.parameters import ConsensusParameters
from seawall.errors import OperationalError
from tests.unit.consensus.cluster import make_batch, make_committee, make_identity
from tests.unit.consensus.dag.drawing import draw_block, full_rounds, genesis, own_first

COMMITTEE = make_committee()


def new_core() -> Core:
    """Return the core of member 0."""
    parameters = ConsensusParameters(gc_depth=8)
    return Core(make_identity(0), COMMITTEE, parameters, PermutationLeaders(COMMITTEE, 2))


def grown(rounds: int = 30) -> Core:
    """Return a core after some rounds, with its records unwritten.

    Blocks carry updates. Member 3 rejects each of member 1's, so these wait for a fourth vote.
    """
    core = new_core()
    newest = genesis(COMMITTEE)
    for round_ in range(1, rounds + 1):
        made: list[VerifiedBlock] = []
        for author in range(4):
            number = 4 * round_ + author
            rejects = (RejectSet(newest[1], (0,)),) if author == 3 and round_ > 1 else ()
            made.append(
                draw_block(
                    round_,
                    author,
                    own_first(newest, author),
                    time_ms=1000 * round_,
                    batches=(make_batch(COMMITTEE, author, number),),
                    rejects=rejects,
                )
            )
        newest = [block.ref for block in made]
        for block in made:
            core.admit(block)
            core.decide()
    for commit in core.effects.deliver:
        core.rooted(commit.index, commit.index, bytes(32))
    return core


def same_state(one: Core, other: Core) -> None:
    """Check that both cores go on in the same way."""
    assert one.linearizer.index == other.linearizer.index
    assert one.linearizer.digest == other.linearizer.digest
    assert one.linearizer.clock_ms == other.linearizer.clock_ms
    assert one.clock.round == other.clock.round
    newest = [v.ref for v in one.store if v.round == one.store.highest_round]
    for author in range(4):
        block = draw_block(newest[0].round + 1, author, own_first(newest, author), time_ms=1)
        for core in (one, other):
            core.admit(block)
            core.decide()
    assert one.linearizer.digest == other.linearizer.digest
    assert one.linearizer.index > 0
    finalisers = [core.fast_path.finaliser for core in (one, other)]
    assert finalisers[0].snapshot() == finalisers[1].snapshot()
    assert finalisers[0].pending_count == finalisers[1].pending_count > 0
    last = [core.effects.deliver[-5:] for core in (one, other)]
    assert last[0] == last[1]
    assert any(commit.verdicts for commit in last[0])


def test_all_records_give_the_state_back() -> None:
    core = grown()
    records = [*core.unwritten, floor_record(33), floor_record(32)]
    again = new_core()
    restored = restore(again, COMMITTEE, records)
    assert restored.floor == 33
    assert restored.own_last.slot == (30, 0)
    assert [c.digest for c in again.effects.deliver] == [c.digest for c in core.effects.deliver]
    assert again.unwritten == []
    same_state(core, again)


def test_a_base_alone_gives_the_state_back() -> None:
    core = grown()
    core.votes.certified_index = core.linearizer.index - 3
    own_last = core.store.at_slot(30, 0)[0].ref
    records = make_base(core, own_last, floor=5)
    # A torn second base, and records that stand in both, change nothing.
    records += [records[0], *records[1:4], *[r for r in records if r.kind == JUDGED]]
    records += [Record(COMMIT, encode_commit_summary(summarise(core.effects.deliver[-1])))]
    again = new_core()
    restored = restore(again, COMMITTEE, [Record(BLOCK, b"not even read"), *records])
    assert (restored.own_last, restored.floor) == (own_last, 5)
    assert restored.base_round == core.recent[core.votes.certified_index].leader.round
    assert again.rooted_index == again.votes.certified_index == core.votes.certified_index
    # Nothing older is there: a peer that subscribes from round 0 makes nobody look for it.
    assert again.pruned_round == restored.base_round - 8
    assert [commit.index for commit in again.effects.deliver] == [
        core.votes.certified_index + i for i in (1, 2, 3)
    ]
    same_state(core, again)


def test_own_payload_survives_a_restart_until_it_is_delivered() -> None:
    core = new_core()
    blocks = full_rounds(COMMITTEE, 1)
    refs = own_first([block.ref for block in blocks], 0)
    own = draw_block(2, 0, refs, batches=(make_batch(COMMITTEE, 0, 5),))
    for block in [*blocks, own]:
        core.admit(block)
    again = new_core()
    restore(again, COMMITTEE, core.unwritten)
    assert len(again.payloads) == 1
    assert again.is_busy()


def test_records_of_an_unknown_kind_are_refused() -> None:
    with pytest.raises(OperationalError, match="JOURNAL_CORRUPT"):
        restore(new_core(), COMMITTEE, [Record(99, b"")])


@pytest.mark.parametrize("fault", ["missing block", "other digest", "gap"])
def test_commits_that_do_not_fit_are_refused(fault: str) -> None:
    records = list(grown().unwritten)
    commits = [place for place, record in enumerate(records) if record.kind == COMMIT]
    if fault == "missing block":
        del records[0]
    elif fault == "gap":
        del records[commits[2]]
    else:
        summary = decode_commit_summary(records[commits[1]].data)
        data = encode_commit_summary(summary)
        records[commits[1]] = Record(COMMIT, data.replace(summary.digest, bytes(32)))
    with pytest.raises(OperationalError, match="JOURNAL_CORRUPT"):
        restore(new_core(), COMMITTEE, records)


@pytest.mark.parametrize("fault", ["garbage", "missing block"])
def test_a_state_of_the_fast_path_that_does_not_fit_is_refused(fault: str) -> None:
    core = grown()
    core.votes.certified_index = core.linearizer.index - 3
    records = make_base(core, core.store.at_slot(30, 0)[0].ref, floor=0)
    place = next(place for place, record in enumerate(records) if record.kind == FAST_PATH)
    if fault == "garbage":
        records[place] = Record(FAST_PATH, b"garbage")
    else:
        open_ = {one.block for one in core.fast_path.snapshot().finaliser.carriers}
        records = [r for r in records if r.kind != BLOCK or read_block(r.data).ref not in open_]
        records = [r for r in records if r.kind != JUDGED]
    with pytest.raises(OperationalError, match="JOURNAL_CORRUPT"):
        restore(new_core(), COMMITTEE, records)


def test_a_base_in_the_middle_of_nothing_is_not_one() -> None:
    core = grown()
    core.votes.certified_index = 10
    begin = make_base(core, core.store.at_slot(30, 0)[0].ref, 0)[0]
    assert begin.kind == BASE_BEGIN
    again = new_core()
    restore(again, COMMITTEE, [*core.unwritten, begin])
    same_state(core, again)
