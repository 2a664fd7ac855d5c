"""Cuts as entries: when one is due, who is in it, and what the log says of it."""

from typing import TYPE_CHECKING, Final

from seawall.domain.cut import Candidate, Cut, select
from seawall.domain.genesis import Genesis, RuleSpec
from seawall.errors import LocalError
from seawall.formats import entry as entries
from seawall.ledger import rows
from seawall.ledger.state import TaskState, Waiting
from seawall.ledger.store import Table

if TYPE_CHECKING:
    from seawall.ledger.execution import Execution

CUT_UPDATES_MAX: Final = 160
"""Most updates that fit into one cut entry; a task's K is not above it."""

_DROPPED_MAX: Final = 100
_DROPPED_MORE_MAX: Final = 500


def check_policies(genesis: Genesis) -> None:
    """Raise LocalError `LEDGER_CUT_K` for a task whose cuts do not fit into one entry."""
    for index, task in enumerate(genesis.tasks):
        if task.cut.k > CUT_UPDATES_MAX:
            hint = f"choose at most {CUT_UPDATES_MAX}: a cut is one entry of the log"
            raise LocalError("LEDGER_CUT_K", hint, field=f"tasks[{index}].cut.k")


def rule_of(rule: RuleSpec) -> entries.Rule:
    """Return a rule as entries spell it."""
    return entries.Rule(rule.name, dict(rule.parameters), rule.version)


def cut_task(execution: "Execution", task: TaskState) -> None:
    """Append the task's next cut if it is due at this commit."""
    row, policy = task.row, task.spec.cut
    if row.cut_version != row.head:
        return
    clock_ms = execution.delivery.clock_ms
    elapsed_ms = clock_ms - row.cut_clock_ms
    at_limit = elapsed_ms >= 2 * policy.interval_ms
    needed = policy.k_min if at_limit else policy.k
    if elapsed_ms < policy.interval_ms or len(task.owners) < needed:
        return
    root_present = row.root_update is not None
    question = (task.changes, at_limit, root_present)
    if task.undecided == question:
        return
    contributors = execution.state.contributors
    cut = select(
        policy,
        [waiting.candidate for waiting in task.waiting.values()],
        {owner: contributors[owner].included[task.index] for owner in task.owners},
        head_version=row.head,
        clock_ms=clock_ms,
        last_cut_clock_ms=row.cut_clock_ms,
        root_present=root_present,
    )
    if cut is None:
        task.undecided = question
    else:
        _apply(execution, task, cut)


def _apply(execution: "Execution", task: TaskState, cut: Cut) -> None:
    """Write a cut: its entries, and what it changes."""
    row = task.row
    index = execution.next_entry
    root = row.root_update if cut.root_used else None
    selected = [_decide(execution, task, one, index) for one in cut.selected]
    dropped = [
        entries.DroppedUpdate(reason=reason.value, update_id=one.update_id.hex())
        for one, reason in cut.dropped
    ]
    for one, _ in cut.dropped:
        _decide(execution, task, one, index)
    execution.append(
        entries.CutEntry(
            base=row.head,
            base_payload=row.head_payload.hex(),
            clock_ms=cut.clock_ms,
            commit=execution.delivery.index,
            dropped=tuple(dropped[:_DROPPED_MAX]),
            root="" if root is None else root.update_id.hex(),
            rule=rule_of(task.spec.rule),
            task=task.spec.name,
            updates=tuple(_selected(waiting, row.head) for waiting in selected),
            version=cut.version,
        )
    )
    for start in range(_DROPPED_MAX, len(dropped), _DROPPED_MORE_MAX):
        execution.append(
            entries.DroppedEntry(
                commit=execution.delivery.index,
                dropped=tuple(dropped[start : start + _DROPPED_MORE_MAX]),
                task=task.spec.name,
                version=cut.version,
            )
        )
    for one in cut.selected:
        contributor = execution.state.contributors[one.contributor]
        contributor.included[task.index] = cut.version
        execution.touch(contributor)
    if root is not None:
        _mark(execution, root.update_id, index)
    row.cut_version = cut.version
    row.cut_clock_ms = cut.clock_ms
    row.tallies.append(rows.Tally(cut.version, index, []))
    execution.touched_tasks[task.index] = None


def _decide(execution: "Execution", task: TaskState, one: Candidate, cut_entry: int) -> Waiting:
    """Take an update out of the pending ones and note which cut decided on it."""
    waiting = execution.state.remove_waiting(task, one.update_id, execution.batch)
    outcome = rows.encode_accepted(waiting.entry, one.commit_index, cut_entry)
    execution.batch.put(Table.UPDATES, one.update_id, outcome)
    execution.decided.append(one.update_id)
    return waiting


def _mark(execution: "Execution", update_id: bytes, cut_entry: int) -> None:
    """Note which cut used a root update."""
    value = execution.lookup(Table.UPDATES, update_id)
    assert value is not None, "a root update was accepted"
    outcome = rows.decode_outcome(value)
    assert isinstance(outcome, rows.Accepted), "a root update was accepted"
    decided = rows.encode_accepted(outcome.entry, outcome.commit, cut_entry)
    execution.batch.put(Table.UPDATES, update_id, decided)
    execution.decided.append(update_id)


def _selected(waiting: Waiting, head: int) -> entries.SelectedUpdate:
    """Return a selected update as the cut's entry names it."""
    one = waiting.candidate
    return entries.SelectedUpdate(
        contributor=one.contributor.hex(),
        num_examples=one.num_examples,
        payload=waiting.payload_digest.hex(),
        payload_size=waiting.payload_size_bytes,
        staleness=head - one.base_version,
        update_id=one.update_id.hex(),
    )
