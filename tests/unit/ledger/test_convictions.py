"""Twins that commits bring become one entry for each validator, and the log remembers whom."""

from seawall.codec import block_signing_message
from seawall.crypto.signing import verify
from seawall.domain.block import Ref
from seawall.formats import entry as entries
from seawall.ledger import rows
from seawall.ledger.log import Log
from seawall.ledger.store import Table
from tests.unit.ledger.chain import (
    append,
    block,
    delivery,
    digest,
    key,
    make_genesis,
    origin_of,
    record,
    twins_by,
)
from tests.unit.ledger.memory_store import MemoryStore

GENESIS = make_genesis()
ORIGIN = origin_of(GENESIS)


def open_log() -> Log:
    return Log(MemoryStore(), GENESIS, ORIGIN)


def evidence_in(log: Log) -> list[entries.EvidenceEntry]:
    found = [entries.parse(value) for _, value in log.store.scan(Table.ENTRIES, b"", 10_000)]
    return [one for one in found if isinstance(one, entries.EvidenceEntry)]


def test_twins_leave_evidence_that_genesis_suffices_to_check() -> None:
    log = open_log()
    append(log, delivery(1, twins=[twins_by(2)]))
    (found,) = evidence_in(log)
    assert (found.commit, found.kind, found.number, found.task) == (1, "twins", 7, "")
    assert found.subject == GENESIS.sites[2].name
    assert (found.first, found.second) == (digest("a 2").hex(), digest("b 2").hex())
    for said, signature in zip((found.first, found.second), found.signatures, strict=True):
        ref = Ref(found.number, 2, bytes.fromhex(said))
        message = block_signing_message(ORIGIN, 0, ref)
        assert verify(GENESIS.sites[2].consensus_key, message, bytes.fromhex(signature))


def test_each_validator_is_convicted_once_also_after_a_restart() -> None:
    log = open_log()
    many = [twins_by(2), twins_by(2, 8), twins_by(1), twins_by(2, second="c")]
    append(log, delivery(1, twins=many), delivery(2, twins=[twins_by(1, 9)]))
    log = Log(log.store, GENESIS, ORIGIN)
    append(log, delivery(3, twins=[twins_by(2, 9), twins_by(0, 9)]))
    found = [(one.subject, one.number, one.commit) for one in evidence_in(log)]
    assert found == [("site-2", 7, 1), ("site-1", 7, 1), ("site-0", 9, 3)]


def test_groups_change_nothing_about_the_log() -> None:
    made = [
        delivery(1, twins=[twins_by(2)]),
        delivery(2, block(0, [record(1, 1)]), twins=[twins_by(2, 8), twins_by(3, 8)]),
        delivery(3, twins=[twins_by(3, 9)]),
    ]
    together, apart = open_log(), open_log()
    append(together, *made)
    for one in made:
        append(apart, one)
    assert together.head == apart.head
    assert len(evidence_in(apart)) == 2


def test_evidence_comes_before_what_the_verdicts_write() -> None:
    log = open_log()
    start = log.head.row.tree_size
    append(log, delivery(1, block(0, [record(1, 1)]), twins=[twins_by(3)]))
    page = log.store.scan(Table.ENTRIES, rows.key_of(start), 10)
    assert [entries.kind_of(value) for _, value in page] == ["commit", "evidence", "update"]
    assert key("consensus 3").public == GENESIS.sites[3].consensus_key
