"""Delivered commits with their blocks, on disk: for a ledger or a peer that is behind.

The frame of commit i has sequence i: summary, blocks, what the finaliser says with it and then the
twins among its blocks, if there is either; each piece after its length in 4 bytes. What a crash
tears off is delivered again by the replica, so frames are synced late: before the journal begins a
base, from which on the commits up to it, which a ledger may not have written yet, are here only.
"""

from array import array
from collections import OrderedDict
from pathlib import Path
from struct import Struct
from threading import Lock
from typing import TYPE_CHECKING, Final

from seawall.codec import (
    RECORD_BYTES,
    decode_commit_summary,
    decode_twins,
    decode_verdicts,
    encode_commit_summary,
    encode_twins,
    encode_verdicts,
    summarise,
)
from seawall.consensus.dag.records import block_record, read_block
from seawall.consensus.segments import SEGMENT_SIZE_BYTES_MAX, Place, SegmentedLog
from seawall.domain.commit import Commit
from seawall.errors import PeerError
from seawall.runtime.disk import Disk

if TYPE_CHECKING:
    from seawall.domain.block import VerifiedBlock
    from seawall.domain.commit import Twins, Verdict

CACHE_COMMITS_MAX: Final = 256
CACHE_BYTES_MAX: Final = 32 << 20

_LENGTH: Final = Struct(">I")


class CommitLog:
    """Implements `seawall.consensus.engine.CommitHistory` over segment files.

    `append` and `sync` belong to the replica's thread; `read` may be called from any.
    """

    def __init__(
        self,
        directory: Path,
        *,
        size_bytes_max: int,
        segment_size_bytes_max: int = SEGMENT_SIZE_BYTES_MAX,
        disk: Disk | None = None,
    ) -> None:
        """Open the log and find every commit in it.

        Whole segments are deleted, oldest first, to stay near `size_bytes_max`.

        Raises:
            OperationalError: JOURNAL_CORRUPT, JOURNAL_FULL, JOURNAL_IO.

        """
        self._log = SegmentedLog(
            directory, segment_size_bytes_max=segment_size_bytes_max, disk=disk
        )
        self._segments_max = max(2, size_bytes_max // segment_size_bytes_max)
        self._offsets: dict[int, array[int]] = {}
        self._firsts: dict[int, int] = {}
        self._cache: OrderedDict[int, Commit] = OrderedDict()
        self._cache_bytes = 0
        self._lock = Lock()
        for frame in self._log.recover():
            self._found(frame.sequence, frame.place)

    @property
    def last_index(self) -> int:
        """Return the index of the newest commit, 0 when there is none."""
        return self._log.next_sequence - 1 if self._firsts else 0

    def append(self, commit: Commit) -> None:
        """Keep a commit; one that is there already is ignored."""
        with self._lock:
            self._remember(commit)
            if commit.index <= self.last_index:
                return
            if commit.index != self._log.next_sequence:
                # The tail was torn off and cannot come back: begin anew behind the gap.
                self._firsts.clear()
                self._offsets.clear()
                self._log.drop_all(commit.index)
            self._found(commit.index, self._log.append(_encode(commit)))
            if len(self._log.segments) > self._segments_max:
                self._drop_oldest()

    def sync(self) -> None:
        """Make everything appended durable."""
        self._log.sync()

    def read(self, index: int) -> Commit | None:
        """Return a commit with its blocks, or None when it is not there."""
        with self._lock:
            commit = self._cache.get(index)
            place = self._place(index)
        if commit is not None or place is None:
            return commit
        payload = self._log.read(*place, index)
        return None if payload is None else _decode(payload)

    def close(self) -> None:
        """Close the files."""
        self._log.close()

    def _remember(self, commit: Commit) -> None:
        if commit.index in self._cache:
            return
        self._cache[commit.index] = commit
        self._cache_bytes += _size(commit)
        while len(self._cache) > CACHE_COMMITS_MAX or (
            self._cache_bytes > CACHE_BYTES_MAX and len(self._cache) > 1
        ):
            _, gone = self._cache.popitem(last=False)
            self._cache_bytes -= _size(gone)

    def _found(self, index: int, place: Place) -> None:
        """Note where a commit stands: eight bytes each, segment by segment."""
        if place.segment not in self._firsts:
            self._firsts[place.segment] = index
            self._offsets[place.segment] = array("Q")
        self._offsets[place.segment].append(place.offset)

    def _place(self, index: int) -> tuple[int, int] | None:
        """Return segment and offset of a commit."""
        for segment in reversed(self._firsts):
            first = self._firsts[segment]
            if index >= first:
                offsets = self._offsets[segment]
                return (segment, offsets[index - first]) if index - first < len(offsets) else None
        return None

    def _drop_oldest(self) -> None:
        keep = self._log.segments[-self._segments_max]
        self._log.drop_before(keep)
        for segment in [segment for segment in self._firsts if segment < keep]:
            del self._firsts[segment], self._offsets[segment]


def _size(commit: Commit) -> int:
    """Return about how many bytes a commit holds, judged updates of earlier ones included."""
    judged = sum([len(verdict.positions) for verdict in commit.verdicts])
    return RECORD_BYTES * judged + sum([len(block.raw) for block in commit.blocks])


def _encode(commit: Commit) -> bytes:
    summary = encode_commit_summary(summarise(commit))
    pieces = [_LENGTH.pack(len(summary)), summary]
    for block in commit.blocks:
        data = block_record(block).data
        pieces += (_LENGTH.pack(len(data)), data)
    if commit.verdicts or commit.finality_digest or commit.twins:
        data = encode_verdicts(commit.verdicts, commit.finality_digest)
        pieces += (_LENGTH.pack(len(data)), data)
    if commit.twins:
        data = encode_twins(commit.twins)
        pieces += (_LENGTH.pack(len(data)), data)
    return b"".join(pieces)


def _decode(payload: bytes) -> Commit | None:
    """Return the commit in a frame; None when it is none, which a checksum makes unlikely."""
    pieces: list[bytes] = []
    offset = 0
    while offset + _LENGTH.size <= len(payload):
        (size,) = _LENGTH.unpack_from(payload, offset)
        offset += _LENGTH.size
        pieces.append(payload[offset : offset + size])
        offset += size
    verdicts: tuple[Verdict, ...] = ()
    finality_digest = b""
    twins: tuple[Twins, ...] = ()
    try:
        summary = decode_commit_summary(pieces[0])
        end = 1 + len(summary.delivered)
        blocks: tuple[VerifiedBlock, ...] = tuple([read_block(data) for data in pieces[1:end]])
        if len(pieces) > end:
            verdicts, finality_digest = decode_verdicts(pieces[end])
        if len(pieces) > end + 1:
            twins = decode_twins(pieces[end + 1])
    except (PeerError, IndexError):
        return None
    return Commit(
        index=summary.index,
        previous_digest=summary.previous_digest,
        digest=summary.digest,
        leader=summary.leader,
        clock_ms=summary.clock_ms,
        gc_round=summary.gc_round,
        blocks=blocks,
        verdicts=verdicts,
        finality_digest=finality_digest,
        twins=twins,
    )
