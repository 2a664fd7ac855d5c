"""The journal on disk: batches of records, crash points, truncation behind a base."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.consensus.dag.records import BASE_BEGIN, BASE_END, BLOCK, COMMIT
from seawall.consensus.engine import Record
from seawall.consensus.journal import FileJournal, decode_records, encode_records
from seawall.errors import OperationalError

RECORDS = st.lists(st.builds(Record, st.integers(0, 255), st.binary(max_size=50)), max_size=8)


class Points:
    """Crash points that only note what was passed."""

    def __init__(self) -> None:
        self.passed: list[str] = []

    def reach(self, point: str) -> None:
        """Note the point."""
        self.passed.append(point)


def open_journal(path: Path, size: int = 1 << 20) -> FileJournal:
    return FileJournal(path, Points(), segment_size_bytes_max=size)


def test_records_come_back_in_order(tmp_path: Path) -> None:
    groups = [[Record(BLOCK, b"a"), Record(COMMIT, b"")], [Record(BLOCK, b"b" * 99)]]
    for group in groups:
        journal = open_journal(tmp_path)
        journal.append(group)
        journal.sync()
        journal.close()
    assert open_journal(tmp_path).recovered == tuple(record for group in groups for record in group)


def test_a_batch_passes_its_crash_points_in_order(tmp_path: Path) -> None:
    points = Points()
    journal = FileJournal(tmp_path, points)
    journal.append([Record(BLOCK, b"a")])
    journal.sync()
    assert points.passed == [
        "journal.before_append",
        "journal.before_sync",
        "journal.after_sync",
    ]
    assert journal.syncs == 1


def test_a_complete_base_drops_what_is_before_it(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    old = Record(BLOCK, b"old")
    journal.append([old])
    journal.sync()
    begin, kept, end = Record(BASE_BEGIN, b"1"), Record(BLOCK, b"kept"), Record(BASE_END, b"")
    journal.append([begin, kept])
    journal.sync()
    journal.close()
    assert open_journal(tmp_path).recovered == (old, begin, kept)
    journal = open_journal(tmp_path)
    journal.append([begin, kept, end])
    journal.sync()
    journal.append([old])
    journal.sync()
    journal.close()
    assert open_journal(tmp_path).recovered == (begin, kept, end, old)


def test_what_a_base_replaces_is_durable_before_a_byte_of_it_is_written(tmp_path: Path) -> None:
    found: list[tuple[Record, ...]] = []

    def look() -> None:
        found.append(open_journal(copy_of(tmp_path)).recovered)

    directory = tmp_path / "journal"
    journal = FileJournal(directory, Points(), before_base=look)
    old = Record(BLOCK, b"old")
    journal.append([old])
    journal.sync()
    assert found == []
    # The system may write a frame back at any moment after `append`, sync or not.
    journal.append([Record(BASE_BEGIN, b"1"), Record(BASE_END, b"")])
    assert found == [(old,)]
    journal.sync()
    journal.append([old])
    journal.sync()
    assert len(found) == 1


def copy_of(home: Path) -> Path:
    """Return a copy of the journal below this directory, as a power cut now might leave it."""
    return Path(shutil.copytree(home / "journal", home / "copy"))


def test_a_base_over_two_batches_drops_at_its_end(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    records = [Record(BLOCK, b"old"), Record(BASE_BEGIN, b""), Record(BASE_END, b"")]
    for record in records:
        journal.append([record])
        journal.sync()
    journal.close()
    assert open_journal(tmp_path).recovered == tuple(records[1:])


def test_an_end_without_its_beginning_drops_nothing(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, size=10)
    records = [Record(BLOCK, b"old"), Record(BASE_END, b"")]
    for record in records:
        journal.append([record])
        journal.sync()
    journal.close()
    assert open_journal(tmp_path).recovered == tuple(records)


@given(RECORDS)
def test_frames_of_records_round_trip(records: list[Record]) -> None:
    assert decode_records(encode_records(records)) == tuple(records)


@given(RECORDS.filter(bool), st.data())
def test_what_is_no_list_of_records_is_corrupt(records: list[Record], data: st.DataObject) -> None:
    payload = encode_records(records)
    cut = data.draw(st.integers(1, min(len(payload), 5 + len(records[-1].data)) - 1))
    with pytest.raises(OperationalError, match="JOURNAL_CORRUPT"):
        decode_records(payload[:-cut])
