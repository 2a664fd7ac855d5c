import pytest

from seawall.domain.commit import Judgement
from seawall.errors import OperationalError, PeerError
from seawall.formats import genesis as genesis_format
from seawall.formats.receipt import ReceiptVerifier
from seawall.ledger import reading, rows
from seawall.ledger.landmarks import Signal
from seawall.ledger.log import Log
from seawall.ledger.reading import LogReader, Page
from seawall.ledger.receipts import Pending, Receipts
from seawall.ledger.store import Batch, Table
from tests.unit.ledger.chain import (
    LOG_KEY,
    START_MS,
    accepting,
    append,
    block,
    certify,
    delivery,
    make_genesis,
    origin_of,
    record,
    verdict,
)
from tests.unit.ledger.memory_store import MemoryStore

GENESIS = make_genesis()


def open_log() -> Log:
    return Log(MemoryStore(), GENESIS, origin_of(GENESIS))


async def pages(log: Log, start: int = 0, limit: int = 0) -> list[Page]:
    reader = LogReader(log, LOG_KEY)
    return [page async for page in reader.follow(start, limit, Signal(), follow=False)]


@pytest.mark.parametrize("page_bytes", [1, 2000, 50_000])
async def test_pages_cover_everything_once(
    page_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE_BYTES_MAX", page_bytes)
    monkeypatch.setattr(reading, "PAGE_ENTRIES_MAX", 40)
    monkeypatch.setattr(reading, "_SCAN_ENTRIES", 16)
    log = open_log()
    for index in range(1, 9):
        refused = [record(5, 5000 + at, f"{index} {at}") for at in range(20)]
        accepted = block(1, [record(at, index) for at in range(4)])
        verdicts = [*accepting(accepted), verdict(Judgement.REJECT, *refused, rule=2)]
        append(log, delivery(index, accepted, clock_ms=START_MS, verdicts=verdicts))
    certify(log)
    for start in (0, 7, log.head.row.tree_size - 1):
        found = await pages(log, start)
        entries = [entry for page in found for entry in page.entries]
        stored = [value for _, value in log.store.scan(Table.ENTRIES, rows.key_of(start), 999)]
        assert entries == stored
        assert all(sum(map(len, page.entries[1:])) <= page_bytes for page in found)
        assert found[-1].commit_index == 8
        refused_at = [one.commit for page in found for one in page.refused]
        first = 1 + log_commit(log, start)
        assert refused_at == [index for index in range(first, 9) for _ in range(20)]
    assert await pages(log, log.head.row.tree_size + 5) == []
    assert sum(len(page.entries) for page in await pages(log, 3, 11)) == 11


def log_commit(log: Log, size: int) -> int:
    """Return the last commit that ends at or before a tree of this size."""
    ends = [row.tree_size for index in range(1, 9) if (row := log.row(index)) is not None]
    return sum(end <= size for end in ends)


async def test_a_missing_entry_is_reported() -> None:
    log = open_log()
    append(log, delivery(1))
    certify(log)
    batch = Batch()
    batch.delete(Table.ENTRIES, rows.key_of(3))
    log.store.stage(batch).commit()
    with pytest.raises(OperationalError, match="STORE_CORRUPT"):
        await pages(log)


def test_an_update_among_the_many_that_a_cut_dropped_has_its_receipt() -> None:
    log = open_log()
    append(log, delivery(1, clock_ms=START_MS))
    many = [record(1, seq) for seq in range(1, 302)]
    append(
        log, delivery(2, block(0, [*many, record(2, 1), record(3, 1)]), clock_ms=START_MS + 1000)
    )
    certify(log)
    reader, receipts = LogReader(log, LOG_KEY), Receipts(log)
    verifier = ReceiptVerifier(genesis_format.encode(GENESIS))
    cuts = []
    for update in many[:-1]:
        document = receipts.issue(
            update.update_id, aggregated=True, note=reader.note(), envelope=None
        )
        assert not isinstance(document, Pending)
        cuts.append(type(verifier.verify(document).cut).__name__)
    assert (cuts.count("CutEntry"), cuts.count("DroppedEntry")) == (100, 200)
    selected = receipts.issue(
        many[-1].update_id, aggregated=True, note=reader.note(), envelope=None
    )
    assert isinstance(selected, Pending)


def test_a_drop_that_no_entry_names_is_reported() -> None:
    log = open_log()
    append(log, delivery(1, block(0, [record(1, 1)]), clock_ms=START_MS))
    records = [record(2, 1), record(3, 1), record(4, 1)]
    append(log, delivery(2, block(0, records), clock_ms=START_MS + 1000))
    certify(log)
    stray = record(1, 9).update_id
    batch = Batch()
    cut = log.head.row.tree_size - 1
    batch.put(Table.UPDATES, stray, rows.encode_accepted(cut - 1, 2, cut))
    log.store.stage(batch).commit()
    note = LogReader(log, LOG_KEY).note()
    with pytest.raises((PeerError, OperationalError)):
        Receipts(log).issue(stray, aggregated=True, note=note, envelope=None)
