"""From pending updates to cuts, and from votes to versions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.domain.block import UpdateKind
from seawall.errors import LocalError
from seawall.formats import entry as entries
from seawall.ledger import rows
from seawall.ledger.cutting import CUT_UPDATES_MAX
from seawall.ledger.log import Log
from seawall.ledger.store import Table
from seawall.ledger.voting import TALLIES_KEPT, parse_vote
from tests.unit.ledger.chain import (
    START_MS,
    append,
    block,
    delivery,
    digest,
    make_genesis,
    origin_of,
    record,
    vote,
)
from tests.unit.ledger.memory_store import MemoryStore


def open_log(contributors: int = 6, *, k: int = 3, root_required: bool = False) -> Log:
    genesis = make_genesis(contributors, k=k, root_required=root_required)
    return Log(MemoryStore(), genesis, origin_of(genesis))


def entries_of(log: Log, start: int) -> list[entries.Entry]:
    found = log.store.scan(Table.ENTRIES, rows.key_of(start), 10_000)
    return [entries.parse(value) for _, value in found]


def step(log: Log, *blocks: object, after_ms: int | None = None) -> list[entries.Entry]:
    """Append one commit and return its entries but the first."""
    start = log.head.row.tree_size
    clock = None if after_ms is None else log.head.row.clock_ms + after_ms
    append(log, delivery(log.head.index + 1, *blocks, clock_ms=clock))  # type: ignore[arg-type]  # blocks
    return entries_of(log, start)[1:]


def cut_of(found: list[entries.Entry]) -> entries.CutEntry:
    cuts = [entry for entry in found if isinstance(entry, entries.CutEntry)]
    assert len(cuts) == 1
    return cuts[0]


def has_cut(found: list[entries.Entry]) -> bool:
    return any(isinstance(entry, entries.CutEntry) for entry in found)


def vote_all(log: Log, version: int, payload: str, authors: tuple[int, ...] = (0, 1, 2)) -> None:
    step(log, *[block(at, (), [vote(version, payload)]) for at in authors], after_ms=0)


def cut_once(log: Log, seq: int, *, base: int = 0) -> entries.CutEntry:
    """Deliver an update of everybody and let the interval pass."""
    records = [record(at, seq, base=base) for at in range(1, 4)]
    step(log, block(0, records), after_ms=0)
    return cut_of(step(log, after_ms=1000))


def test_a_cut_waits_for_interval_and_contributors() -> None:
    log = open_log()
    step(log)
    assert not has_cut(step(log, block(0, [record(1, 1), record(2, 1)]), after_ms=999))
    assert not has_cut(step(log, after_ms=1))
    found = step(log, block(0, [record(3, 1), record(3, 2)]), after_ms=1)
    cut = cut_of(found)
    assert (cut.task, cut.version, cut.base, cut.commit) == ("digits", 1, 0, 4)
    assert cut.base_payload == digest("base digits").hex()
    assert cut.root == ""
    assert [one.contributor for one in cut.updates] != []
    assert len({one.contributor for one in cut.updates}) == 3
    assert [one.reason for one in cut.dropped] == ["SUPERSEDED"]
    assert cut.rule == entries.Rule("fedavg", {"clip": 8}, 1)
    assert cut.clock_ms == START_MS + 2001


def test_the_interval_begins_with_the_first_commit_that_knows_the_time() -> None:
    log = open_log()
    append(log, delivery(1, clock_ms=0))
    everybody = block(0, [record(at, 1) for at in range(1, 4)])
    assert not has_cut(step(log, everybody, after_ms=START_MS))
    assert not has_cut(step(log, after_ms=999))
    assert has_cut(step(log, after_ms=1))


def test_at_the_limit_fewer_updates_suffice() -> None:
    log = open_log()
    step(log)
    step(log, block(0, [record(1, 1), record(2, 1)]), after_ms=1999)
    assert len(cut_of(step(log, after_ms=1)).updates) == 2


def test_nothing_more_is_cut_until_the_version_is_usable() -> None:
    log = open_log()
    step(log)
    cut_once(log, 1)
    step(log, block(0, [record(at, 2) for at in range(1, 4)]))
    assert not has_cut(step(log, after_ms=5000))
    found = step(log, *[block(at, (), [vote(1, "v1")]) for at in (0, 1)], after_ms=0)
    assert isinstance(found[0], entries.VersionEntry)
    cut = cut_of(found)
    assert (cut.version, cut.base, cut.base_payload) == (2, 1, digest("v1").hex())
    assert [one.staleness for one in cut.updates] == [1, 1, 1]


def test_votes_of_v_make_a_version_usable_and_of_q_final() -> None:
    log = open_log()
    step(log)
    cut_once(log, 1)
    cut_entry = log.head.row.tree_size - 1
    assert step(log, block(2, (), [vote(1, "v1")]), after_ms=0) == []
    (usable,) = step(log, block(0, (), [vote(1, "v1")]), after_ms=0)
    assert isinstance(usable, entries.VersionEntry)
    assert (usable.status, usable.votes, usable.cut) == ("usable", (0, 2), cut_entry)
    assert log.versions == (1, 0)
    (final,) = step(log, block(3, (), [vote(1, "v1")]), after_ms=0)
    assert isinstance(final, entries.VersionEntry)
    assert (final.status, final.votes, final.payload) == ("final", (0, 2, 3), digest("v1").hex())
    assert step(log, block(1, (), [vote(1, "v1")]), after_ms=0) == []
    value = log.store.get(Table.VERSIONS, rows.version_key(0, 1))
    assert value is not None
    row = rows.decode_version(value)
    assert (row.usable_commit, row.final_entry) == (log.head.index - 2, row.usable_entry + 2)


def test_a_site_votes_once() -> None:
    log = open_log()
    step(log)
    cut_once(log, 1)
    again = vote(1, "v1")
    assert step(log, block(0, (), [again, again]), after_ms=0) == []
    (evidence,) = step(log, block(0, (), [vote(1, "x"), vote(1, "y")]), after_ms=0)
    assert evidence == entries.EvidenceEntry(
        commit=log.head.index,
        first=digest("v1").hex(),
        kind="vote",
        number=1,
        second=digest("x").hex(),
        signatures=(),
        subject="site-0",
        task="digits",
    )
    assert log.versions == (0, 0)


def test_a_second_payload_with_v_stake_raises_an_alarm() -> None:
    log = open_log()
    step(log)
    cut_once(log, 1)
    vote_all(log, 1, "v1", (0, 1))
    index = log.head.index + 1
    blocks = [block(at, (), [vote(1, "w1")]) for at in (2, 3)]
    (executed,) = append(log, delivery(index, *blocks, clock_ms=log.head.row.clock_ms))
    assert executed.alarms == ("AGG_FORK",)
    (evidence,) = entries_of(log, log.head.row.tree_size - 1)
    assert isinstance(evidence, entries.EvidenceEntry)
    assert (evidence.kind, evidence.first) == ("fork", digest("v1").hex())
    assert log.versions == (1, 0)


@pytest.mark.parametrize(
    "transaction",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        vote(1, "v1").replace(b"version", b"verzion", 1),
        vote(1, "v1", task="unknown"),
        vote(1, "v1", size=999),
        vote(2, "v1"),
        vote(0, "v1"),
        vote(1, "v1").replace(b'"payload":"', b'"payload":"00'),
        vote(1, "v1").replace(digest("v1").hex().encode(), b"z" * 64),
        vote(1, "v1").replace(digest("v1").hex().encode(), digest("v1").hex().upper().encode()),
        vote(1, "v1").replace(b":1}", b": 1}"),
        vote(1, "v1").replace(b'"task"', b'"extra":1,"task"'),
    ],
)
def test_anything_but_a_vote_for_a_recent_version_changes_nothing(transaction: bytes) -> None:
    log = open_log()
    step(log)
    cut_once(log, 1)
    state = log.state.root(0, bytes(32), b"")
    assert step(log, *[block(at, (), [transaction]) for at in range(4)], after_ms=0) == []
    assert log.state.root(0, bytes(32), b"") == state


@given(st.binary(max_size=200))
def test_no_transaction_raises(transaction: bytes) -> None:
    assert parse_vote(transaction) is None


def test_late_votes_are_counted_for_a_bounded_number_of_versions() -> None:
    log = open_log()
    step(log)
    for version in range(1, TALLIES_KEPT + 4):
        cut_once(log, version, base=version - 1)
        vote_all(log, version, f"v{version}", (0, 1))
    assert step(log, block(2, (), [vote(2, "v2")]), after_ms=0) == []
    (final,) = step(log, block(2, (), [vote(5, "v5")]), after_ms=0)
    assert isinstance(final, entries.VersionEntry)
    assert (final.version, final.status) == (5, "final")


def test_stale_updates_are_dropped_with_their_reason() -> None:
    log = open_log()
    step(log)
    late = record(4, 1)
    for version in range(1, 4):
        cut_once(log, version, base=version - 1)
        vote_all(log, version, f"v{version}")
    step(log, block(0, [late]), after_ms=0)
    cut = cut_once(log, 4, base=3)
    assert cut.dropped == (entries.DroppedUpdate("STALE", late.update_id.hex()),)
    value = log.store.get(Table.UPDATES, late.update_id)
    assert value is not None
    outcome = rows.decode_outcome(value)
    assert isinstance(outcome, rows.Accepted)
    assert outcome.cut_entry == log.head.row.tree_size - 1
    assert log.store.scan(Table.PENDING, b"", 9) == []


def test_an_update_whose_base_does_not_exist_yet_is_tainted_and_in_no_cut() -> None:
    log = open_log()
    step(log)
    cut_once(log, 1)
    (early,) = step(log, block(0, [record(1, 2, base=1)]), after_ms=0)
    assert isinstance(early, entries.UpdateEntry)
    assert early.taint == ("REPLAY_BASE",)
    vote_all(log, 1, "v1")
    cut = cut_once(log, 3, base=1)
    decided = [one.update_id for one in cut.updates] + [one.update_id for one in cut.dropped]
    assert len(cut.updates) == 3
    assert early.update_id not in decided
    assert log.store.scan(Table.PENDING, b"", 9) == []


def test_a_tainted_root_update_is_none() -> None:
    log = open_log(root_required=True)
    step(log)
    tainted = record(0, 1, kind=UpdateKind.ROOT, expires=1)
    root = record(0, 2, kind=UpdateKind.ROOT)
    (entry,) = step(log, block(0, [tainted]), after_ms=0)
    assert isinstance(entry, entries.UpdateEntry)
    assert entry.taint == ("REPLAY_EXPIRED",)
    step(log, block(0, [record(at, 1) for at in range(1, 4)]), after_ms=0)
    assert not has_cut(step(log, after_ms=1000))
    assert cut_of(step(log, block(0, [root]), after_ms=1)).root == root.update_id.hex()


def test_the_root_update_of_the_head_goes_into_the_cut() -> None:
    log = open_log(root_required=True)
    step(log)
    records = [record(at, 1) for at in range(1, 4)]
    assert not has_cut(step(log, block(0, records), after_ms=1000))
    root = record(0, 1, kind=UpdateKind.ROOT)
    second = record(0, 2, kind=UpdateKind.ROOT)
    cut = cut_of(step(log, block(0, [root, second]), after_ms=1))
    assert cut.root == root.update_id.hex()
    assert root.update_id.hex() not in [one.update_id for one in cut.updates]
    # The root update of the old head is of no use for the next cut.
    vote_all(log, 1, "v1")
    step(log, block(0, [record(0, 3, kind=UpdateKind.ROOT, base=0)]), after_ms=0)
    step(log, block(0, [record(at, 2, base=1) for at in range(1, 4)]), after_ms=0)
    assert not has_cut(step(log, after_ms=1000))
    assert cut_of(step(log, after_ms=1000)).root == ""


def test_what_does_not_fit_into_a_cut_follows_in_entries_of_its_own() -> None:
    log = open_log()
    step(log)
    for start in range(1, 703, 234):
        step(log, block(0, [record(1, seq) for seq in range(start, start + 234)]), after_ms=0)
    found = step(log, block(0, [record(2, 1), record(3, 1)]), after_ms=1000)
    cut, *more = [one for one in found if not isinstance(one, entries.UpdateEntry)]
    assert isinstance(cut, entries.CutEntry)
    assert [len(one.dropped) for one in more if isinstance(one, entries.DroppedEntry)] == [500, 101]
    assert len(cut.dropped) == 100


def test_a_cut_of_the_largest_size_fits_into_an_entry() -> None:
    log = open_log(CUT_UPDATES_MAX + 1, k=CUT_UPDATES_MAX)
    step(log)
    records = [record(at, 1) for at in range(1, CUT_UPDATES_MAX + 1)]
    for seq in range(2, 5):
        extra = [record(at, seq) for at in range(1, 100)]
        step(log, block(0, extra), after_ms=0)
    cut = cut_of(step(log, block(0, records), after_ms=1000))
    assert len(cut.updates) == CUT_UPDATES_MAX
    assert len(entries.encode(cut)) <= entries.ENTRY_BYTES_MAX


def test_a_task_whose_cuts_do_not_fit_is_refused_at_the_start() -> None:
    genesis = make_genesis(k=CUT_UPDATES_MAX + 1)
    with pytest.raises(LocalError) as refused:
        Log(MemoryStore(), genesis, origin_of(genesis))
    assert (refused.value.code, refused.value.field) == ("LEDGER_CUT_K", "tasks[0].cut.k")


def test_least_recently_included_contributors_come_first() -> None:
    log = open_log(8)
    step(log)
    cut_once(log, 1)
    vote_all(log, 1, "v1")
    step(log, block(0, [record(at, 2, base=1) for at in range(1, 7)]), after_ms=0)
    cut = cut_of(step(log, after_ms=1000))
    fresh = {record(at, 2, base=1).contributor.hex() for at in (4, 5, 6)}
    assert {one.contributor for one in cut.updates} == fresh
