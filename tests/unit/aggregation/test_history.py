from pathlib import Path

import pytest

from seawall.aggregation.history import CURSOR, Cursor, Finished, History, read_cursor, write_cursor
from seawall.errors import OperationalError
from seawall.runtime.faults.disks import IllDisk, Illness


def row(version: int, **members: object) -> Finished:
    facts = {
        "payload": "ab" * 32,
        "size_bytes": 272,
        "index": version * 10 + 2,
        "commit": version,
        "cut": version * 10,
        **members,
    }
    return Finished(version=version, **facts)  # type: ignore[arg-type]  # varied by tests


FULL = {"computed": "cd" * 32, "rule_used": "fedavg", "weights": (1, 2), "filtered": (None, "X_Y")}


def test_versions_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "digits.versions"
    history = History(path)
    assert (len(history), history.get(0), history.get(1)) == (0, None, None)
    history.append(row(1, **FULL))
    history.append(row(2))
    history.close()
    history = History(path)
    assert len(history) == 2
    assert history.get(1) == row(1, **FULL)
    assert history.get(2) == row(2)
    assert history.get(3) is None
    history.append(row(3))
    history.close()
    last = History(path)
    assert last.get(3) == row(3)
    last.close()


def test_what_is_logged_is_told_apart_from_what_is_kept() -> None:
    version = row(3, **FULL).logged()
    assert (version.version, version.payload, version.index, version.cut) == (
        3,
        bytes.fromhex("ab" * 32),
        32,
        30,
    )


@pytest.mark.parametrize("keep", [1, 20, -1])
def test_a_torn_line_is_dropped_and_written_again(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "digits.versions"
    history = History(path)
    history.append(row(1))
    whole = path.stat().st_size
    history.append(row(2))
    history.close()
    data = path.read_bytes()
    path.write_bytes(data[: whole + keep] if keep > 0 else data[:-1])
    history = History(path)
    assert len(history) == 1
    assert path.stat().st_size == whole
    history.append(row(2))
    assert history.get(2) == row(2)
    history.close()


def test_a_line_out_of_order_ends_what_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "digits.versions"
    history = History(path)
    history.append(row(1))
    history.close()
    path.write_bytes(path.read_bytes() * 2)
    history = History(path)
    assert len(history) == 1
    history.close()


def test_a_file_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    with pytest.raises(OperationalError, match="AGG_HISTORY"):
        History(tmp_path)


def test_a_failed_write_is_said(tmp_path: Path) -> None:
    history = History(tmp_path / "digits.versions")
    history.close()
    with pytest.raises(OperationalError, match="AGG_HISTORY"):
        history.append(row(1))


def test_the_cursor_survives_a_restart(tmp_path: Path) -> None:
    assert read_cursor(tmp_path) == Cursor(0, {}, {})
    write_cursor(tmp_path, Cursor(17, {"digits": 3}, {"digits": 4}))
    assert read_cursor(tmp_path) == Cursor(17, {"digits": 3}, {"digits": 4})


def test_a_damaged_cursor_is_said(tmp_path: Path) -> None:
    (tmp_path / CURSOR).write_bytes(b"nonsense")
    with pytest.raises(OperationalError, match="AGG_HISTORY"):
        read_cursor(tmp_path)
    with pytest.raises(OperationalError, match="AGG_HISTORY"):
        write_cursor(tmp_path / "absent", Cursor())


def test_a_full_disk_takes_neither_versions_nor_the_cursor(tmp_path: Path) -> None:
    disk, full = IllDisk(), Illness(full=True)
    history = History(tmp_path / "digits.versions", disk)
    history.append(row(1))
    write_cursor(tmp_path, Cursor(next=1), disk)
    disk.add(full)
    with pytest.raises(OperationalError, match="AGG_HISTORY"):
        history.append(row(2))
    with pytest.raises(OperationalError, match="AGG_HISTORY"):
        write_cursor(tmp_path, Cursor(next=2), disk)
    disk.remove(full)
    history.append(row(2))
    assert (len(history), read_cursor(tmp_path).next) == (2, 1)
    history.close()
