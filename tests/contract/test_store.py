"""What every store promises, checked on each of them and against a plain dictionary."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.ledger.lmdb_store import LmdbStore
from seawall.ledger.store import Batch, Store, Table
from tests.unit.ledger.memory_store import MemoryStore

Opening = Callable[[Path], Store]


def open_lmdb(directory: Path) -> Store:
    return LmdbStore(directory / "tables.mdb", map_size_bytes=1 << 20)


def open_memory(directory: Path) -> Store:
    del directory
    return MemoryStore()


OPENINGS = pytest.mark.parametrize("opening", [open_lmdb, open_memory])

keys = st.binary(min_size=1, max_size=4)
values = st.binary(max_size=8)
tables = st.sampled_from([Table.ENTRIES, Table.SEQS])
changes = st.lists(st.tuples(tables, keys, st.none() | values), max_size=12)


def batch_of(pairs: list[tuple[Table, bytes, bytes | None]]) -> Batch:
    batch = Batch()
    for table, key, value in pairs:
        if value is None:
            batch.delete(table, key)
        else:
            batch.put(table, key, value)
    return batch


@OPENINGS
@settings(max_examples=30)  # each opens a file and waits for the disk
@given(batches=st.lists(changes, max_size=5), probe=keys, limit=st.integers(0, 8))
def test_reads_equal_a_dictionary(
    opening: Opening,
    batches: list[list[tuple[Table, bytes, bytes | None]]],
    probe: bytes,
    limit: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    store = opening(tmp_path_factory.mktemp("store"))
    model: dict[Table, dict[bytes, bytes]] = {table: {} for table in Table}
    for pairs in batches:
        store.stage(batch_of(pairs)).commit()
        for table, key, value in pairs:
            if value is None:
                model[table].pop(key, None)
            else:
                model[table][key] = value
    for table in (Table.ENTRIES, Table.SEQS):
        ordered = sorted(model[table].items())
        below = [pair for pair in ordered if pair[0] <= probe]
        assert store.get(table, probe) == model[table].get(probe)
        assert store.floor(table, probe) == (below[-1] if below else None)
        assert list(store.descend(table, probe)) == below[::-1]
        assert store.scan(table, probe, limit) == [p for p in ordered if p[0] >= probe][:limit]
        assert store.scan(table, b"", 1000) == ordered
    store.close()


@OPENINGS
def test_a_staged_batch_is_invisible_until_committed(opening: Opening, tmp_path: Path) -> None:
    store = opening(tmp_path)
    staged = store.stage(batch_of([(Table.ENTRIES, b"a", b"1"), (Table.NODES, b"b", b"2")]))
    assert store.get(Table.ENTRIES, b"a") is None
    assert store.scan(Table.NODES, b"", 10) == []
    thread = threading.Thread(target=staged.commit)
    thread.start()
    thread.join()
    assert store.get(Table.ENTRIES, b"a") == b"1"
    assert store.get(Table.NODES, b"b") == b"2"
    store.close()


@OPENINGS
def test_reads_beside_a_commit_see_all_of_it_or_nothing(opening: Opening, tmp_path: Path) -> None:
    store = opening(tmp_path)
    for round_ in range(30):
        number = str(round_).encode()
        staged = store.stage(
            batch_of([(Table.ENTRIES, b"first", number), (Table.SEQS, b"last", number)])
        )
        thread = threading.Thread(target=staged.commit)
        thread.start()
        while thread.is_alive():
            first = store.get(Table.ENTRIES, b"first")
            last = store.get(Table.SEQS, b"last")
            assert last in (first, number)
        thread.join()
    assert store.get(Table.SEQS, b"last") == b"29"
    store.close()


@OPENINGS
def test_the_last_change_to_a_key_counts(opening: Opening, tmp_path: Path) -> None:
    store = opening(tmp_path)
    batch = batch_of([(Table.META, b"k", b"1"), (Table.META, b"k", None), (Table.META, b"k", b"3")])
    assert batch.get(Table.META, b"k") == (True, b"3")
    assert batch.get(Table.META, b"other") == (False, None)
    store.stage(batch).commit()
    assert store.get(Table.META, b"k") == b"3"
    store.close()


@OPENINGS
def test_an_empty_batch_and_large_values(opening: Opening, tmp_path: Path) -> None:
    store = opening(tmp_path)
    store.stage(Batch()).commit()
    before = store.usage().used_bytes
    # More than the map that the LMDB store begins with, so it has to grow.
    value = bytes(range(256)) * 16_384
    store.stage(batch_of([(Table.ENTRIES, bytes((at,)), value) for at in range(3)])).commit()
    assert [pair[1] == value for pair in store.scan(Table.ENTRIES, b"", 5)] == [True] * 3
    assert before + 3 * len(value) <= store.usage().used_bytes <= store.usage().limit_bytes
    store.close()


def test_what_was_committed_is_there_after_opening_again(tmp_path: Path) -> None:
    store = open_lmdb(tmp_path)
    store.stage(batch_of([(Table.ENTRIES, b"a", b"1")])).commit()
    store.stage(batch_of([(Table.ENTRIES, b"b", b"2")]))
    store.close()
    store = open_lmdb(tmp_path)
    assert store.get(Table.ENTRIES, b"a") == b"1"
    assert store.get(Table.ENTRIES, b"b") is None
    store.close()
