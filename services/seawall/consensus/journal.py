"""The replica's journal on disk: every batch of events is one frame, made durable by one sync.

A record inside a frame: kind (1), length (4), data. When a base is complete and durable, the
segments before its beginning are deleted. From a complete base on a restart looks at nothing
before it, deleted or not, so `before_base` is called before one is begun: whatever is to take the
place of older records has to be durable first.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from struct import Struct
from time import perf_counter_ns
from typing import Final

from seawall.consensus.dag.records import BASE_BEGIN, BASE_END
from seawall.consensus.engine import Record
from seawall.consensus.segments import SEGMENT_SIZE_BYTES_MAX, SegmentedLog
from seawall.errors import OperationalError
from seawall.runtime.disk import Disk
from seawall.runtime.service import CrashPoints

_RECORD: Final = Struct(">BI")


class FileJournal:
    """Implements `seawall.consensus.replica.Journal` over segment files.

    `recovered` holds the records that were found, in order.
    """

    def __init__(
        self,
        directory: Path,
        crash_points: CrashPoints,
        *,
        before_base: Callable[[], None] = lambda: None,
        synced: Callable[[float], None] = lambda _seconds: None,
        segment_size_bytes_max: int = SEGMENT_SIZE_BYTES_MAX,
        disk: Disk | None = None,
    ) -> None:
        """Open the journal and read what it holds; `synced` hears how long each sync took.

        Raises:
            OperationalError: JOURNAL_CORRUPT with segment and offset; JOURNAL_FULL, JOURNAL_IO.

        """
        self._log = SegmentedLog(
            directory, segment_size_bytes_max=segment_size_bytes_max, disk=disk
        )
        self._crash_points = crash_points
        self._before_base = before_base
        self._synced = synced
        self._base_segment: int | None = None
        self._base_complete = False
        self.syncs = 0
        self.recovered: tuple[Record, ...] = tuple(
            record for frame in self._log.recover() for record in decode_records(frame.payload)
        )

    def append(self, records: Sequence[Record]) -> None:
        """Write records as one frame; raises `OperationalError` when the disk refuses."""
        self._crash_points.reach("journal.before_append")
        kinds = [record.kind for record in records]
        if BASE_BEGIN in kinds:
            self._before_base()
            # A segment of its own, so that everything before it can go.
            self._base_segment = self._log.roll()
            self._base_complete = False
        self._log.append(encode_records(records))
        if BASE_END in kinds and self._base_segment is not None:
            self._base_complete = True

    def sync(self) -> None:
        """Make everything appended durable; raises `OperationalError` when that failed."""
        self._crash_points.reach("journal.before_sync")
        began_ns = perf_counter_ns()
        self._log.sync()
        self._synced((perf_counter_ns() - began_ns) / 1e9)
        self.syncs += 1
        if self._base_complete and self._base_segment is not None:
            self._log.drop_before(self._base_segment)
            self._base_segment = None
            self._base_complete = False
        self._crash_points.reach("journal.after_sync")

    def close(self) -> None:
        """Close the files."""
        self._log.close()


def encode_records(records: Sequence[Record]) -> bytes:
    """Return the payload of a frame that holds these records."""
    return b"".join(
        [_RECORD.pack(record.kind, len(record.data)) + record.data for record in records]
    )


def decode_records(payload: bytes) -> tuple[Record, ...]:
    """Return the records in a frame's payload, whose checksum has been verified.

    Raises:
        OperationalError: JOURNAL_CORRUPT when it is none of ours nevertheless.

    """
    records = []
    offset = 0
    while offset < len(payload):
        if len(payload) - offset < _RECORD.size:
            break
        kind, size = _RECORD.unpack_from(payload, offset)
        start = offset + _RECORD.size
        offset = start + size
        records.append(Record(kind, payload[start:offset]))
    if offset != len(payload):
        hint = "a frame holds something else than records: start with an empty directory"
        raise OperationalError("JOURNAL_CORRUPT", hint)
    return tuple(records)
