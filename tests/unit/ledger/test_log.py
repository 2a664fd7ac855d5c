"""Opening, closing and damaging a log; repeated, missing and forked commits; certificates."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from seawall.domain.block import UpdateKind
from seawall.errors import LocalError, OperationalError, PeerError
from seawall.ledger import rows
from seawall.ledger.lmdb_store import LmdbStore
from seawall.ledger.log import Log
from seawall.ledger.store import Batch, Store, Table
from tests.unit.ledger.chain import (
    append,
    block,
    certificate,
    certify,
    delivery,
    digest,
    make_genesis,
    origin_of,
    record,
    vote,
)
from tests.unit.ledger.memory_store import MemoryStore

GENESIS = make_genesis(root_required=True)
ORIGIN = origin_of(GENESIS)


def open_log(store: Store) -> Log:
    return Log(store, GENESIS, ORIGIN)


def script(index: int) -> list[object]:
    """Return the blocks of commit `index` of a chain with cuts, versions and evidence."""
    records = [record(at, index) for at in range(1, 5)]
    if index == 3:
        records.append(record(0, 1, kind=UpdateKind.ROOT))
    if index == 4:
        records.append(record(1, 3, "another"))
    votes = [vote(1, "v1")] if index >= 6 else []
    return [block(index % 4, records, votes), block((index + 1) % 4, (), votes)]


def grown(store: Store, commits: int = 8) -> Log:
    log = open_log(store)
    for index in range(log.head.index + 1, commits + 1):
        append(log, delivery(index, *script(index)))  # type: ignore[arg-type]  # blocks
    return log


def test_a_restart_changes_nothing(tmp_path: Path) -> None:
    whole = grown(MemoryStore(), 12)
    for stop in (0, 1, 4, 5, 8):
        path = tmp_path / f"{stop}.mdb"
        log = grown(LmdbStore(path), stop)
        head = log.head
        log.store.close()
        log = open_log(LmdbStore(path))
        assert log.head == head
        log = grown(log.store, 12)
        assert log.head == whole.head
        assert log.versions == whole.versions == (1, 0)
        log.store.close()


def test_two_sites_write_equal_logs() -> None:
    first, second = grown(MemoryStore()), grown(MemoryStore())
    for table in (Table.ENTRIES, Table.NODES, Table.COMMITS):
        assert first.store.scan(table, b"", 10_000) == second.store.scan(table, b"", 10_000)


def test_another_chain_is_refused() -> None:
    store = MemoryStore()
    open_log(store)
    other = make_genesis(7)
    with pytest.raises(LocalError) as refused:
        Log(store, other, origin_of(other))
    assert refused.value.code == "LEDGER_ORIGIN"


def change(table: Table, key: bytes, value: bytes | None) -> Callable[[Store], None]:
    def apply(store: Store) -> None:
        batch = Batch()
        batch.changes[table][key] = value
        store.stage(batch).commit()

    return apply


def flip_state(table: Table) -> Callable[[Store], None]:
    def apply(store: Store) -> None:
        key, value = store.scan(table, b"", 1)[0]
        change(table, key, bytes((value[0], value[1] ^ 1)) + value[2:])(store)

    return apply


def flip_commit(store: Store) -> None:
    found = store.floor(Table.COMMITS, rows.key_of(99))
    assert found is not None
    row = rows.decode_commit(found[1])
    change(Table.COMMITS, found[0], rows.encode(msgspec.structs.replace(row, root=b"x" * 32)))(
        store
    )


def lose_last(table: Table) -> Callable[[Store], None]:
    def apply(store: Store) -> None:
        found = store.floor(table, b"\xff" * 9)
        assert found is not None
        change(table, found[0], None)(store)

    return apply


def edit_last_entry(store: Store) -> None:
    found = store.floor(Table.ENTRIES, b"\xff" * 9)
    assert found is not None
    change(Table.ENTRIES, found[0], found[1] + b" ")(store)


def lose_pending_entry(store: Store) -> None:
    key, _ = store.scan(Table.PENDING, b"", 1)[0]
    change(Table.ENTRIES, key, None)(store)


def wrong_pending(store: Store) -> None:
    change(Table.PENDING, rows.key_of(0), b"\x00\x00")(store)


@pytest.mark.parametrize(
    "damage",
    [
        flip_state(Table.CONTRIBUTORS),
        flip_state(Table.TASKS),
        flip_commit,
        lose_last(Table.COMMITS),
        lose_last(Table.ENTRIES),
        lose_last(Table.PENDING),
        lose_last(Table.CONTRIBUTORS),
        edit_last_entry,
        lose_pending_entry,
        wrong_pending,
        change(Table.CONTRIBUTORS, rows.key_of(99), b"\x93\x01\xc4\x00\x90"),
        change(Table.COMMITS, rows.key_of(99), b"\xff"),
        change(Table.TASKS, rows.key_of(0), b"\xff"),
        change(Table.META, rows.CERTIFICATE_KEY, b"\xff"),
        change(
            Table.META,
            rows.CERTIFICATE_KEY,
            rows.encode(rows.CertificateRow(3, 7, b"r" * 32, ())),
        ),
        change(
            Table.META,
            rows.CERTIFICATE_KEY,
            rows.encode(rows.CertificateRow(300, 7, b"r" * 32, ())),
        ),
    ],
)
def test_a_damaged_store_is_found_at_the_start(damage: Callable[[Store], None]) -> None:
    store = MemoryStore()
    grown(store, 4)
    damage(store)
    with pytest.raises(OperationalError) as refused:
        open_log(store)
    assert refused.value.code == "STORE_CORRUPT"


def test_every_damaged_node_on_the_edge_is_found() -> None:
    store = MemoryStore()
    size = grown(store, 4).head.row.tree_size
    for level in range(size.bit_length()):
        if size >> level & 1:
            key = rows.node_key(level, (size >> level) - 1)
            value = store.get(Table.NODES, key)
            for other in (None, b"x" * 32):
                change(Table.NODES, key, other)(store)
                with pytest.raises(OperationalError, match="STORE_CORRUPT"):
                    open_log(store)
            change(Table.NODES, key, value)(store)
    open_log(store)


def test_commits_come_in_order_without_gaps() -> None:
    log = grown(MemoryStore(), 3)
    assert not log.check_next(delivery(2))
    assert log.check_next(delivery(4))
    for bad, code in (
        (delivery(5), "LOG_GAP"),
        (delivery(0), "LOG_FORK"),
        (msgspec.structs.replace(delivery(3), digest=digest("x")), "LOG_FORK"),
        (msgspec.structs.replace(delivery(4), previous_digest=digest("x")), "LOG_FORK"),
    ):
        with pytest.raises(PeerError) as refused:
            log.check_next(bad)
        assert refused.value.code == code
    # What was executed counts, whether or not it is durable.
    log.execute(delivery(4))
    assert not log.check_next(delivery(4))
    assert log.check_next(delivery(5))
    for bad, code in (
        (delivery(6), "LOG_GAP"),
        (msgspec.structs.replace(delivery(4), digest=digest("x")), "LOG_FORK"),
        (msgspec.structs.replace(delivery(5), previous_digest=digest("x")), "LOG_FORK"),
    ):
        with pytest.raises(PeerError) as refused:
            log.check_next(bad)
        assert refused.value.code == code


def test_a_certificate_must_be_of_our_tree_and_of_quorum_stake() -> None:
    log = grown(MemoryStore(), 3)
    row = log.head.row
    good = certificate(3, row, ORIGIN)
    assert log.certified_size == log.certified_index == 0
    assert log.check_certificate(good)
    for bad, code in (
        (msgspec.structs.replace(good, index=4), "LOG_GAP"),
        (msgspec.structs.replace(good, root=b"x" * 32), "LOG_FORK"),
        (msgspec.structs.replace(good, tree_size=1), "LOG_FORK"),
        (msgspec.structs.replace(good, commit_digest=b"x" * 32), "LOG_FORK"),
        (certificate(3, row, ORIGIN, (0, 1)), "LOG_QUORUM"),
        (certificate(3, row, ORIGIN, (0, 1, 1)), "LOG_QUORUM"),
        (
            msgspec.structs.replace(
                good,
                cosignatures=(
                    *good.cosignatures[:2],
                    msgspec.structs.replace(good.cosignatures[2], author=4),
                ),
            ),
            "LOG_QUORUM",
        ),
    ):
        with pytest.raises(PeerError) as refused:
            log.check_certificate(bad)
        assert refused.value.code == code
    certify(log)
    assert (log.certified_index, log.certified_size) == (3, row.tree_size)
    assert not log.check_certificate(good)
    assert not log.check_certificate(certificate(2, log.row(2) or row, ORIGIN))


def test_the_newest_certificate_survives_a_restart() -> None:
    store = MemoryStore()
    log = grown(store, 3)
    certify(log, (0, 2, 3))
    append(log, delivery(4, *script(4)))  # type: ignore[arg-type]  # blocks
    again = open_log(store)
    assert again.certificate == log.certificate
    assert again.certificate is not None
    assert [author for author, _ in again.certificate.cosignatures] == [0, 2, 3]


def fill(log: Log) -> int:
    """Append until the store is full; return the last commit that was answered."""
    for index in range(1, 1000):
        try:
            append(log, delivery(index, block(0, [record(at, index) for at in range(6)])))
        except OperationalError:
            return index - 1
    raise AssertionError


def test_after_a_failed_write_nothing_more_is_taken(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path / "l.mdb", map_size_bytes=1 << 19, map_size_bytes_max=1 << 19)
    log = open_log(store)
    assert fill(log) > 10
    with pytest.raises(OperationalError):
        log.stage()
    with pytest.raises(OperationalError, match="STORE_FULL"):
        store.stage(Batch())
    head = log.head
    store.close()
    # Everything that was answered is there, and with more room it goes on.
    again = open_log(LmdbStore(tmp_path / "l.mdb"))
    assert again.head == head
    append(again, delivery(head.index + 1, block(0, [record(0, head.index + 1)])))
    again.store.close()
