"""What verdicts write: entries, taint, evidence, outcomes."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.codec import decode_records
from seawall.domain.block import UpdateKind, UpdateRecord
from seawall.domain.commit import Judgement, Verdict
from seawall.formats import entry as entries
from seawall.ledger import rejections, rows
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
    verdict,
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
    """Deliver and accept records in the next commit and return its entries."""
    start = log.head.row.tree_size
    append(log, delivery(log.head.index + 1, block(1, records), clock_ms=START_MS))
    return entries_of(log, start)[1:]


def judge(log: Log, *verdicts: Verdict) -> list[entries.Entry]:
    """Append a commit that only brings verdicts and return its entries."""
    start = log.head.row.tree_size
    append(log, delivery(log.head.index + 1, clock_ms=START_MS, verdicts=verdicts))
    return entries_of(log, start)[1:]


def accept(*records: UpdateRecord) -> Verdict:
    return verdict(Judgement.ACCEPT, *records)


def reject(rule: int, *records: UpdateRecord) -> Verdict:
    return verdict(Judgement.REJECT, *records, rule=rule)


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
            signatures=(),
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


def taints(found: list[entries.Entry]) -> list[tuple[str, ...]]:
    return [entry.taint for entry in found if isinstance(entry, entries.UpdateEntry)]


def test_numbers_come_in_any_order_inside_the_window() -> None:
    log = open_log()
    window = GENESIS.admission.seq_window
    for seq in (window, 1, window - 1, 2 * window, window + 1):
        assert taints(deliver(log, record(0, seq))) == [()], seq
    # Below the window, and far above it: no site attests such numbers, yet an ACCEPT is one.
    assert taints(deliver(log, record(0, 2))) == [("REPLAY_SEQ",)]
    assert taints(deliver(log, record(0, 2))) == []
    assert taints(deliver(log, record(0, 1 << 47))) == [("REPLAY_SEQ",)]
    assert taints(deliver(log, record(0, 1 << 47))) == []
    assert taints(deliver(log, record(0, (1 << 47) + 1))) == [()]


def test_a_payload_counts_once_for_each_contributor() -> None:
    log = open_log()
    copy = record(0, 2, "same")
    found = deliver(log, record(0, 1, "same"), copy, record(1, 1, "same"))
    assert taints(found) == [(), ("REPLAY_PAYLOAD",), ()]
    key = rows.payload_key(0, copy.payload_digest)
    assert log.store.get(Table.PAYLOADS, key) == rows.key_of(1)
    assert taints(deliver(log, record(0, 3, "same"))) == [("REPLAY_PAYLOAD",)]
    # A judge that looks back must find the commit of the first.
    assert log.store.get(Table.PAYLOADS, key) == rows.key_of(1)


@pytest.mark.parametrize(
    ("update", "taint"),
    [
        (record(1, 1, kind=UpdateKind.ROOT), ("KEY_ROLE",)),
        (record(1, 1, base=1), ("REPLAY_BASE",)),
        (record(1, 1, expires=1), ("REPLAY_EXPIRED",)),
        (record(1, 1025), ("REPLAY_SEQ",)),
        (
            record(1, 2000, "p", kind=UpdateKind.ROOT, base=9, expires=0),
            ("KEY_ROLE", "REPLAY_BASE", "REPLAY_EXPIRED", "REPLAY_SEQ"),
        ),
    ],
)
def test_what_changed_since_the_votes_is_taint(
    update: UpdateRecord, taint: tuple[str, ...]
) -> None:
    log = open_log()
    deliver(log)
    assert taints(deliver(log, update)) == [taint]
    assert isinstance(outcome(log, update), rows.Accepted)
    assert log.store.scan(Table.REFUSED, b"", 9) == []
    # No cut will ever see it.
    assert log.store.scan(Table.PENDING, b"", 9) == []


@pytest.mark.parametrize(
    ("update", "code"),
    [(record(99, 1), "KEY_UNKNOWN"), (record(0, 1, task=2), "REPLAY_TASK")],
)
def test_an_accepted_stranger_is_an_alarm(update: UpdateRecord, code: str) -> None:
    log = open_log()
    (executed,) = append(log, delivery(1, verdicts=[accept(update)]))
    assert executed.alarms == ("LEDGER_ACCEPT_STRANGER",)
    assert (executed.accepted, executed.refused) == ((), ((update.update_id, code),))
    assert code_of(log, update) == code
    assert log.store.scan(Table.REFUSED, b"", 9) == [
        (rows.refused_key(1, 0), update.update_id + code.encode())
    ]


def test_delivery_alone_decides_nothing() -> None:
    log = open_log()
    update = record(0, 1)
    start = log.head.row.tree_size
    append(log, delivery(1, block(1, [update]), verdicts=()))
    (opening,) = entries_of(log, start)
    assert isinstance(opening, entries.CommitEntry)
    assert opening.updates == 1
    assert outcome(log, update) is None
    (entry,) = judge(log, accept(update))
    assert isinstance(entry, entries.UpdateEntry)
    assert (entry.commit, entry.site, entry.batch) == (2, 1, 1)


def test_a_verdict_is_on_its_positions_only() -> None:
    log = open_log()
    updates = [record(at, 1) for at in range(6)]
    whole = accept(*updates)
    (first, second) = judge(
        log,
        msgspec.structs.replace(whole, positions=(1, 4)),
        msgspec.structs.replace(whole, positions=(0, 5), judgement=Judgement.REJECT, rule=4),
        msgspec.structs.replace(whole, positions=(2,), judgement=Judgement.DUPLICATE),
    )
    assert isinstance(first, entries.UpdateEntry)
    assert isinstance(second, entries.UpdateEntry)
    assert [first.update_id, second.update_id] == [updates[at].update_id.hex() for at in (1, 4)]
    assert [code_of(log, one) for one in updates] == [
        *("VERDICT_UNDECIDED", None, None, None, None, "VERDICT_UNDECIDED")
    ]
    assert outcome(log, updates[2]) is None


@pytest.mark.parametrize(
    ("rule", "code"),
    [(2, "VERDICT_OUTVOTED"), (3, "VERDICT_CONTESTED"), (4, "VERDICT_UNDECIDED")],
)
def test_a_rejected_update_keeps_the_rule_until_it_is_accepted(rule: int, code: str) -> None:
    log = open_log()
    update = record(0, 1)
    assert judge(log, reject(rule, update)) == []
    assert code_of(log, update) == code
    assert len(log.state.rejections) == 1
    assert len(judge(log, accept(update))) == 1
    accepted = outcome(log, update)
    assert isinstance(accepted, rows.Accepted)
    assert len(log.state.rejections) == 0
    # Another instance of it may come to nothing later: it stays accepted, and is no conflict.
    assert judge(log, reject(rule, update), verdict(Judgement.DUPLICATE, update)) == []
    assert outcome(log, update) == accepted


def evidence(first: UpdateRecord, second: UpdateRecord, commit: int) -> entries.EvidenceEntry:
    return entries.EvidenceEntry(
        commit=commit,
        first=first.update_id.hex(),
        kind="equivocation",
        number=first.seq,
        second=second.update_id.hex(),
        signatures=(),
        subject=first.contributor.hex(),
        task="",
    )


def test_two_rejected_updates_of_one_number_are_evidence_once() -> None:
    log = open_log()
    one, two, three = (record(0, 1, name) for name in ("one", "two", "three"))
    assert judge(log, reject(4, one)) == []
    assert judge(log, reject(4, one)) == []
    assert judge(log, reject(3, two, one)) == [evidence(one, two, 3)]
    assert judge(log, reject(3, three)) == []
    # The number is free still, and was reported: its acceptance adds nothing to that.
    assert taints(judge(log, accept(three))) == [()]
    assert judge(log, reject(3, two)) == []


def test_an_update_that_is_accepted_after_its_rival_was_rejected_is_evidence() -> None:
    log = open_log()
    rival, update = record(0, 1, "rival"), record(0, 1, "update")
    judge(log, reject(2, rival))
    _, found = judge(log, accept(update))
    assert found == evidence(rival, update, 2)
    assert judge(log, reject(3, rival), reject(3, record(0, 1, "third"))) == []


def test_a_rival_that_is_rejected_after_the_acceptance_is_evidence() -> None:
    log = open_log()
    rival, update = record(0, 1, "rival"), record(0, 1, "update")
    judge(log, accept(update))
    assert judge(log, reject(2, rival)) == [evidence(update, rival, 2)]
    assert code_of(log, rival) == "VERDICT_OUTVOTED"
    assert judge(log, reject(3, record(0, 1, "third"))) == []


def test_the_table_of_rejected_numbers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejections, "REJECTIONS_MAX", 3)
    log = open_log()
    for seq in range(1, 6):
        judge(log, reject(4, record(0, seq, "first")))
    assert len(log.state.rejections) == 3
    assert len(log.store.scan(Table.REJECTIONS, b"", 9)) == 3
    assert judge(log, reject(4, record(0, 1, "second"))) == []
    assert len(judge(log, reject(4, record(0, 5, "second")))) == 1


def test_an_update_at_its_last_height_is_accepted() -> None:
    log = open_log()
    assert len(deliver(log, record(0, 1, expires=1))) == 1


def test_a_second_update_accepted_under_one_number_is_an_alarm_and_no_entry() -> None:
    log = open_log()
    update, other = record(0, 1, "one"), record(0, 1, "two")
    (executed,) = append(log, delivery(1, verdicts=[accept(update, other, other)]))
    assert executed.alarms == ("LEDGER_ACCEPT_CONFLICT",) * 2
    assert executed.accepted == (update.update_id,)
    assert entries_of(log)[-1] == evidence(update, other, 1)
    assert code_of(log, other) == "REPLAY_SEQ"


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


steps = st.lists(
    st.tuples(
        st.sampled_from(["accept", "duplicate", "reject2", "reject3", "reject4"]),
        st.integers(0, 1),
        st.integers(1, 2),
        st.sampled_from("abc"),
    ),
    max_size=24,
)


def verdicts_of(script: list[tuple[str, int, int, str]]) -> list[Verdict]:
    """Return verdicts as a finaliser may emit them: one accepted digest a key, then duplicates."""
    made: list[Verdict] = []
    accepted: dict[tuple[int, int], str] = {}
    for what, person, seq, name in script:
        update = record(person, seq, name)
        holder = accepted.get((person, seq))
        if what == "accept" and holder is None:
            accepted[person, seq] = name
            made.append(accept(update))
        elif what in ("accept", "duplicate") and holder == name:
            # A finaliser that forgot a key may accept the same again.
            again = Judgement.ACCEPT if what == "accept" else Judgement.DUPLICATE
            made.append(verdict(again, update))
        elif what.startswith("reject"):
            made.append(reject(int(what[-1]), update))
    return made


@given(steps, st.lists(st.integers(1, 5), min_size=24, max_size=24))
def test_each_number_has_at_most_one_entry_and_one_piece_of_evidence(
    script: list[tuple[str, int, int, str]], sizes: list[int]
) -> None:
    log, verdicts = open_log(), verdicts_of(script)
    alarms: list[str] = []
    left = list(verdicts)
    for size in sizes:
        part, left = left[:size], left[size:]
        made = delivery(log.head.index + 1, clock_ms=START_MS, verdicts=part)
        alarms += [alarm for one in append(log, made) for alarm in one.alarms]
        # What is stored says all that memory does.
        again = Log(log.store, GENESIS, ORIGIN)
        assert again.head == log.head
        log = again if size % 2 else log
    found = entries_of(log)
    updates = [entry for entry in found if isinstance(entry, entries.UpdateEntry)]
    reported = [entry for entry in found if isinstance(entry, entries.EvidenceEntry)]
    seen: dict[tuple[str, int], dict[str, None]] = {}
    accepted: dict[tuple[str, int], str] = {}
    for one in verdicts:
        (update,) = decode_records(one.batch.records_bytes)
        key, identity = (update.contributor.hex(), update.seq), update.update_id.hex()
        seen.setdefault(key, {})[identity] = None
        if one.judgement is Judgement.ACCEPT:
            accepted.setdefault(key, identity)
            assert isinstance(outcome(log, update), rows.Accepted)
    assert {(one.contributor, one.seq): one.update_id for one in updates} == accepted
    assert len(updates) == len(accepted)
    equivocated = sorted(key for key, identities in seen.items() if len(identities) > 1)
    assert sorted((one.subject, one.number) for one in reported) == equivocated
    assert all(one.first != one.second for one in reported)
    assert alarms == []
