"""Segment files: what was synced comes back, damage is told from a torn tail."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.consensus.segments import SegmentedLog
from seawall.errors import OperationalError
from seawall.runtime.disk import SoundDisk

HEADER_BYTES = 40
FRAME_BYTES = 20


def salt(count: int) -> bytes:
    return bytes(range(count))


def open_log(path: Path, segment_size_bytes_max: int = 1 << 20) -> tuple[SegmentedLog, list[bytes]]:
    """Open a log and return it with what it holds."""
    log = SegmentedLog(path, segment_size_bytes_max=segment_size_bytes_max, entropy=salt)
    frames = list(log.recover())
    assert [frame.sequence for frame in frames] == list(
        range(frames[0].sequence if frames else 1, log.next_sequence)
    )
    return log, [frame.payload for frame in frames]


def written(path: Path, payloads: list[bytes], *, sync_last: bool = True) -> None:
    """Write payloads, each synced alone."""
    log, _ = open_log(path)
    for payload in payloads[:-1]:
        log.append(payload)
        log.sync()
    log.append(payloads[-1])
    if sync_last:
        log.sync()
    log.close()


def only_segment(path: Path) -> Path:
    (found,) = path.iterdir()
    return found


@settings(max_examples=25)
@given(
    st.lists(st.lists(st.binary(max_size=40), min_size=1, max_size=4), max_size=6),
    st.integers(1, 200),
)
def test_what_was_appended_comes_back_in_order(
    tmp_path_factory: pytest.TempPathFactory, syncs: list[list[bytes]], size: int
) -> None:
    path = tmp_path_factory.mktemp("log")
    expected: list[bytes] = []
    for group in syncs:  # a restart after every sync
        log, found = open_log(path, size)
        assert found == expected
        for payload in group:
            place = log.append(payload)
            assert log.read(place.segment, place.offset, log.next_sequence - 1) == payload
            expected.append(payload)
        log.sync()
        log.close()
    assert open_log(path, size)[1] == expected


@pytest.mark.parametrize("sync_last", [False, True])
def test_a_write_cut_anywhere_keeps_what_was_synced_before(
    tmp_path: Path, *, sync_last: bool
) -> None:
    payloads = [b"first", b"second" * 9, b"third" * 5]
    written(tmp_path / "whole", payloads, sync_last=sync_last)
    data = only_segment(tmp_path / "whole").read_bytes()
    second_ends = data.index(b"third" * 5) - FRAME_BYTES
    third_ends = data.index(b"third" * 5) + 25
    for end in range(second_ends, len(data) + 1):
        path = tmp_path / f"cut-{end}"
        path.mkdir()
        (path / "000000000001.seg").write_bytes(data[:end])
        log, found = open_log(path)
        assert found == (payloads if end >= third_ends else payloads[:2])
        log.append(b"after")
        log.sync()
        log.close()
        assert open_log(path)[1] == [*found, b"after"]


def test_a_flipped_byte_of_a_synced_frame_is_corruption_with_its_place(tmp_path: Path) -> None:
    payloads = [b"first", b"second", b"third"]
    written(tmp_path, payloads)
    segment = only_segment(tmp_path)
    data = segment.read_bytes()
    starts = [data.index(payload) - FRAME_BYTES for payload in payloads]
    for payload, start in zip(payloads, starts, strict=True):
        for at in range(start, start + FRAME_BYTES + len(payload)):
            segment.write_bytes(data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :])
            with pytest.raises(OperationalError, match="JOURNAL_CORRUPT") as raised:
                open_log(tmp_path)
            assert (raised.value.field, raised.value.offset) == (segment.name, start)


def test_a_flipped_byte_of_an_unsynced_last_frame_is_a_torn_tail(tmp_path: Path) -> None:
    written(tmp_path, [b"first", b"second"], sync_last=False)
    segment = only_segment(tmp_path)
    data = segment.read_bytes()
    for at in range(data.index(b"second") - FRAME_BYTES, len(data)):
        segment.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert open_log(tmp_path)[1] == [b"first"]


def test_payloads_cannot_pretend_to_be_later_frames(tmp_path: Path) -> None:
    inner, _ = open_log(tmp_path / "inner")
    for number in range(5):
        inner.append(b"%d" % number)
        inner.sync()
    inner.close()
    fakes = only_segment(tmp_path / "inner").read_bytes()[HEADER_BYTES:]
    path = tmp_path / "outer"
    log = SegmentedLog(path, entropy=os.urandom)
    assert list(log.recover()) == []
    log.append(fakes)
    log.close()
    segment = only_segment(path)
    segment.write_bytes(segment.read_bytes()[:-1])
    assert open_log(path)[1] == []


def test_segments_roll_drop_and_must_be_complete(tmp_path: Path) -> None:
    log, _ = open_log(tmp_path, segment_size_bytes_max=60)
    places = [log.append(b"payload %d" % number) for number in range(6)]
    log.sync()
    numbers = sorted({place.segment for place in places})
    assert len(numbers) > 2
    assert log.segments == tuple(numbers)
    assert log.drop_before(numbers[1]) == 1
    assert log.read(places[0].segment, places[0].offset, 1) is None
    log.close()
    assert open_log(tmp_path, 60)[1] == [
        b"payload %d" % at for at, place in enumerate(places) if place.segment > numbers[0]
    ]
    (tmp_path / f"{numbers[2]:012}.seg").unlink()
    if len(numbers) > 3:
        with pytest.raises(OperationalError, match="the segment is missing"):
            open_log(tmp_path)


def test_a_damaged_earlier_segment_is_corruption_even_at_its_end(tmp_path: Path) -> None:
    log, _ = open_log(tmp_path, segment_size_bytes_max=60)
    for number in range(4):
        log.append(b"payload %d" % number)
    log.sync()
    log.close()
    first = min(tmp_path.iterdir())
    first.write_bytes(first.read_bytes()[:-25])
    with pytest.raises(OperationalError, match="JOURNAL_CORRUPT"):
        open_log(tmp_path)


@pytest.mark.parametrize("size", [0, 10, HEADER_BYTES - 1, HEADER_BYTES])
def test_a_segment_that_was_only_created_is_forgotten(tmp_path: Path, size: int) -> None:
    written(tmp_path, [b"first"])
    (tmp_path / "000000000002.seg").write_bytes(bytes(size))
    log, found = open_log(tmp_path)
    assert found == [b"first"]
    log.append(b"second")
    log.sync()
    log.close()
    assert open_log(tmp_path)[1] == [b"first", b"second"]


def test_a_damaged_header_in_front_of_frames_is_corruption(tmp_path: Path) -> None:
    written(tmp_path, [b"first"])
    segment = only_segment(tmp_path)
    data = segment.read_bytes()
    for at in range(HEADER_BYTES):
        segment.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(OperationalError, match="its header is damaged"):
            open_log(tmp_path)


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, "JOURNAL_FULL"), (errno.EDQUOT, "JOURNAL_FULL"), (errno.EIO, "JOURNAL_IO")],
)
@pytest.mark.parametrize("call", ["write", "fdatasync"])
def test_a_disk_that_refuses_stops_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, code: str
) -> None:
    log, _ = open_log(tmp_path)
    log.append(b"first")
    log.sync()

    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, refuse)

    def work() -> None:
        log.append(b"second")
        log.sync()

    with pytest.raises(OperationalError, match=code):
        work()
    monkeypatch.undo()
    with pytest.raises(AssertionError):
        log.append(b"third")
    log.close()
    assert open_log(tmp_path)[1][0] == b"first"


def test_starting_anew_forgets_everything(tmp_path: Path) -> None:
    written(tmp_path, [b"first", b"second"])
    log, _ = open_log(tmp_path)
    log.drop_all(next_sequence=10)
    place = log.append(b"tenth")
    log.sync()
    assert log.read(place.segment, place.offset, 10) == b"tenth"
    log.close()
    assert open_log(tmp_path)[1] == [b"tenth"]


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    written(tmp_path / "log", [b"first"])
    (tmp_path / "log" / "notes.txt").write_text("mine")
    assert open_log(tmp_path / "log")[1] == [b"first"]


class LyingDisk(SoundDisk):
    """A disk that lies, or is full, when it is told to."""

    lying = False
    full = False

    def is_lying(self) -> bool:
        """Return what the test says."""
        return self.lying

    def before_write(self) -> None:
        """Refuse when the test says so."""
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")


def lying_log(path: Path, segment_size_bytes_max: int = 1 << 20) -> tuple[SegmentedLog, LyingDisk]:
    disk = LyingDisk()
    log = SegmentedLog(path, segment_size_bytes_max=segment_size_bytes_max, entropy=salt, disk=disk)
    assert list(log.recover()) == []
    return log, disk


def filled(log: SegmentedLog, *payloads: bytes) -> None:
    """Append payloads, each synced alone."""
    for payload in payloads:
        log.append(payload)
        log.sync()


@pytest.mark.parametrize("segment_size_bytes_max", [1 << 20, 64])
def test_a_killed_process_has_lost_what_a_lying_disk_promised(
    tmp_path: Path, segment_size_bytes_max: int
) -> None:
    log, disk = lying_log(tmp_path, segment_size_bytes_max)
    filled(log, b"a", b"b")
    log.append(b"not synced before the lie")
    disk.lying = True
    filled(log, b"c", b"d")
    # Killed here: the log is dropped as it is.
    del log
    again, found = open_log(tmp_path, segment_size_bytes_max)
    assert found == [b"a", b"b"]
    filled(again, b"e")
    again.close()
    assert open_log(tmp_path, segment_size_bytes_max)[1] == [b"a", b"b", b"e"]


def test_a_disk_that_lied_from_the_start_has_kept_nothing(tmp_path: Path) -> None:
    log, disk = lying_log(tmp_path)
    disk.lying = True
    filled(log, b"a", b"b")
    del log
    assert open_log(tmp_path)[1] == []


@pytest.mark.parametrize("segment_size_bytes_max", [1 << 20, 64])
def test_the_first_real_sync_keeps_what_a_disk_has_lied_about(
    tmp_path: Path, segment_size_bytes_max: int
) -> None:
    log, disk = lying_log(tmp_path, segment_size_bytes_max)
    filled(log, b"a")
    disk.lying = True
    filled(log, b"b", b"c")
    disk.lying = False
    filled(log, b"d")
    disk.lying = True
    filled(log, b"e")
    del log
    assert open_log(tmp_path, segment_size_bytes_max)[1] == [b"a", b"b", b"c", b"d"]


def test_a_process_that_stops_in_good_order_loses_nothing(tmp_path: Path) -> None:
    log, disk = lying_log(tmp_path)
    disk.lying = True
    filled(log, b"a", b"b")
    log.close()
    assert open_log(tmp_path)[1] == [b"a", b"b"]


def test_nothing_older_is_deleted_while_a_disk_lies(tmp_path: Path) -> None:
    log, disk = lying_log(tmp_path)
    filled(log, b"a")
    disk.lying = True
    segment = log.roll()
    filled(log, b"base")
    assert log.drop_before(segment) == 0
    disk.lying = False
    filled(log, b"b")
    assert log.drop_before(segment) == 1


def test_a_note_that_is_none_is_damage(tmp_path: Path) -> None:
    written(tmp_path, [b"a"])
    (tmp_path / "unsynced").write_text("soon\n")
    with pytest.raises(OperationalError, match="JOURNAL_CORRUPT"):
        open_log(tmp_path)


def test_a_full_disk_takes_nothing_and_what_was_there_stays(tmp_path: Path) -> None:
    log, disk = lying_log(tmp_path)
    filled(log, b"a")
    disk.full = True
    with pytest.raises(OperationalError, match="JOURNAL_FULL"):
        log.append(b"b")
    log.close()
    assert open_log(tmp_path)[1] == [b"a"]
