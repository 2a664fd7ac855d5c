"""Verdicts as entries: what an ACCEPT writes, what a REJECT leaves, and evidence from both.

An accepted update always has its entry. The state rules were applied when it was attested, at the
pinned height; what has changed since then is written into the entry as taint, and no cut selects
a tainted update. Nothing here asks where an update was delivered: verdicts alone decide.
"""

from typing import TYPE_CHECKING, Final

from seawall.codec import RECORD_BYTES, decode_records
from seawall.domain.block import Batch as BlockBatch
from seawall.domain.block import UpdateKind, UpdateRecord
from seawall.domain.commit import Judgement, Verdict
from seawall.domain.cut import Candidate
from seawall.formats import entry as entries
from seawall.ledger import refusals, rows
from seawall.ledger.state import ContributorState, Waiting, read_entry
from seawall.ledger.store import Table

if TYPE_CHECKING:
    from seawall.ledger.execution import Execution

ROLE_OF: Final = {UpdateKind.DELTA: "contributor", UpdateKind.ROOT: "root"}
"""The role that a contributor needs for each kind of update."""

ALARM_STRANGER: Final = "LEDGER_ACCEPT_STRANGER"
"""Accepted, though of nobody or for nothing that genesis knows: no site attests such an update."""

ALARM_CONFLICT: Final = "LEDGER_ACCEPT_CONFLICT"
"""A second update accepted under one number: more stake is faulty than the chain tolerates."""


def execute_verdict(execution: "Execution", verdict: Verdict) -> None:
    """Write what follows from a verdict; a DUPLICATE says nothing new."""
    if verdict.judgement is Judgement.ACCEPT:
        for record in _records(verdict):
            _accept(execution, record, verdict.batch)
    elif verdict.judgement is Judgement.REJECT:
        code = refusals.CODE_OF_RULE[verdict.rule]
        for record in _records(verdict):
            _reject(execution, record, code)


def _records(verdict: Verdict) -> tuple[UpdateRecord, ...]:
    """Return the updates that a verdict is on; nearly always a whole batch."""
    data = verdict.batch.records_bytes
    if len(verdict.positions) * RECORD_BYTES != len(data):
        starts = [position * RECORD_BYTES for position in verdict.positions]
        data = b"".join([data[start : start + RECORD_BYTES] for start in starts])
    return decode_records(data)


def _accept(execution: "Execution", record: UpdateRecord, source: BlockBatch) -> None:
    """Write everything that follows from accepting an update, unless it was accepted before."""
    state = execution.state
    contributor = state.contributors.get(record.contributor)
    if contributor is None or record.task >= len(state.tasks):
        unknown = refusals.KEY_UNKNOWN if contributor is None else refusals.REPLAY_TASK
        execution.alarms.append(ALARM_STRANGER)
        execution.refuse(record.update_id, unknown)
        return
    seq_key = rows.seq_key(contributor.index, record.seq)
    if contributor.has_accepted(record.seq, state.window) is not False:
        value = execution.lookup(Table.SEQS, seq_key)
        if value is not None:
            _accept_again(execution, record, seq_key, rows.decode_seq(value))
            return
    payload_key = rows.payload_key(contributor.index, record.payload_digest)
    is_copy = execution.lookup(Table.PAYLOADS, payload_key) is not None
    taint = _taint(execution, record, contributor, is_copy=is_copy)
    index = _write(execution, record, source, taint)
    contributor.accept(record.seq, state.window)
    execution.touched[record.contributor] = contributor
    rejected = state.rejections.get(seq_key)
    is_reported = rejected is not None and rejected.reported
    if rejected is not None:
        state.rejections.remove(seq_key, execution.batch)
        if not is_reported and rejected.update_id != record.update_id:
            _report(execution, record, rejected.update_id)
            is_reported = True
    commit, changes = execution.delivery.index, execution.batch.changes
    changes[Table.UPDATES][record.update_id] = rows.encode_accepted(index, commit)
    changes[Table.SEQS][seq_key] = rows.encode_seq(commit, index, reported=is_reported)
    if not is_copy:
        changes[Table.PAYLOADS][payload_key] = rows.key_of(commit)
    execution.accepted.append(record.update_id)


def _taint(
    execution: "Execution", record: UpdateRecord, contributor: ContributorState, *, is_copy: bool
) -> tuple[str, ...]:
    """Return the codes of the state rules that do not hold any more, sorted."""
    state = execution.state
    taint: list[str] = []
    if ROLE_OF[record.kind] not in contributor.roles:
        taint.append(refusals.KEY_ROLE)
    if record.base_version > state.tasks[record.task].row.head:
        taint.append(refusals.REPLAY_BASE)
    if record.expires_height < execution.delivery.index:
        taint.append(refusals.REPLAY_EXPIRED)
    if is_copy:
        taint.append(refusals.REPLAY_PAYLOAD)
    if abs(record.seq - contributor.highest) > state.window:
        taint.append(refusals.REPLAY_SEQ)
    return tuple(taint)


def _write(
    execution: "Execution", record: UpdateRecord, source: BlockBatch, taint: tuple[str, ...]
) -> int:
    """Append an update's entry, make it a candidate unless it is tainted; return the index."""
    task = execution.state.tasks[record.task]
    commit, index = execution.delivery.index, execution.next_entry
    execution.leaves.append(
        entries.encode_update(
            record,
            commit=commit,
            task=task.spec.name,
            site=source.site,
            batch=source.number,
            taint=taint,
        )
    )
    if taint:
        return index
    if record.kind is UpdateKind.ROOT:
        row = task.row
        if row.root_update is None and record.base_version == row.head == row.cut_version:
            row.root_update = rows.RootUpdate(index, record.update_id)
            execution.touched_tasks[task.index] = None
        return index
    candidate = Candidate(
        update_id=record.update_id,
        contributor=record.contributor,
        base_version=record.base_version,
        seq=record.seq,
        num_examples=record.num_examples,
        commit_index=commit,
    )
    waiting = Waiting(index, candidate, record.payload_digest, record.payload_size_bytes)
    execution.state.add_waiting(task, waiting, execution.batch)
    return index


def _accept_again(
    execution: "Execution", record: UpdateRecord, seq_key: bytes, used: rows.SeqRow
) -> None:
    """Do nothing for the update that has the number; sound the alarm for another one."""
    if _has_entry(execution, record, used):
        return
    execution.alarms.append(ALARM_CONFLICT)
    _report_used(execution, record, seq_key, used)
    execution.refuse(record.update_id, refusals.REPLAY_SEQ)


def _reject(execution: "Execution", record: UpdateRecord, code: str) -> None:
    """Keep why an update was rejected, and see whether its number has seen another one."""
    contributor = execution.state.contributors.get(record.contributor)
    if contributor is not None:
        _compare(execution, record, rows.seq_key(contributor.index, record.seq))
    execution.refuse(record.update_id, code)


def _compare(execution: "Execution", record: UpdateRecord, seq_key: bytes) -> None:
    """Append evidence, once a number, when a rejected update is the second under its number."""
    value = execution.lookup(Table.SEQS, seq_key)
    if value is not None:
        used = rows.decode_seq(value)
        if not _has_entry(execution, record, used):
            _report_used(execution, record, seq_key, used)
        return
    rejections = execution.state.rejections
    first = rejections.get(seq_key)
    if first is None:
        rejections.put(rows.Rejection(seq_key, record.update_id, reported=False), execution.batch)
    elif first.update_id != record.update_id and not first.reported:
        _report(execution, record, first.update_id)
        rejections.put(rows.Rejection(seq_key, first.update_id, reported=True), execution.batch)


def _has_entry(execution: "Execution", record: UpdateRecord, used: rows.SeqRow) -> bool:
    """Return whether it is this update that has the number."""
    value = execution.lookup(Table.UPDATES, record.update_id)
    outcome = None if value is None else rows.decode_outcome(value)
    return isinstance(outcome, rows.Accepted) and outcome.entry == used.entry


def _report_used(
    execution: "Execution", record: UpdateRecord, seq_key: bytes, used: rows.SeqRow
) -> None:
    """Append evidence against the owner of an accepted update, once a number."""
    if used.reported:
        return
    first = _entry(execution, used.entry)
    assert isinstance(first, entries.UpdateEntry), "a number is used by an update"
    _report(execution, record, bytes.fromhex(first.update_id))
    reported = rows.encode_seq(used.commit, used.entry, reported=True)
    execution.batch.put(Table.SEQS, seq_key, reported)


def _report(execution: "Execution", second: UpdateRecord, first_id: bytes) -> None:
    """Append evidence that one contributor signed two updates under one number."""
    execution.append(
        entries.EvidenceEntry(
            commit=execution.delivery.index,
            first=first_id.hex(),
            kind="equivocation",
            number=second.seq,
            second=second.update_id.hex(),
            signatures=(),
            subject=second.contributor.hex(),
            task="",
        )
    )


def _entry(execution: "Execution", index: int) -> entries.Entry:
    """Return an entry of this commit or an earlier one, durable or not."""
    at = index - execution.first_entry
    if at >= 0:
        return entries.parse(execution.leaves[at])
    changed, value = execution.batch.get(Table.ENTRIES, rows.key_of(index))
    if changed and value is not None:
        return entries.parse(value)
    return read_entry(index, execution.reader)
