"""What an experiment does to the ledger's disk looks like the disk's own doing."""

from hashlib import sha256
from pathlib import Path

import pytest

from seawall.errors import OperationalError
from seawall.ledger.lmdb_store import LmdbStore
from seawall.ledger.segments import KEY_BYTES, Record, Segments
from seawall.ledger.store import Batch, Table
from seawall.runtime.faults.disks import IllDisk, Illness


def batch(value: bytes) -> Batch:
    made = Batch()
    made.put(Table.META, b"key", value)
    return made


def record(data: bytes) -> Record:
    return Record(data[:1].rjust(KEY_BYTES), data, sha256(data).digest())


def test_a_full_disk_refuses_a_commit_and_keeps_what_was_there(tmp_path: Path) -> None:
    disk, full = IllDisk(), Illness(full=True)
    store = LmdbStore(tmp_path / "a.mdb", disk=disk)
    store.stage(batch(b"before")).commit()
    disk.add(full)
    with pytest.raises(OperationalError, match="STORE_FULL"):
        store.stage(batch(b"after")).commit()
    disk.remove(full)
    with pytest.raises(OperationalError, match="STORE_FULL"):
        store.stage(batch(b"later"))
    store.close()
    again = LmdbStore(tmp_path / "a.mdb")
    assert again.get(Table.META, b"key") == b"before"
    again.close()


def test_a_full_disk_refuses_a_payload_and_takes_the_next_one_when_it_has_room(
    tmp_path: Path,
) -> None:
    disk, full = IllDisk(), Illness(full=True)
    segments = Segments(tmp_path / "payloads", disk)
    (kept,) = segments.append([record(b"kept")])
    disk.add(full)
    with pytest.raises(OperationalError, match="STORE_FULL"):
        segments.append([record(b"refused")])
    disk.remove(full)
    (later,) = segments.append([record(b"later")])
    assert [segments.read(kept), segments.read(later)] == [b"kept", b"later"]
    segments.close()


def test_commits_and_payloads_wait_for_a_slow_disk(tmp_path: Path) -> None:
    waited: list[float] = []
    disk = IllDisk(waited.append)
    store = LmdbStore(tmp_path / "a.mdb", disk=disk)
    segments = Segments(tmp_path / "payloads", disk)
    disk.add(Illness(add_us=500))
    store.stage(batch(b"a")).commit()
    segments.append([record(b"a"), record(b"b")])
    assert waited == [0.0005, 0.0005]
    store.close()
    segments.close()
