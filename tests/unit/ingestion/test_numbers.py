from pathlib import Path

import pytest

from seawall.codec.block import INTEGER_MAX
from seawall.config import WORKERS_MAX
from seawall.errors import OperationalError
from seawall.ingestion.numbers import FILE_NAME, RANGE, WORKER_SHIFT, BatchNumbers


def test_numbers_ascend_from_one_over_the_end_of_a_range(tmp_path: Path) -> None:
    numbers = BatchNumbers(tmp_path)
    assert [numbers.take() for _ in range(RANGE + 2)] == list(range(1, RANGE + 3))


def test_a_restart_never_repeats_a_number_however_it_ended(tmp_path: Path) -> None:
    seen: list[int] = []
    for _ in range(3):
        numbers = BatchNumbers(tmp_path)
        seen += [numbers.take() for _ in range(3)]
    assert len(set(seen)) == len(seen)
    assert seen == sorted(seen)


def test_a_process_that_took_none_reserves_none(tmp_path: Path) -> None:
    for _ in range(3):
        BatchNumbers(tmp_path)
    assert BatchNumbers(tmp_path).take() == 1


def test_workers_count_apart_and_within_what_a_block_carries(tmp_path: Path) -> None:
    taken = []
    for worker in range(WORKERS_MAX):
        directory = tmp_path / str(worker)
        directory.mkdir()
        numbers = BatchNumbers(directory, worker)
        taken += [numbers.take() for _ in range(3)]
        (directory / FILE_NAME).write_text(f"{(1 << WORKER_SHIFT) - 2 * RANGE}\n")
        last = BatchNumbers(directory, worker)
        taken.append(last.take())
    assert taken[:3] == [1, 2, 3]
    assert len(dict.fromkeys(taken)) == len(taken)
    assert taken == sorted(taken)
    assert taken[-1] <= INTEGER_MAX


def test_a_worker_that_has_no_number_left_stops(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(f"{(1 << WORKER_SHIFT) - RANGE}\n")
    with pytest.raises(OperationalError) as caught:
        BatchNumbers(tmp_path)
    assert caught.value.code == "BATCH_NUMBERS"


@pytest.mark.parametrize("text", [b"", b"0\n", b"-1\n", b"12x\n", b"\xff\n", b"9" * 40])
def test_a_damaged_file_stops_the_site(tmp_path: Path, text: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(text)
    with pytest.raises(OperationalError) as caught:
        BatchNumbers(tmp_path)
    assert caught.value.code == "BATCH_NUMBERS"


def test_a_range_that_cannot_be_reserved_gives_no_number(tmp_path: Path) -> None:
    directory = tmp_path / "gone"
    directory.mkdir()
    numbers = BatchNumbers(directory)
    directory.rmdir()
    with pytest.raises(OperationalError) as caught:
        numbers.take()
    assert caught.value.code == "BATCH_NUMBERS"
