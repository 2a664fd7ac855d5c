"""What the journal holds, and how a replica's state is rebuilt from it.

Records in the order in which they were made: every accepted block with the mask of its valid
commit votes, every commit as a summary. From time to time a *base* makes everything before it
superfluous: BASE_BEGIN with a certified commit and what it had delivered, the blocks that are
still needed, the commits after it with their verdicts, the state of the fast path after them,
BASE_END. Without its end a base does not count.
"""

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Final

import msgspec

from seawall.codec import (
    decode_block,
    decode_commit_summary,
    decode_verdicts,
    encode_commit_summary,
    encode_verdicts,
    summarise,
)
from seawall.codec.reading import Reader
from seawall.codec.refs import decode_refs, encode_refs
from seawall.consensus.dag.fast_path import FastPathState
from seawall.consensus.engine import Record
from seawall.domain.block import Ref, VerifiedBlock
from seawall.domain.commit import Commit, CommitSummary, Verdict
from seawall.errors import OperationalError

BLOCK: Final = 1
COMMIT: Final = 2
BASE_BEGIN: Final = 3
BASE_END: Final = 4
LOST_DISK: Final = 5
JUDGED: Final = 6
FAST_PATH: Final = 7

_VOTES: Final = Struct(">Q")
_FLOOR: Final = Struct(">Q")
_LENGTH: Final = Struct(">I")
_BASE: Final = Struct(">Q32sQQQ")


class Base(msgspec.Struct, frozen=True):
    """A certified commit from which a journal starts anew.

    `settled` are blocks above its gc round that it, or a commit before it, delivered;
    `own_last` is the replica's own last block, `floor` the lowest round that it may propose in
    after a lost disk (0: never lost), `voted_index` the last commit that it voted on.
    """

    index: int
    digest: bytes
    leader: Ref
    clock_ms: int
    floor: int
    voted_index: int
    own_last: Ref
    settled: tuple[Ref, ...]


def block_record(block: VerifiedBlock) -> Record:
    """Return the record of an accepted block."""
    votes, valid = block.block.commit_votes, block.valid_votes
    if len(votes) == len(valid):
        mask = (1 << len(votes)) - 1
    else:
        mask = sum([1 << i for i, vote in enumerate(votes) if vote in valid])
    return Record(BLOCK, _VOTES.pack(mask) + block.raw)


def read_block(data: bytes) -> VerifiedBlock:
    """Return the block in a record; it was verified before it was written."""
    (mask,) = _VOTES.unpack_from(data)
    signed = decode_block(data[_VOTES.size :])
    votes = tuple([v for i, v in enumerate(signed.block.commit_votes) if mask >> i & 1])
    return VerifiedBlock(block=signed.block, ref=signed.ref, raw=signed.raw, valid_votes=votes)


def floor_record(floor: int) -> Record:
    """Return the record of a lost disk: nothing may be proposed below this round."""
    return Record(LOST_DISK, _FLOOR.pack(floor))


def read_floor(data: bytes) -> int:
    """Return the round in a lost disk's record."""
    (floor,) = _FLOOR.unpack(data)
    return int(floor)


def judged_record(commit: Commit) -> Record:
    """Return the record of a commit whose verdicts are not to be found again."""
    summary = encode_commit_summary(summarise(commit))
    verdicts = encode_verdicts(commit.verdicts, commit.finality_digest)
    return Record(JUDGED, _LENGTH.pack(len(summary)) + summary + verdicts)


def read_judged(data: bytes) -> tuple[CommitSummary, tuple[Verdict, ...], bytes]:
    """Return summary, verdicts and finality digest of a commit in a base."""
    (size,) = _LENGTH.unpack_from(data)
    end = _LENGTH.size + size
    verdicts, finality_digest = decode_verdicts(data[end:])
    return decode_commit_summary(data[_LENGTH.size : end]), verdicts, finality_digest


def fast_path_record(state: FastPathState) -> Record:
    """Return the record of the fast path's state."""
    return Record(FAST_PATH, msgspec.msgpack.encode(state))


def read_fast_path(data: bytes) -> FastPathState:
    """Return the fast path's state; raise OperationalError `JOURNAL_CORRUPT` when it is none."""
    try:
        return msgspec.msgpack.decode(data, type=FastPathState)
    except msgspec.MsgspecError:
        hint = "restore the data directory, or start without it"
        raise OperationalError("JOURNAL_CORRUPT", hint, field="fast_path") from None


def base_record(base: Base) -> Record:
    """Return the record that begins a base."""
    head = _BASE.pack(base.index, base.digest, base.clock_ms, base.floor, base.voted_index)
    return Record(BASE_BEGIN, head + encode_refs((base.leader, base.own_last, *base.settled)))


def read_base(data: bytes) -> Base:
    """Return the base that a record begins."""
    reader = Reader(data, "BASE_TRUNCATED")
    index, digest, clock_ms, floor, voted_index = reader.unpack(_BASE)
    leader, own_last, *settled = decode_refs(data[reader.offset :])
    return Base(
        index=index,
        digest=digest,
        leader=leader,
        clock_ms=clock_ms,
        floor=floor,
        voted_index=voted_index,
        own_last=own_last,
        settled=tuple(settled),
    )


def since_last_base(records: Sequence[Record]) -> Iterable[Record]:
    """Return the records from the last complete base on, or all when there is none."""
    start, candidate = 0, None
    for place, record in enumerate(records):
        if record.kind == BASE_BEGIN:
            candidate = place
        elif record.kind == BASE_END:
            assert candidate is not None, "a base ends only after it has begun"
            start, candidate = candidate, None
    return records[start:]
