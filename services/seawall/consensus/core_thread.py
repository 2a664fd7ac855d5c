"""The one thread in which a replica lives: events in, verified, handled, and outputs back.

Everything that takes long happens here and not in the event loop: decoding and verifying what
peers sent, the engine's steps, the journal's sync, encoding what goes out. The thread drains its
inbox into `Replica.handle`, so one sync covers everything that arrived during the last one.

Order: what one peer sent is handled in the order in which it arrived. A message that does not
verify is reported, and nothing else of it happens.

Waking the event loop costs more than most steps. So a step after which it has nothing to do
(nothing to send, deliver or certify, no fault) is reported together with a later one, soon.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from time import perf_counter_ns
from typing import Final, TypeAlias

from seawall.consensus.commits import CommitLog
from seawall.consensus.engine import (
    Event,
    Finality,
    Instant,
    Observation,
    Output,
    Received,
    Status,
    Woken,
)
from seawall.consensus.links import Link
from seawall.consensus.messages import Inbound, PeerMessage, encode
from seawall.consensus.replica import Replica
from seawall.domain.commit import CertifiedCheckpoint, Commit
from seawall.errors import PeerError
from seawall.runtime.service import Clock

MICROSECONDS: Final = 1_000_000

HELD_ARRIVALS_MAX: Final = 16
HELD_SECONDS_MAX: Final = 0.1
"""Bounds on what waits to be reported with a later step: messages taken, and for how long."""


@dataclass(slots=True)
class Arrival:
    """A message as it came over a link, not yet decoded."""

    link: Link
    inbound: Inbound
    message: PeerMessage


@dataclass(slots=True)
class Outcome:
    """What the event loop must do after one or several steps, in field order.

    `arrivals` are the links whose messages were taken, once for each message; `faults` those that
    sent something bad; `sends` the messages for a peer, or for `ALL_PEERS`, with their kind.
    """

    status: Status
    arrivals: list[Link] = field(default_factory=list)
    faults: list[tuple[Link, PeerError]] = field(default_factory=list)
    sends: list[tuple[int, tuple[PeerMessage, ...], str]] = field(default_factory=list)
    final: tuple[Finality, ...] = ()
    deliver: tuple[Commit, ...] = ()
    certify: tuple[CertifiedCheckpoint, ...] = ()
    observe: list[Observation] = field(default_factory=list)
    events: int = 0
    verify_ns: int = 0
    handle_ns: int = 0

    def can_wait(self) -> bool:
        """Return whether the event loop has nothing to do yet."""
        return not (self.sends or self.deliver or self.faults or self.certify) and (
            len(self.arrivals) < HELD_ARRIVALS_MAX
        )


Inbox: TypeAlias = "SimpleQueue[Arrival | Event | None]"
"""What waits for the replica; None wakes the thread to find that it has been stopped."""


class CoreThread:
    """Runs a replica until stopped.

    `report` and `failed` are called in the thread; they must only hand over to the event loop.
    """

    def __init__(
        self,
        replica: Replica,
        commits: CommitLog,
        clock: Clock,
        *,
        report: Callable[[Outcome], None],
        failed: Callable[[BaseException], None],
        events_per_step_max: int,
        outputs_max: int,
    ) -> None:
        """Prepare; `start` begins."""
        self._replica = replica
        self._commits = commits
        self._clock = clock
        self._report = report
        self._failed = failed
        self._events_per_step_max = events_per_step_max
        self._inbox: Inbox = SimpleQueue()
        self._inbox.put(Woken())
        self._room = threading.Semaphore(outputs_max)
        self._stopped = False
        self._deadline_us: int | None = None
        self._status = replica.status()
        self._held: Outcome | None = None
        self._thread = threading.Thread(target=self._run, name="replica", daemon=True)

    def start(self) -> None:
        """Begin to handle events."""
        self._thread.start()

    def push(self, item: Arrival | Event) -> None:
        """Queue an event or a message; callers bound how many of theirs are outstanding."""
        self._inbox.put(item)

    def applied(self) -> None:
        """Say that one outcome has been applied."""
        self._room.release()

    def stop(self) -> None:
        """End after the step in progress; what waits in the inbox is dropped."""
        self._stopped = True
        self._inbox.put(None)
        self._room.release()

    def join(self, seconds_max: float) -> bool:
        """Wait for the end; False when it did not come in time."""
        if self._thread.ident is not None:
            self._thread.join(seconds_max)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while True:
                self._room.acquire()  # for the outcome of the next steps
                outcome = None
                while outcome is None:
                    batch = self._take()
                    if self._stopped:
                        return
                    outcome = self._step(batch)
                self._report(outcome)
        except BaseException as fault:  # noqa: BLE001 - whatever it was, the replica is dropped
            self._failed(fault)

    def _take(self) -> "list[Arrival | Event]":
        """Wait for work and return it; empty when a deadline has come."""
        inbox, batch = self._inbox, []
        due_us = self._due_us()
        seconds = None if due_us is None else due_us / MICROSECONDS
        if self._held is not None:
            seconds = HELD_SECONDS_MAX if seconds is None else min(seconds, HELD_SECONDS_MAX)
        try:
            item = inbox.get(timeout=seconds)
            while item is not None:
                batch.append(item)
                if len(batch) == self._events_per_step_max:
                    break
                item = inbox.get_nowait()
        except Empty:
            pass
        return batch

    def _due_us(self) -> int | None:
        """Return microseconds until the deadline, 0 when it has passed, None without one."""
        if self._deadline_us is None:
            return None
        return max(0, self._deadline_us - self._clock.elapsed_us())

    def _step(self, batch: "Sequence[Arrival | Event]") -> Outcome | None:
        """Handle one batch; returns what the event loop must do, None while that can wait."""
        outcome = self._held or Outcome(status=self._status)
        arrived = len(outcome.arrivals)
        began = perf_counter_ns()
        events = [event for item in batch for event in self._events(item, outcome)]
        if self._due_us() == 0:
            events.append(Woken())
        if len(outcome.arrivals) > arrived:
            outcome.verify_ns += perf_counter_ns() - began
        if events:
            began = perf_counter_ns()
            now = Instant(self._clock.elapsed_us(), self._clock.wall_ms())
            self._fill(outcome, self._replica.handle(events, now))
            outcome.handle_ns += perf_counter_ns() - began
            outcome.events += len(events)
        overdue = self._held is not None and not batch
        if outcome.can_wait() and not overdue:
            self._held = outcome if outcome.events or outcome.arrivals else None
            return None
        self._held = None
        outcome.status = self._status = self._replica.status()
        return outcome

    def _events(self, item: "Arrival | Event", outcome: Outcome) -> tuple[Event, ...]:
        """Return the event in an item; a message may be a part of one, or bad."""
        if not isinstance(item, Arrival):
            return (item,)
        outcome.arrivals.append(item.link)
        try:
            message = item.inbound.decode(item.message)
        except PeerError as fault:
            outcome.faults.append((item.link, fault))
            return ()
        return () if message is None else (Received(item.link.peer, message),)

    def _fill(self, outcome: Outcome, output: Output) -> None:
        """Keep the commits, and put together what goes out."""
        for commit in output.deliver:
            self._commits.append(commit)
        outcome.sends = [
            (send.peer, encode(send.message), str(send.message.__struct_config__.tag))
            for send in output.send
        ]
        outcome.final = output.final
        outcome.deliver = output.deliver
        outcome.certify = output.certify
        outcome.observe += output.observe
        self._deadline_us = output.wake_at_us
