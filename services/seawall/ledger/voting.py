"""Version votes: sites say which bytes they computed for a cut, and stake decides.

The first payload digest to reach V stake of distinct sites makes the version usable, Q make it
final. A second digest at V can only happen above f faults: it is written down and raises an alarm.
"""

from typing import TYPE_CHECKING, Final

import msgspec

from seawall.errors import PeerError
from seawall.formats import entry as entries
from seawall.formats.jcs import parse_canonical
from seawall.ledger import rows
from seawall.ledger.state import TaskState
from seawall.ledger.store import Table

if TYPE_CHECKING:
    from seawall.ledger.execution import Execution

TALLIES_KEPT: Final = 16
"""Versions behind the last cut whose votes are still counted."""

TRANSACTION_BYTES_MAX: Final = 65_536
FORK_ALARM: Final = "AGG_FORK"

_DIGEST_DIGITS: Final = 64


class Vote(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename="camel",
    tag="version",
    tag_field="kind",
):
    """A site's word on the payload of a version."""

    task: str
    version: int
    payload: str
    payload_size: int


_decode: Final = msgspec.json.Decoder(Vote).decode


def parse_vote(transaction: bytes) -> Vote | None:
    """Return the vote in an ordered transaction, None when it is something else."""
    try:
        parse_canonical(transaction, size_max=TRANSACTION_BYTES_MAX)
        vote = _decode(transaction)
        digest = bytes.fromhex(vote.payload)
    except (msgspec.MsgspecError, PeerError, ValueError):
        return None
    return vote if digest.hex() == vote.payload and len(vote.payload) == _DIGEST_DIGITS else None


def count_vote(execution: "Execution", author: int, transaction: bytes) -> None:
    """Count an ordered transaction of the author of the block that delivers it.

    What is no vote for a recent version of a task, of the task's payload size, changes nothing.
    """
    vote = parse_vote(transaction)
    task = None if vote is None else execution.state.task_index.get(vote.task)
    if vote is None or task is None or vote.payload_size != task.spec.payload_size_bytes:
        return
    tally = next((one for one in task.row.tallies if one.version == vote.version), None)
    if tally is None:
        return
    payload = bytes.fromhex(vote.payload)
    before = next((payload for site, payload, _ in tally.votes if site == author), None)
    if before is None:
        tally.votes.append((author, payload, vote.payload_size))
        execution.touched_tasks[task.index] = None
        _decide(execution, task, tally, payload)
    elif before != payload and author not in tally.conflicting:
        tally.conflicting.append(author)
        execution.touched_tasks[task.index] = None
        name = execution.committee.members[author].name
        _report(execution, task, tally, ("vote", name, before, payload))


def _decide(execution: "Execution", task: TaskState, tally: rows.Tally, payload: bytes) -> None:
    """See whether the last vote took its payload over a threshold."""
    committee = execution.committee
    sites = sorted(site for site, voted, _ in tally.votes if voted == payload)
    stake = committee.stake_of(sites)
    if tally.usable is None and stake >= committee.validity:
        tally.usable = payload
        entry = _append(execution, task, tally, "usable", sites)
        _advance(execution, task, tally, entry)
    if tally.usable == payload and not tally.final and stake >= committee.quorum:
        tally.final = True
        entry = _append(execution, task, tally, "final", sites)
        _finalise(execution, task, tally, entry)
    if tally.usable not in (None, payload) and not tally.forked and stake >= committee.validity:
        tally.forked = True
        assert tally.usable is not None, "compared above"
        execution.alarms.append(FORK_ALARM)
        _report(execution, task, tally, ("fork", "", tally.usable, payload))


def _append(
    execution: "Execution", task: TaskState, tally: rows.Tally, status: str, sites: list[int]
) -> int:
    """Append a `version` entry and return its index."""
    assert tally.usable is not None, "only a usable version has entries"
    return execution.append(
        entries.VersionEntry(
            commit=execution.delivery.index,
            cut=tally.cut_entry,
            payload=tally.usable.hex(),
            payload_size=task.spec.payload_size_bytes,
            status=status,
            task=task.spec.name,
            version=tally.version,
            votes=tuple(sites),
        )
    )


def _advance(execution: "Execution", task: TaskState, tally: rows.Tally, entry: int) -> None:
    """Make a usable version the task's head."""
    assert tally.usable is not None, "called with a usable version"
    row = task.row
    assert tally.version == row.cut_version == row.head + 1, "versions become usable in order"
    row.head, row.head_payload, row.root_update = tally.version, tally.usable, None
    row.tallies = row.tallies[-TALLIES_KEPT:]
    version = rows.VersionRow(
        payload=tally.usable,
        payload_size_bytes=task.spec.payload_size_bytes,
        cut_entry=tally.cut_entry,
        usable_commit=execution.delivery.index,
        usable_entry=entry,
        final_entry=None,
    )
    key = rows.version_key(task.index, tally.version)
    execution.batch.put(Table.VERSIONS, key, rows.encode(version))
    execution.usable.append((task.index, tally.version))


def _finalise(execution: "Execution", task: TaskState, tally: rows.Tally, entry: int) -> None:
    """Note the entry that says a version is final."""
    key = rows.version_key(task.index, tally.version)
    value = execution.lookup(Table.VERSIONS, key)
    assert value is not None, "a final version is usable"
    version = msgspec.structs.replace(rows.decode_version(value), final_entry=entry)
    execution.batch.put(Table.VERSIONS, key, rows.encode(version))


def _report(
    execution: "Execution",
    task: TaskState,
    tally: rows.Tally,
    facts: tuple[str, str, bytes, bytes],
) -> None:
    """Append evidence: its kind, whom it is about, and the two payloads."""
    kind, subject, first, second = facts
    execution.append(
        entries.EvidenceEntry(
            commit=execution.delivery.index,
            first=first.hex(),
            kind=kind,
            number=tally.version,
            second=second.hex(),
            signatures=(),
            subject=subject,
            task=task.spec.name,
        )
    )
