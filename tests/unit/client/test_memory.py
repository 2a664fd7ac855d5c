from pathlib import Path

import pytest

from seawall.client.memory import RESERVED_NUMBERS, Memory
from seawall.errors import LocalError, OperationalError, PeerError
from seawall.formats.checkpoint import Checkpoint

ORIGIN = "seawall/0123456789abcdef"
ID = bytes(range(32))


def open_memory(path: Path | None, *, contributor: bytes = ID) -> Memory:
    return Memory(path, origin=ORIGIN, contributor=contributor)


def checkpoint(size: int, root: int = 1) -> Checkpoint:
    return Checkpoint(ORIGIN, size, bytes([root]) * 32)


def test_numbers_start_at_one_and_go_on_after_a_clean_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ada.key.state"
    first = open_memory(path)
    assert [first.next_seq() for _ in range(3)] == [1, 2, 3]
    first.close()
    first.close()
    second = open_memory(path)
    assert second.next_seq() == 4
    second.close()


def test_a_crash_never_repeats_a_number(tmp_path: Path) -> None:
    path = tmp_path / "state"
    first = open_memory(path)
    used = [first.next_seq() for _ in range(RESERVED_NUMBERS + 3)]
    left = path.read_bytes()
    first.close()
    path.write_bytes(left)  # what a crash would have left
    second = open_memory(path)
    assert second.next_seq() > max(used)
    second.close()


def test_without_a_file_numbers_live_in_memory() -> None:
    memory = open_memory(None)
    assert (memory.next_seq(), memory.next_seq()) == (1, 2)
    memory.accept(checkpoint(3))
    memory.close()


def test_a_second_client_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    path = tmp_path / "state"
    first = open_memory(path)
    with pytest.raises(LocalError, match="CLIENT_STATE_LOCKED"):
        open_memory(path)
    first.close()
    open_memory(path).close()


def test_another_key_is_refused_and_the_lock_given_back(tmp_path: Path) -> None:
    path = tmp_path / "state"
    first = open_memory(path)
    first.next_seq()
    first.close()
    with pytest.raises(LocalError, match="CLIENT_STATE: "):
        open_memory(path, contributor=bytes(32))
    open_memory(path).close()


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"{}")
    with pytest.raises(LocalError, match="CLIENT_STATE: "):
        open_memory(path)


def test_an_unreadable_place_is_said(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_bytes(b"")
    with pytest.raises(OperationalError, match="CLIENT_STATE_READ"):
        open_memory(place / "state")
    directory = tmp_path / "directory"
    directory.mkdir()
    with pytest.raises(OperationalError, match="CLIENT_STATE_READ"):
        open_memory(directory)


def test_a_number_that_cannot_be_kept_is_not_given_out(tmp_path: Path) -> None:
    path = tmp_path / "state"
    memory = open_memory(path)
    (tmp_path / "state.new").mkdir()
    for _ in range(2):
        with pytest.raises(OperationalError, match="CLIENT_STATE_WRITE"):
            memory.next_seq()
    memory.close()


def test_checkpoints_never_go_back_and_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state"
    memory = open_memory(path)
    memory.accept(checkpoint(0))
    memory.accept(checkpoint(5))
    memory.accept(checkpoint(5))
    memory.close()
    memory = open_memory(path)
    with pytest.raises(PeerError, match="CLIENT_ROLLBACK"):
        memory.accept(checkpoint(4))
    with pytest.raises(PeerError, match="LOG_FORK"):
        memory.accept(checkpoint(5, root=2))
    memory.accept(checkpoint(6, root=2))
    memory.close()
