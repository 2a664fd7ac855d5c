from pathlib import Path

import pytest

from seawall.errors import LocalError, OperationalError
from seawall.ledger import lmdb_store
from seawall.ledger.lmdb_store import LmdbStore
from seawall.ledger.store import Batch, Table


def batch_of(key: bytes, value: bytes) -> Batch:
    batch = Batch()
    batch.put(Table.ENTRIES, key, value)
    return batch


def test_another_format_is_refused(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path / "a.mdb")
    batch = Batch()
    batch.put(Table.META, b"format", lmdb_store.FORMAT + b"9")
    store.stage(batch).commit()
    store.close()
    with pytest.raises(LocalError) as refused:
        LmdbStore(tmp_path / "a.mdb")
    assert refused.value.code == "STORE_FORMAT"


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mdb").write_bytes(b"no store" * 2000)
    with pytest.raises(OperationalError) as refused:
        LmdbStore(tmp_path / "a.mdb")
    assert (refused.value.code, refused.value.field) == ("STORE_OPEN", "a.mdb")


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperationalError, match="STORE_OPEN"):
        LmdbStore(tmp_path / "nowhere" / "a.mdb")


def fill(store: LmdbStore) -> int:
    """Write until the store is full; return how many batches it took."""
    for number in range(1000):
        try:
            store.stage(batch_of(number.to_bytes(8, "big"), bytes(5000))).commit()
        except OperationalError:
            return number
    raise AssertionError


def test_a_full_map_stops_the_store_and_keeps_what_it_has(tmp_path: Path) -> None:
    limit = 1 << 19
    store = LmdbStore(tmp_path / "a.mdb", map_size_bytes=limit, map_size_bytes_max=limit)
    kept = fill(store)
    with pytest.raises(OperationalError, match="STORE_FULL"):
        store.stage(batch_of(b"small", b""))
    assert len(store.scan(Table.ENTRIES, b"", 1000)) == kept
    assert store.usage().used_bytes <= limit
    store.close()


def test_a_refused_write_stops_the_store(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path / "a.mdb")
    with pytest.raises(OperationalError) as refused:
        store.stage(batch_of(b"", b"an empty key"))
    assert refused.value.code == "STORE_WRITE"
    store.close()
