"""One replica: an engine and its journal, and the only place that knows the ordering rule.

The rule: what an engine asks to persist is durable before anything else of that output happens.
A replica steps a whole batch of events, appends all their records, syncs the journal once (that
is the group commit), and only then hands back what to send and deliver. Host and simulator call
the same `handle`.
"""

from collections.abc import Sequence
from typing import Protocol

from seawall.consensus.engine import Engine, Event, Instant, Output, Record, Status


class Journal(Protocol):
    """An append-only log of records that survives a crash.

    After a crash it holds every record appended before the last completed `sync`, in order, and
    possibly some appended later; never a part of a record. A `BASE_END` record that is durable
    makes everything before its `BASE_BEGIN` superfluous (see `seawall.consensus.dag.records`):
    the journal may delete it.
    """

    def append(self, records: Sequence[Record]) -> None:
        """Add records in order; they need not be durable yet."""
        ...

    def sync(self) -> None:
        """Return once everything appended is durable; raise `OperationalError` otherwise."""
        ...


class Replica:
    """Drives one engine over one journal."""

    def __init__(self, engine: Engine, journal: Journal) -> None:
        """Keep both; the engine was built from what the journal had recovered."""
        self._engine = engine
        self._journal = journal

    def handle(self, events: Sequence[Event], now: Instant) -> Output:
        """Apply the events in order and return their merged output, with `persist` durable.

        A journal that fails raises `OperationalError`: the replica must then be dropped, nothing
        of this batch may be sent.
        """
        outputs = [self._engine.step(event, now) for event in events]
        persist = tuple(record for output in outputs for record in output.persist)
        if persist:
            self._journal.append(persist)
            self._journal.sync()
        return Output(
            persist=persist,
            send=tuple(send for output in outputs for send in output.send),
            final=tuple(final for output in outputs for final in output.final),
            deliver=tuple(commit for output in outputs for commit in output.deliver),
            certify=tuple(checkpoint for output in outputs for checkpoint in output.certify),
            observe=tuple(seen for output in outputs for seen in output.observe),
            wake_at_us=outputs[-1].wake_at_us if outputs else None,
        )

    def status(self) -> Status:
        """Return where the replica stands."""
        return self._engine.status()
