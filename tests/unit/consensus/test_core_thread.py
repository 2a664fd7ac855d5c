"""The replica's thread: order, group commit, faults, deadlines, failure, stop."""

import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from seawall.consensus.commits import CommitLog
from seawall.consensus.core_thread import HELD_ARRIVALS_MAX, Arrival, CoreThread, Outcome
from seawall.consensus.engine import (
    ALL_PEERS,
    Blocks,
    Event,
    FetchCommits,
    Instant,
    Observation,
    Output,
    PeerDown,
    PeerUp,
    Received,
    Record,
    Rooted,
    Send,
    Status,
    Subscribe,
    Woken,
)
from seawall.consensus.links import Link
from seawall.consensus.messages import BlockVerifier, Inbound, PeerMessage, encode
from seawall.consensus.replica import Replica
from seawall.domain.parameters import ConsensusParameters
from seawall.errors import OperationalError
from tests.unit.consensus.cluster import Cluster, MemoryJournal, make_committee

COMMITTEE = make_committee()
SECONDS_MAX = 10.0
QUIET = Output()
SPEAKING = Output(send=(Send(1, Subscribe(0)),))
"""What the event loop must be told of at once."""


class Clock:
    """Time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now_us = 1_000

    def elapsed_us(self) -> int:
        """Return the test's time."""
        return self.now_us

    def wall_ms(self) -> int:
        """Return the test's time."""
        return self.now_us // 1000


class Scripted:
    """An engine that notes its events and answers what the test says."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.answers: list[Output] = []
        self.gate = threading.Event()
        self.gate.set()
        self.steps = 0

    def step(self, event: Event, now: Instant) -> Output:
        """Note the event."""
        del now
        assert self.gate.wait(SECONDS_MAX)
        self.events.append(event)
        return self.answers.pop(0) if self.answers else QUIET

    def status(self) -> Status:
        """Return a status that counts events."""
        return Status(
            round=0,
            last_proposed_round=0,
            commit_index=len(self.events),
            commit_digest=b"",
            certified_index=0,
            gc_round=0,
            held_blocks=0,
            suspended_blocks=0,
            pending_payloads=0,
            accepts_payload=True,
            recovering=False,
        )


class FailingJournal(MemoryJournal):
    """Refuses to sync."""

    def sync(self) -> None:
        """Refuse."""
        raise OperationalError("JOURNAL_FULL", "no space")


class PeerLink(Link):
    """A link that is only a name."""

    def __init__(self, peer: int) -> None:
        self.peer = peer


class Running:
    """A thread under test and what it reported."""

    def __init__(
        self, path: Path, journal: MemoryJournal | None = None, outputs_max: int = 8
    ) -> None:
        self.engine = Scripted()
        self.clock = Clock()
        self.journal = journal or MemoryJournal()
        self.reports: SimpleQueue[Outcome | BaseException] = SimpleQueue()
        self.commits = CommitLog(path, size_bytes_max=1 << 20)
        self.thread = CoreThread(
            Replica(self.engine, self.journal),
            self.commits,
            self.clock,
            report=self.reports.put,
            failed=self.reports.put,
            events_per_step_max=16,
            outputs_max=outputs_max,
        )

    def outcome(self) -> Outcome:
        """Return the next outcome."""
        item = self.reports.get(timeout=SECONDS_MAX)
        assert isinstance(item, Outcome), item
        self.thread.applied()
        return item


class Maker:
    """Makes threads, and stops them at the end of the test."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._made: list[Running] = []

    def __call__(self, journal: MemoryJournal | None = None, outputs_max: int = 8) -> Running:
        """Make a thread, not yet started."""
        one = Running(self._path / str(len(self._made)), journal, outputs_max)
        self._made.append(one)
        return one

    def stop(self) -> None:
        """Stop every thread."""
        for one in self._made:
            one.engine.gate.set()
            one.thread.stop()
            assert one.thread.join(SECONDS_MAX)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Maker]:
    """Give a maker of threads."""
    maker = Maker(tmp_path)
    yield maker
    maker.stop()


def arrival(peer: int, message: PeerMessage, verifier: BlockVerifier | None = None) -> Arrival:
    checked = verifier or BlockVerifier(COMMITTEE, ConsensusParameters())
    return Arrival(PeerLink(peer), Inbound(checked, COMMITTEE), message)


def test_the_first_event_is_a_wake_up_and_order_is_kept(
    make: Maker,
) -> None:
    one = make()
    one.thread.start()
    assert one.outcome().events == 1
    one.engine.gate.clear()
    one.thread.push(PeerUp(1))
    for number in range(1, 6):
        one.thread.push(arrival(1, encode(Subscribe(number))[0]))
        one.thread.push(Rooted(number, number, b""))
    one.thread.push(PeerDown(1))
    one.engine.gate.set()
    seen = 0
    while seen < 12:
        seen += one.outcome().events
    expected: list[Event] = [Woken(), PeerUp(1)]
    for number in range(1, 6):
        expected += [Received(1, Subscribe(number)), Rooted(number, number, b"")]
    assert one.engine.events == [*expected, PeerDown(1)]


def test_what_waits_is_handled_in_one_batch_with_one_sync(
    make: Maker,
) -> None:
    one = make()
    one.engine.gate.clear()
    one.thread.start()
    one.engine.answers = [Output(persist=(Record(1, b"x"),)) for _ in range(33)]
    for number in range(32):
        one.thread.push(Rooted(number, number, b""))
    one.engine.gate.set()
    counts = [one.outcome().events]
    while sum(counts) < 33:
        counts.append(one.outcome().events)
    assert one.journal.syncs == 3  # at most 16 events each
    assert len(one.journal.durable) == 33


def test_a_bad_message_is_reported_and_nothing_else_of_it_happens(
    make: Maker,
) -> None:
    one = make()
    one.thread.start()
    one.outcome()
    bad = arrival(2, PeerMessage())
    one.thread.push(bad)
    outcome = one.outcome()
    assert [(link, fault.code) for link, fault in outcome.faults] == [(bad.link, "SYNC_KIND")]
    assert outcome.arrivals == [bad.link]
    assert one.engine.events == [Woken()]
    heartbeat = PeerMessage()
    heartbeat.heartbeat.SetInParent()
    one.thread.push(arrival(2, heartbeat))
    assert one.outcome().events == 0


def test_a_deadline_wakes_the_engine(make: Maker) -> None:
    one = make()
    one.engine.answers = [Output(wake_at_us=2_000), Output(wake_at_us=None), SPEAKING]
    one.clock.now_us = 1_999
    one.thread.start()
    one.outcome()
    one.clock.now_us = 2_000
    assert one.outcome().events == 1
    assert one.engine.events == [Woken(), Woken()]
    one.thread.push(PeerUp(3))
    one.outcome()
    assert one.engine.events == [Woken(), Woken(), PeerUp(3)]


def test_what_can_wait_is_reported_with_what_cannot(make: Maker) -> None:
    one = make()
    seen = Output(observe=(Observation("seen", {}),))
    one.engine.answers = [seen, seen, seen, SPEAKING]
    messages = [arrival(peer, encode(Subscribe(peer))[0]) for peer in (1, 2, 3)]
    for message in messages:
        one.thread.push(message)
    one.thread.start()
    outcome = one.outcome()
    assert outcome.events == len(one.engine.events) == 4
    assert outcome.arrivals == [message.link for message in messages]
    assert outcome.observe == [Observation("seen", {})] * 3
    assert outcome.status.commit_index == 4
    assert one.reports.empty()


def test_nothing_waits_long(make: Maker) -> None:
    one = make()
    one.thread.start()
    one.thread.push(arrival(1, encode(Subscribe(1))[0]))
    seen = 0
    while seen < 2:  # reported although nothing follows
        seen += one.outcome().events
    assert one.engine.events == [Woken(), Received(1, Subscribe(1))]


def test_a_link_gets_its_room_back_while_nothing_is_sent(make: Maker) -> None:
    one = make(outputs_max=1)
    for number in range(3 * HELD_ARRIVALS_MAX):
        one.thread.push(arrival(1, encode(Subscribe(number))[0]))
    one.thread.start()
    # Steps of 16 events, the first of them the wake-up at the start.
    assert len(one.outcome().arrivals) == 31


def test_an_outcome_carries_everything_that_the_engine_asked_for(
    make: Maker,
) -> None:
    cluster = Cluster()
    for number in range(1, 5):
        cluster.submit(number % 4, number)
        cluster.run(200_000)
    commits = tuple(cluster.sites[0].commits[:3])
    blocks = commits[0].blocks
    one = make()
    one.engine.answers = [
        Output(
            send=(Send(ALL_PEERS, Blocks(blocks)), Send(2, FetchCommits(4))),
            deliver=commits,
            certify=tuple(cluster.sites[0].checkpoints[:1]),
            observe=(Observation("seen", {}),),
        )
    ]
    one.thread.start()
    outcome = one.outcome()
    assert outcome.sends == [
        (ALL_PEERS, encode(Blocks(blocks)), "blocks"),
        (2, encode(FetchCommits(4)), "fetch_commits"),
    ]
    assert outcome.deliver == commits
    assert outcome.certify == tuple(cluster.sites[0].checkpoints[:1])
    assert outcome.observe == [Observation("seen", {})]
    assert outcome.status.commit_index == 1
    assert [one.commits.read(commit.index) for commit in commits] == list(commits)


def test_a_journal_that_fails_drops_the_replica(make: Maker) -> None:
    one = make(journal=FailingJournal())
    one.engine.answers = [Output(persist=(Record(1, b""),), send=(Send(1, Subscribe(1)),))]
    one.thread.start()
    fault = one.reports.get(timeout=SECONDS_MAX)
    assert isinstance(fault, OperationalError)
    assert fault.code == "JOURNAL_FULL"
    assert one.thread.join(SECONDS_MAX)
    assert one.reports.empty()


def test_the_thread_waits_for_the_loop_to_keep_up(
    make: Maker,
) -> None:
    one = make(outputs_max=1)
    one.thread.start()
    first = one.reports.get(timeout=SECONDS_MAX)
    assert isinstance(first, Outcome)
    for number in range(5):
        one.thread.push(Rooted(number, number, b""))
    assert one.engine.events == [Woken()]
    one.thread.applied()
    assert one.outcome().events == 5


def test_a_thread_that_never_started_ends_at_once(
    make: Maker,
) -> None:
    one = make()
    one.thread.stop()
    assert one.thread.join(SECONDS_MAX)
