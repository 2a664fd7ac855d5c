"""A replica steps a batch, syncs once, and only then lets anything out."""

from collections.abc import Sequence

import pytest

from seawall.consensus.engine import (
    Event,
    Instant,
    Observation,
    Output,
    PeerUp,
    Record,
    Send,
    Status,
    Subscribe,
    Woken,
)
from seawall.consensus.replica import Replica
from seawall.domain.block import Ref
from seawall.domain.commit import CertifiedCheckpoint, Commit
from seawall.errors import OperationalError

NOW = Instant(5, 6)


class ScriptedEngine:
    """Puts out one of everything per event, numbered; `PeerUp` writes nothing."""

    def __init__(self) -> None:
        self.seen: list[tuple[Event, Instant]] = []

    def step(self, event: Event, now: Instant) -> Output:
        """Return an output that tells which event it was for."""
        self.seen.append((event, now))
        number = len(self.seen)
        digest = bytes([number]) * 32
        ref = Ref(number, 0, digest)
        return Output(
            persist=() if isinstance(event, PeerUp) else (Record(1, digest),),
            send=(Send(number, Subscribe(number)),),
            deliver=(Commit(number, digest, digest, ref, 0, 0, ()),),
            certify=(CertifiedCheckpoint(number, digest, 0, digest, ()),),
            observe=(Observation("seen", {"number": number}),),
            wake_at_us=number * 10,
        )

    def status(self) -> Status:
        """Return a status that tells how many events there were."""
        return Status(
            len(self.seen), 0, 0, b"", 0, 0, 0, 0, 0, accepts_payload=True, recovering=False
        )


class LoggingJournal:
    """Writes down the calls; fails on demand."""

    def __init__(self, *, broken: bool = False) -> None:
        self.calls: list[object] = []
        self._broken = broken

    def append(self, records: Sequence[Record]) -> None:
        """Note the records."""
        self.calls.append(tuple(records))

    def sync(self) -> None:
        """Note the sync."""
        if self._broken:
            raise OperationalError("JOURNAL_FULL", "free some space")
        self.calls.append("sync")


def test_a_batch_of_events_costs_one_sync() -> None:
    engine, journal = ScriptedEngine(), LoggingJournal()
    replica = Replica(engine, journal)
    output = replica.handle([Woken(), PeerUp(1), Woken()], NOW)
    assert engine.seen == [(Woken(), NOW), (PeerUp(1), NOW), (Woken(), NOW)]
    assert journal.calls == [output.persist, "sync"]
    assert [record.data[0] for record in output.persist] == [1, 3]
    assert [send.peer for send in output.send] == [1, 2, 3]
    assert [commit.index for commit in output.deliver] == [1, 2, 3]
    assert [checkpoint.index for checkpoint in output.certify] == [1, 2, 3]
    assert [seen.fields["number"] for seen in output.observe] == [1, 2, 3]
    assert output.wake_at_us == 30
    assert replica.status().round == 3


def test_nothing_to_persist_means_no_sync() -> None:
    journal = LoggingJournal()
    output = Replica(ScriptedEngine(), journal).handle([PeerUp(1)], NOW)
    assert journal.calls == []
    assert output.persist == ()


def test_no_events_give_an_empty_output() -> None:
    assert Replica(ScriptedEngine(), LoggingJournal()).handle([], NOW) == Output()


def test_a_failing_journal_lets_nothing_out() -> None:
    replica = Replica(ScriptedEngine(), LoggingJournal(broken=True))
    with pytest.raises(OperationalError):
        replica.handle([Woken()], NOW)
