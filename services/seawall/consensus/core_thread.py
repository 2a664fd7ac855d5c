"""The one thread in which a replica lives: events in, verified, handled, and outputs back.

Everything that takes long happens here and not in the event loop: decoding and verifying what
peers sent, the engine's steps, the journal's sync, encoding what goes out. The thread drains its
inbox into `Replica.handle`, so one sync covers everything that arrived during the last one.

Order: what one peer sent is handled in the order in which it arrived. A message that does not
verify is reported, and nothing else of it happens.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class Arrival:
    """A message as it came over a link, not yet decoded."""

    link: Link
    inbound: Inbound
    message: PeerMessage


@dataclass(slots=True)
class Outcome:
    """What the event loop must do after one step, in field order.

    `arrivals` are the links whose messages were taken, once for each message; `faults` those that
    sent something bad; `sends` the messages for a peer, or for `ALL_PEERS`, with their size.
    """

    status: Status
    arrivals: list[Link] = field(default_factory=list)
    faults: list[tuple[Link, PeerError]] = field(default_factory=list)
    sends: list[tuple[int, tuple[PeerMessage, ...], str]] = field(default_factory=list)
    final: tuple[Finality, ...] = ()
    deliver: tuple[Commit, ...] = ()
    certify: tuple[CertifiedCheckpoint, ...] = ()
    observe: tuple[Observation, ...] = ()
    events: int = 0
    verify_ns: int = 0
    handle_ns: int = 0


Inbox: TypeAlias = "deque[Arrival | Event]"


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
        self._outputs_max = outputs_max
        self._inbox: Inbox = deque([Woken()])
        self._changed = threading.Condition(threading.Lock())
        self._outstanding = 0
        self._stopped = False
        self._deadline_us: int | None = None
        self._thread = threading.Thread(target=self._run, name="replica", daemon=True)

    def start(self) -> None:
        """Begin to handle events."""
        self._thread.start()

    def push(self, item: Arrival | Event) -> None:
        """Queue an event or a message; callers bound how many of theirs are outstanding."""
        with self._changed:
            self._inbox.append(item)
            self._changed.notify()

    def applied(self) -> None:
        """Say that one outcome has been applied."""
        with self._changed:
            self._outstanding -= 1
            if self._outstanding == self._outputs_max - 1:
                self._changed.notify()

    def stop(self) -> None:
        """End after the step in progress; what waits in the inbox is dropped."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def join(self, seconds_max: float) -> bool:
        """Wait for the end; False when it did not come in time."""
        if self._thread.ident is not None:
            self._thread.join(seconds_max)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while (batch := self._take()) is not None:
                outcome = self._step(batch)
                if outcome is not None:
                    self._report(outcome)
        except BaseException as fault:  # noqa: BLE001 - whatever it was, the replica is dropped
            self._failed(fault)

    def _take(self) -> "Sequence[Arrival | Event] | None":
        """Wait for work; return it, or None at the end."""
        with self._changed:
            while True:
                if self._stopped:
                    return None
                due_us = self._due_us()
                if self._outstanding >= self._outputs_max:
                    self._changed.wait()
                elif self._inbox or due_us == 0:
                    break
                else:
                    self._changed.wait(None if due_us is None else due_us / MICROSECONDS)
            count = min(len(self._inbox), self._events_per_step_max)
            self._outstanding += 1
            return [self._inbox.popleft() for _ in range(count)]

    def _due_us(self) -> int | None:
        """Return microseconds until the deadline, 0 when it has passed, None without one."""
        if self._deadline_us is None:
            return None
        return max(0, self._deadline_us - self._clock.elapsed_us())

    def _step(self, batch: "Sequence[Arrival | Event]") -> Outcome:
        """Handle one batch; returns what the event loop must do."""
        outcome = Outcome(status=self._replica.status())
        began = perf_counter_ns()
        events = [event for item in batch for event in self._events(item, outcome)]
        if self._due_us() == 0:
            events.append(Woken())
        verified = perf_counter_ns()
        outcome.verify_ns = verified - began
        outcome.events = len(events)
        if events:
            now = Instant(self._clock.elapsed_us(), self._clock.wall_ms())
            self._fill(outcome, self._replica.handle(events, now))
            outcome.handle_ns = perf_counter_ns() - verified
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
        outcome.status = self._replica.status()
        outcome.sends = [
            (send.peer, encode(send.message), str(send.message.__struct_config__.tag))
            for send in output.send
        ]
        outcome.final = output.final
        outcome.deliver = output.deliver
        outcome.certify = output.certify
        outcome.observe = output.observe
        self._deadline_us = output.wake_at_us
