"""Rebuilds a replica's state from its journal, and writes bases that keep the journal short."""

from collections.abc import Sequence
from typing import Final

import msgspec

from seawall.codec import decode_commit_summary
from seawall.codec.domains import genesis_ref
from seawall.consensus.dag.core import Core
from seawall.consensus.dag.records import (
    BASE_BEGIN,
    BASE_END,
    BLOCK,
    COMMIT,
    FAST_PATH,
    JUDGED,
    LOST_DISK,
    Base,
    base_record,
    block_record,
    fast_path_record,
    judged_record,
    read_base,
    read_block,
    read_fast_path,
    read_floor,
    read_judged,
    since_last_base,
)
from seawall.consensus.engine import Record
from seawall.domain.block import Ref, VerifiedBlock
from seawall.domain.commit import Commit, CommitSummary, Verdict
from seawall.domain.committee import Committee
from seawall.errors import OperationalError

BASE_EVERY_GC_DEPTHS: Final = 4
"""A new base is written when the last one is this many gc depths of rounds old."""


class Restored(msgspec.Struct):
    """What the journal says besides the DAG: own last block, lowest round to propose in."""

    own_last: Ref
    floor: int
    base_round: int


def restore(core: Core, committee: Committee, records: Sequence[Record]) -> Restored:
    """Bring a fresh core into the state that the records describe.

    Commits after the base are delivered again, with equal numbers and digests.

    Raises OperationalError `JOURNAL_CORRUPT` when the records do not fit together.
    """
    own = core.own
    restored = Restored(genesis_ref(committee.origin, committee.epoch, own), 0, 0)
    settled: dict[Ref, None] = {}
    for place, record in enumerate(since_last_base(records)):
        if record.kind == BLOCK:
            _restore_block(core, read_block(record.data), settled, restored)
        elif record.kind == COMMIT:
            _restore_commit(core, decode_commit_summary(record.data))
        elif record.kind == JUDGED:
            _restore_judged(core, *read_judged(record.data))
        elif record.kind == FAST_PATH:
            if not core.fast_path.restore(read_fast_path(record.data)):
                raise _corrupt("fast_path")
        elif record.kind == LOST_DISK:
            restored.floor = max(restored.floor, read_floor(record.data))
        elif record.kind == BASE_BEGIN and place == 0:
            base = read_base(record.data)
            settled = dict.fromkeys(base.settled)
            _restore_base(core, base, restored)
        elif record.kind not in (BASE_BEGIN, BASE_END):
            raise OperationalError("JOURNAL_CORRUPT", "a record of unknown kind", field="kind")
    core.unwritten.clear()
    core.clock_moved = True
    return restored


def _restore_base(core: Core, base: Base, restored: Restored) -> None:
    """Start from a certified commit."""
    core.linearizer.restore(base.index, base.digest, base.leader.round, base.clock_ms)
    core.committer.jump_behind(base.leader.round, base.leader.author)
    core.votes.restore(base.index, base.voted_index)
    core.rooted_index, core.rooted_round = base.index, base.leader.round
    core.pruned_round = core.gc_round
    restored.own_last = base.own_last
    restored.floor = base.floor
    restored.base_round = base.leader.round


def _restore_block(
    core: Core, block: VerifiedBlock, settled: dict[Ref, None], restored: Restored
) -> None:
    """Accept a block again; a parent that is not there was below the gc round at its time."""
    core.keep_latest(block)
    if block.ref in core.store or block.ref.round <= core.gc_round:
        return
    core.hear(block.ref)
    core.equivocators.check(block)
    vertex = core.accept(block)
    if block.ref in settled:
        core.settle(vertex)
    elif block.ref.author == core.own:
        core.payloads.proposed(block)
    if block.ref.author == core.own:
        core.fast_path.vote_again(vertex)
        if block.ref.round > restored.own_last.round:
            restored.own_last = block.ref


def _restore_commit(core: Core, summary: CommitSummary) -> None:
    """Make a commit again, as it was made before, and judge it again."""
    commit = _adopted(core, summary)
    if commit is not None:
        core.publish(core.judge(commit))
        core.fast_path.collect(core.gc_round)


def _restore_judged(
    core: Core, summary: CommitSummary, verdicts: tuple[Verdict, ...], finality_digest: bytes
) -> None:
    """Make a commit of a base again, with the verdicts that it had."""
    commit = _adopted(core, summary)
    if commit is not None:
        core.publish(core.take_verdicts(commit, verdicts, finality_digest))
        core.fast_path.collect(core.gc_round)


def _adopted(core: Core, summary: CommitSummary) -> Commit | None:
    """Return a commit of the journal, made again; None when it is known already."""
    if summary.index <= core.linearizer.index:
        return None
    found = [core.store.get(ref) for ref in summary.delivered]
    vertices = [vertex for vertex in found if vertex is not None]
    commit = core.linearizer.adopt(summary.leader, summary.clock_ms, vertices)
    if commit.digest != summary.digest or commit.index != summary.index:
        raise _corrupt("commit")
    core.committer.jump_behind(summary.leader.round, summary.leader.author)
    return commit


def _corrupt(field: str) -> OperationalError:
    """Return the error for records that do not fit together."""
    hint = "restore the data directory, or start without it"
    return OperationalError("JOURNAL_CORRUPT", hint, field=field)


def make_base(core: Core, own_last: Ref, floor: int) -> list[Record]:
    """Return the records of a new base at the last commit that is certified and in our ledger.

    All commits after it and all blocks above its gc round are still held. Of authors that have
    been silent for longer, the latest block is kept.
    """
    commit = core.recent[core.base_index]
    gc_round = max(0, commit.leader.round - core.gc_depth)
    later = [core.recent[index] for index in range(commit.index + 1, core.linearizer.index + 1)]
    delivered_later = {block.ref for one in later for block in one.blocks}
    held = [vertex for vertex in core.store if vertex.round > gc_round]
    old = [block for block in core.latest if block is not None and block.ref.round <= gc_round]
    base = Base(
        index=commit.index,
        digest=commit.digest,
        leader=commit.leader,
        clock_ms=commit.clock_ms,
        floor=floor,
        voted_index=core.votes.voted_index,
        own_last=own_last,
        settled=tuple(
            [v.ref for v in held if core.store.is_settled(v) and v.ref not in delivered_later]
        ),
    )
    return [
        base_record(base),
        *[block_record(block) for block in old],
        *[block_record(vertex.block) for vertex in held],
        *[judged_record(one) for one in later],
        fast_path_record(core.fast_path.snapshot()),
        Record(BASE_END, b""),
    ]
