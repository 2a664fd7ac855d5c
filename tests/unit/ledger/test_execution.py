"""The state rules at delivery, one by one, and what the log says of each."""

from collections.abc import Sequence

import pytest

from seawall.domain.block import UpdateKind, UpdateRecord
from seawall.formats import entry as entries
from seawall.ledger import rows
from seawall.ledger.log import Log
from seawall.ledger.store import Table
from tests.unit.ledger.chain import (
    START_MS,
    append,
    block,
    delivery,
    make_genesis,
    origin_of,
    record,
)
from tests.unit.ledger.memory_store import MemoryStore

GENESIS = make_genesis()
ORIGIN = origin_of(GENESIS)


def open_log(store: MemoryStore | None = None) -> Log:
    return Log(store or MemoryStore(), GENESIS, ORIGIN)


def entries_of(log: Log, start: int = 0) -> list[entries.Entry]:
    found = log.store.scan(Table.ENTRIES, rows.key_of(start), 10_000)
    return [entries.parse(value) for _, value in found]


def deliver(log: Log, *records: UpdateRecord) -> list[entries.Entry]:
    """Deliver records in the next commit and return its entries."""
    start = log.head.row.tree_size
    append(log, delivery(log.head.index + 1, block(1, records), clock_ms=START_MS))
    return entries_of(log, start)[1:]


def outcome(log: Log, update: UpdateRecord) -> rows.Accepted | rows.Refused | None:
    value = log.store.get(Table.UPDATES, update.update_id)
    return None if value is None else rows.decode_outcome(value)


def code_of(log: Log, update: UpdateRecord) -> str | None:
    found = outcome(log, update)
    return found.code if isinstance(found, rows.Refused) else None


def test_the_log_begins_with_committee_tasks_and_keys() -> None:
    kinds = [type(entry) for entry in entries_of(open_log())]
    assert kinds == [entries.EpochEntry] + [entries.TaskEntry] * 2 + [entries.KeyEntry] * 6


def test_a_commit_opens_with_its_entry_and_the_state_before_it() -> None:
    log = open_log()
    before = log.head.row.state_root
    start = log.head.row.tree_size
    append(log, delivery(1, block(1, [record(0, 1), record(1, 1)], [b"{}"])))
    opening, first, second = entries_of(log, start)
    assert isinstance(opening, entries.CommitEntry)
    assert (opening.index, opening.updates, opening.transactions) == (1, 2, 1)
    assert opening.state_root == before.hex()
    assert isinstance(first, entries.UpdateEntry)
    assert isinstance(second, entries.UpdateEntry)
    assert (first.task, first.site, first.batch, first.commit) == ("digits", 1, 1, 1)
    assert outcome(log, record(0, 1)) == rows.Accepted(start + 1, 1, None)
    assert log.head.row.updates == 2


def test_the_same_update_again_is_ignored_in_silence() -> None:
    log = open_log()
    assert len(deliver(log, record(0, 1), record(0, 1))) == 1
    accepted = outcome(log, record(0, 1))
    assert deliver(log, record(0, 1)) == []
    assert outcome(log, record(0, 1)) == accepted
    for seq in range(1000, 5000, 1000):
        deliver(log, record(0, seq))
    # Far below the window by now, and still only a duplicate.
    assert deliver(log, record(0, 1)) == []
    assert outcome(log, record(0, 1)) == accepted


@pytest.mark.parametrize("together", [True, False])
def test_two_updates_under_one_number_leave_evidence_once(together: bool) -> None:  # noqa: FBT001 - a parameter of the test
    log = open_log()
    first, second = record(0, 1, "one"), record(0, 1, "two")
    if together:
        found = deliver(log, first, second)[1:]
    else:
        deliver(log, first)
        found = deliver(log, second)
    assert found == [
        entries.EvidenceEntry(
            commit=log.head.index,
            first=first.update_id.hex(),
            kind="equivocation",
            number=1,
            second=second.update_id.hex(),
            subject=first.contributor.hex(),
            task="",
        )
    ]
    assert code_of(log, second) == "REPLAY_SEQ"
    assert deliver(log, record(0, 1, "three"), second) == []


def test_evidence_of_a_group_that_is_not_durable_yet_names_the_first_update() -> None:
    log = open_log()
    first, second = record(0, 1, "one"), record(0, 1, "two")
    append(log, delivery(1, block(1, [first])), delivery(2, block(2, [second])))
    evidence = entries_of(log)[-1]
    assert isinstance(evidence, entries.EvidenceEntry)
    assert evidence.first == first.update_id.hex()


def test_numbers_come_in_any_order_inside_the_window() -> None:
    log = open_log()
    window = GENESIS.admission.seq_window
    accepted = [window, 1, window - 1, 2 * window, window + 1]
    for seq in accepted:
        assert len(deliver(log, record(0, seq))) == 1, seq
    for seq in (2, 3 * window + 1, 10 * window):
        refused = record(0, seq, f"again {seq}")
        assert deliver(log, refused) == []
        assert code_of(log, refused) == "REPLAY_SEQ"
    assert len(deliver(log, record(0, 3 * window))) == 1


def test_a_payload_counts_once_for_each_contributor() -> None:
    log = open_log()
    copy = record(0, 2, "same")
    assert len(deliver(log, record(0, 1, "same"), copy, record(1, 1, "same"))) == 2
    assert code_of(log, copy) == "REPLAY_PAYLOAD"
    again = record(0, 3, "same")
    assert deliver(log, again) == []
    assert code_of(log, again) == "REPLAY_PAYLOAD"
    # The refused number is still free.
    assert len(deliver(log, record(0, 2, "another"))) == 1


@pytest.mark.parametrize(
    ("update", "code"),
    [
        (record(99, 1), "KEY_UNKNOWN"),
        (record(0, 1, task=2), "REPLAY_TASK"),
        (record(1, 1, kind=UpdateKind.ROOT), "KEY_ROLE"),
        (record(1, 1, base=1), "REPLAY_BASE"),
        (record(1, 1, expires=1), "REPLAY_EXPIRED"),
        (record(1, 1025), "REPLAY_SEQ"),
    ],
)
def test_an_update_that_breaks_a_rule_leaves_no_entry(update: UpdateRecord, code: str) -> None:
    log = open_log()
    deliver(log)
    assert deliver(log, update) == []
    assert code_of(log, update) == code
    assert log.store.scan(Table.REFUSED, b"", 9) == [
        (rows.refused_key(2, 0), update.update_id + code.encode())
    ]


def test_a_refused_update_may_be_accepted_later() -> None:
    log = open_log()
    update = record(0, 1500)
    deliver(log, update)
    assert code_of(log, update) == "REPLAY_SEQ"
    deliver(log, record(0, 1000))
    deliver(log, update)
    assert isinstance(outcome(log, update), rows.Accepted)


def test_an_update_at_its_last_height_is_accepted() -> None:
    log = open_log()
    assert len(deliver(log, record(0, 1, expires=1))) == 1


def test_an_accepted_update_stays_accepted_when_it_comes_with_another_contributor() -> None:
    log = open_log()
    update = record(0, 1)
    deliver(log, update)
    stranger = record(99, 1, update_id=update.update_id)
    assert deliver(log, stranger) == []
    assert isinstance(outcome(log, update), rows.Accepted)


def replay(groups: Sequence[int], commits: int) -> tuple[bytes, bytes, int]:
    """Execute commits in groups of these sizes; return state root, tree root and size."""
    log = open_log()
    made = []
    for index in range(1, commits + 1):
        records = [record(at, index, base=0) for at in range(6)]
        made.append(delivery(index, block(index % 4, records)))
    at = 0
    for size in groups:
        append(log, *made[at : at + size])
        at += size
    row = log.head.row
    return row.state_root, row.root, row.tree_size


def test_grouping_does_not_change_a_byte() -> None:
    assert replay([1] * 12, 12) == replay([12], 12) == replay([5, 1, 6], 12)


def test_updates_of_distinct_tasks_share_a_contributor_window() -> None:
    log = open_log()
    deliver(log, record(0, 1, task=0))
    other = record(0, 1, "other", task=1)
    deliver(log, other)
    assert code_of(log, other) == "REPLAY_SEQ"
