"""A whole network of replicas in virtual time, reproducible to the byte from a plan.

The world is a heap of instants. It runs the very same `Replica` as a real site: what a host does
with sockets, clocks and disks is done here by `Network`, virtual clocks and `Disk`. It holds no
protocol logic. Everything random comes from generators seeded by the plan.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from heapq import heappop, heappush
from random import Random
from typing import TYPE_CHECKING

from seawall.consensus.engine import (
    Event,
    Output,
    Rooted,
    Submitted,
    Woken,
)
from seawall.errors import SeawallError
from seawall.sim.checking import Checker, InvariantError
from seawall.sim.clock import Clock
from seawall.sim.contributors import Contributors
from seawall.sim.disk import Crashed
from seawall.sim.injection import inject
from seawall.sim.machinery import Machinery
from seawall.sim.network import Network
from seawall.sim.passing import Passage
from seawall.sim.plan import Crash, Fault, LossChange, Move, Partition, Plan, Sight, Start
from seawall.sim.population import committee_of
from seawall.sim.rerun import Rerun, command
from seawall.sim.seat import Seat
from seawall.sim.transcript import Transcript
from seawall.sim.wires import Wired
from seawall.sim.workload import Workload

if TYPE_CHECKING:
    from seawall.domain.block import VerifiedBlock

WALL_MS = 1_800_000_000_000
BOOT_US = 1_000_000_000
RESTART_US = 200_000
RESTART_US_MAX = 5_000_000
"""The pauses of a supervisor before it starts a process again, doubling, as in `seawall up`."""
BROKEN = (AssertionError, AttributeError, LookupError, SeawallError, TypeError, ValueError)
"""What a replica may never raise: a broken assertion, or an error of its own code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended: `commits` by seat, virtual duration, and how many events it took."""

    commits: tuple[int, ...]
    elapsed_us: int
    steps: int


class World(Wired):
    """Runs one plan. Use `run`, or `advance` to move by hand in a scenario."""

    def __init__(
        self,
        plan: Plan,
        machinery: Machinery,
        *,
        checkers: Sequence[Checker] = (),
        transcript: bool = False,
    ) -> None:
        """Build all seats, stopped; the first `advance` starts them at time 0."""
        self.plan = plan
        self.machinery = machinery
        self.committee = committee_of(plan.stakes, plan.coin)
        self.faulty = plan.faulty
        self.now_us = 0
        self.steps = 0
        self.moves: list[Move] = []
        self.own_send_crashes = 0
        self._is_running = False
        self._is_finished = False
        # What the seat at work has just accepted, for the checkers; at a start, what it kept.
        self.accepted: tuple[VerifiedBlock, ...] = ()
        self.checkers = tuple(checkers)
        self.log = Transcript(enabled=transcript)
        self.random = Random(f"{plan.seed}/world")
        authors = plan.authors
        self.network = Network(
            authors=authors,
            zones=plan.zones or [self.committee.members[author].zone for author in authors],
            delay=plan.delay,
            loss=plan.loss,
            random=Random(f"{plan.seed}/network"),
        )
        self.passage = Passage(machinery.committee(self.committee), plan, machinery.verify)
        self.workload = Workload(self.committee, plan, Random(f"{plan.seed}/workload"))
        self._disk_random = Random(f"{plan.seed}/disks")
        self.seats = tuple(self._new_seat(index, author) for index, author in enumerate(authors))
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0
        self._schedule_plan()

    # --- the public face ------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Run to the goal; raises InvariantError for a violation, also for no progress."""
        plan = self.plan
        self._is_running = True
        while self.now_us < plan.heal_us or not self._reached(plan.commits):
            if not self._heap or self._heap[0][0] > plan.limit_us:
                raise self.violation("I16", self._lagging())
            self._next()
        for checker in self.checkers:
            checker.on_end(self)
        self._is_running = False
        return self.outcome()

    def advance(self, until_us: int) -> None:
        """Run everything up to and including this virtual time."""
        while self._heap and self._heap[0][0] <= until_us:
            self._next()
        self.now_us = until_us

    def finish(self) -> None:
        """Judge the run as a whole, where it has been driven to."""
        self._is_finished = True
        for checker in self.checkers:
            checker.on_end(self)

    def outcome(self) -> Outcome:
        """Return how far every seat has come."""
        commits = tuple(seat.ledger.height for seat in self.seats)
        return Outcome(commits=commits, elapsed_us=self.now_us, steps=self.steps)

    def violation(self, invariant: str, detail: str) -> InvariantError:
        """Return the error that names the invariant, what broke it, when, and how to see it."""
        until_us = None if self._is_running else self.now_us
        rerun = Rerun(
            plan=self.plan,
            moves=tuple(self.moves),
            until_us=until_us,
            finished=self._is_finished,
        )
        return InvariantError(invariant, detail, self.now_us, command(rerun, self.machinery))

    def honest(self) -> tuple[Seat, ...]:
        """Return the seats whose authors are never faulty under this plan."""
        return tuple(seat for seat in self.seats if seat.author not in self.faulty)

    # --- moves by hand, at once; they become part of the replay command ---------------------------

    def start(self, index: int, *, copy_of: int | None = None) -> None:
        """Start a seat, or restart it from what its disk kept, or from another seat's disk."""
        self.moves.append(Start(at_us=self.now_us, seat=index, copy_of=copy_of))
        if copy_of is not None:
            self.seats[index].copy(self.seats[copy_of])
        self._start(index)

    def crash(self, index: int, *, restart_after_us: int | None, wipe: bool = False) -> None:
        """Stop a seat."""
        back_us, now_us = restart_after_us, self.now_us
        self.moves.append(Crash(at_us=now_us, seat=index, restart_after_us=back_us, wipe=wipe))
        self._crash(index, restart_after_us=back_us, wipe=wipe)

    def apply(self, fault: Fault) -> None:
        """Inject one fault."""
        self.moves.append(replace(fault, at_us=self.now_us))
        self._apply(fault)

    # --- faults -----------------------------------------------------------------------------------

    def _start(self, index: int) -> None:
        seat = self.seats[index]
        assert seat.replica is None, "only a stopped seat starts"
        self.log.note(self.now_us, index, "start")
        try:
            seat.start(self)
        except BROKEN as error:
            detail = f"{seat.name} does not start from what its disk kept: {error!r}"
            raise self.violation("I13", detail) from error
        self.accepted = self.passage.accepted(seat.disk.durable)
        for checker in self.checkers:
            checker.on_start(self, seat)
        self.push(seat, Woken())
        self.network.set_alive(index, alive=True)
        self.refresh()

    def _crash(
        self, index: int, *, restart_after_us: int | None, wipe: bool = False, torn: bool = True
    ) -> None:
        seat = self.seats[index]
        if seat.replica is None:
            return
        self.log.note(self.now_us, index, "crash")
        for checker in self.checkers:
            checker.on_crash(self, seat)
        seat.stop(self.random, torn=torn)
        if wipe:
            seat.lose_disk()
        self.network.set_alive(index, alive=False)
        self.refresh()
        if restart_after_us is not None:
            self.at(self.now_us + restart_after_us, partial(self._start, index))

    def _apply(self, fault: Fault) -> None:
        self.log.note(self.now_us, None, "fault", fault)
        match fault:
            case Crash():
                if fault.point is None:
                    self._crash_by(fault)
                else:
                    self.seats[fault.seat].arm(fault)
            case Partition():
                self.network.set_partition(fault.groups)
                self.refresh()
            case Sight():
                self.network.set_blind(fault.blind)
                self.refresh()
            case LossChange():
                self.network.loss = fault.loss
            case _:
                inject(self, fault)

    def _crash_by(self, fault: Crash) -> None:
        back_us = fault.restart_after_us
        self._crash(fault.seat, restart_after_us=back_us, wipe=fault.wipe, torn=fault.torn)

    def at(self, time_us: int, action: Callable[[], None]) -> None:
        """Do something at a virtual time; equal times keep the order of these calls."""
        self._sequence += 1
        heappush(self._heap, (time_us, self._sequence, action))

    def push(self, seat: Seat, event: Event) -> None:
        """Hand one event to a seat; it works through all that has gathered at one go."""
        if seat.replica is None:
            return
        seat.inbox.append(event)
        self._wake_worker(seat)

    # --- inside ---------------------------------------------------------------------------------

    def _new_seat(self, index: int, author: int) -> Seat:
        offsets = self.plan.clock_offsets_ms
        return Seat(
            index=index,
            author=author,
            clock=Clock(
                boot_us=BOOT_US * (index + 1),
                wall_ms=WALL_MS,
                offset_ms=offsets[index] if index < len(offsets) else 0,
            ),
            disk=self.machinery.disk(),
        )

    def _schedule_plan(self) -> None:
        for seat in self.seats:
            self.at(0, partial(self._start, seat.index))
        for fault in self.plan.faults:
            self.at(fault.at_us, partial(self._apply, fault))
        if self.plan.load is not None:
            Contributors(self, self.plan.load).begin()
        elif self.plan.submit_every_us:
            self.at(self.plan.submit_every_us, self._submit)

    def _next(self) -> None:
        time_us, _, action = heappop(self._heap)
        self.now_us = time_us
        action()

    def _reached(self, commits: int) -> bool:
        running = [seat for seat in self.honest() if seat.replica is not None]
        return bool(running) and all(seat.ledger.height >= commits for seat in running)

    def _lagging(self) -> str:
        heights = [(seat.name, seat.ledger.height) for seat in self.seats]
        return f"no progress to {self.plan.commits} commits: {heights}"

    def _submit(self) -> None:
        for seat, batch in self.workload.next_batches(self.now_us):
            self.push(self.seats[seat], Submitted(batches=(batch,)))
        wait = self.workload.next_wait_us()
        self.at(self.now_us + wait, self._submit)

    def _wake_worker(self, seat: Seat) -> None:
        if not seat.busy and not seat.queued:
            seat.queued = True
            self.at(self.now_us, partial(self._work, seat, seat.incarnation))

    def _work(self, seat: Seat, incarnation: int) -> None:
        if incarnation != seat.incarnation or seat.replica is None:
            return
        seat.queued = False
        events = tuple(seat.inbox)
        seat.inbox.clear()
        self.steps += len(events)
        for event in events:
            self.log.note(self.now_us, seat.index, "event", event)
        synced = seat.disk.syncs
        try:
            output = seat.replica.handle(events, seat.instant(self.now_us))
        except Crashed:
            self._crash_armed(seat)
            return
        except BROKEN as error:
            raise self.violation("ASSERT", f"{seat.name}: {error!r}") from error
        seat.busy = True
        wait = self.working_us(seat, events, output)
        if seat.disk.syncs != synced and output.persist:
            wait += seat.disk.sync_us(self.plan.sync_us, self._disk_random)
        if wait:
            self.at(self.now_us + wait, partial(self._finish, seat, incarnation, output))
        else:
            self._finish(seat, incarnation, output)

    def _crash_armed(self, seat: Seat) -> None:
        fault = seat.armed
        if fault is not None:
            self._crash_by(replace(fault, seat=seat.index))
            return
        assert seat.disk.health.full, "only an armed or a full disk ends its process"
        back_us = min(RESTART_US_MAX, RESTART_US << (seat.disk.refusals - 1))
        self._crash(seat.index, restart_after_us=back_us)

    def _finish(self, seat: Seat, incarnation: int, output: Output) -> None:
        """Apply an output whose records are durable by now."""
        if incarnation != seat.incarnation:
            return
        seat.busy = False
        seat.disk.settle()
        self.accepted = self.passage.accepted(output.persist)
        for checker in self.checkers:
            checker.on_output(self, seat, output)
        if not self._send_all(seat, output):
            self._crash_armed(seat)
            return
        for commit in output.deliver:
            self.log.note(self.now_us, seat.index, "commit", commit)
            tree_size, root = seat.ledger.append(commit)
            self.workload.on_commit(commit, self.now_us)
            answer = Rooted(index=commit.index, tree_size=tree_size, root=root)
            later = self.now_us + self.ledger_us(seat, commit)
            self.at(later, partial(self._answer, seat, incarnation, answer))
        self._arm_timer(seat, output.wake_at_us)
        if seat.inbox:
            self._wake_worker(seat)

    def _answer(self, seat: Seat, incarnation: int, event: Event) -> None:
        if incarnation == seat.incarnation:
            self.push(seat, event)

    def _arm_timer(self, seat: Seat, wake_at_us: int | None) -> None:
        seat.timer += 1
        if wake_at_us is not None:
            due = max(self.now_us, seat.clock.due_us(wake_at_us))
            self.at(due, partial(self._woken, seat, seat.incarnation, seat.timer))

    def _woken(self, seat: Seat, incarnation: int, timer: int) -> None:
        if incarnation == seat.incarnation and timer == seat.timer:
            self.push(seat, Woken())
