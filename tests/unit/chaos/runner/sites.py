"""Sites under a run, as far as faults are concerned: what is in force, and who does not answer."""

import random
from dataclasses import dataclass, field

from seawall.chaos.runner.core import Core, Schedule
from seawall.chaos.runner.injection import Breach, Confirmation, Injection
from seawall.chaos.runner.records import Record
from seawall.chaos.runner.steps import (
    Apply,
    ApplyFailed,
    Broke,
    Check,
    Checked,
    Command,
    Event,
    Look,
    Looked,
    Note,
    Phase,
    Renew,
    RenewFailed,
    Resolve,
    Resolved,
    Revert,
    RevertFailed,
    Started,
    Stop,
    Tick,
    WasApplied,
    WasReverted,
    Watch,
    Watching,
)

SECOND = 1_000_000
ARRIVES = 0.5


def injection(fault: int, site: int, begin: int = 0, end: int = 10) -> Injection:
    return Injection(
        id=f"run/{fault}/{site}",
        fault=fault,
        actuator="plane",
        kind="partition",
        site=site,
        begin_us=begin * SECOND,
        end_us=end * SECOND,
    )


@dataclass(slots=True)
class Sites:
    """Carries out commands in virtual time; what goes wrong is drawn.

    `in_force` are the ids of what is really in force; `trouble` is the chance of each failure.
    """

    planned: tuple[tuple[Injection, ...], ...]
    random: random.Random
    trouble: float = 0.0
    revert_trouble: float = 0.0
    in_force: dict[str, None] = field(default_factory=dict)
    journal: list[Record] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    answers: list[tuple[int, Event]] = field(default_factory=list)
    now_us: int = 0
    ledger: tuple[Breach, ...] = ()
    forgotten: int = 0
    """So many leases are found to be gone when they are prolonged."""
    blind: bool = False
    """No probe ever sees anything."""
    look_us: int = 0
    """How long a probe takes; 0: up to two seconds, as everything."""

    def carry_out(self, command: Command) -> None:
        """Do what a command says, and answer some time later."""
        self.commands.append(command)
        match command:
            case Note(record=record):
                self.journal.append(record)
            case Resolve(fault=number):
                failed = ApplyFailed(number, "", "SITE_DOWN", "no")
                resolved = Resolved(number, self.planned[number])
                self._answer(failed if self._fails() else resolved)
            case Watch(fault=number):
                self._answer(Watching(number))
            case Look(fault=number):
                is_seen = not self.blind and not self._fails()
                looked = Looked(number, Confirmation(is_seen=is_seen, evidence="looked"))
                self._answer(looked, self.look_us)
            case Check():
                self._answer(Checked(self.ledger))
            case Apply() | Renew() | Revert():
                self._act(command)
            case _:
                pass

    def _act(self, command: Apply | Renew | Revert) -> None:
        one = command.injection
        match command:
            case Apply():
                fails = self._fails()
                # A request may have arrived although its answer did not.
                if not fails or self.random.random() < ARRIVES:
                    self.in_force[one.id] = None
                failed = ApplyFailed(one.fault, one.id, "SITE_DOWN", "no")
                self._answer(failed if fails else WasApplied(one.id))
            case Renew() if self.forgotten or self._fails():
                self.forgotten = max(0, self.forgotten - 1)
                self.in_force.pop(one.id, None)
                self._answer(RenewFailed(one.id))
            case Revert() if self.random.random() < self.revert_trouble:
                self._answer(RevertFailed(one.id, "SITE_DOWN"))
            case Revert():
                self.in_force.pop(one.id, None)
                self._answer(WasReverted(one.id))
            case _:
                pass

    def _fails(self) -> bool:
        return self.random.random() < self.trouble

    def _answer(self, event: Event, later_us: int = 0) -> None:
        later_us = later_us or self.random.randrange(1, 2 * SECOND)
        self.answers.append((self.now_us + later_us, event))


def run(core: Core, sites: Sites, *extra: tuple[int, Event], steps_max: int = 5_000) -> bool:
    """Run a core to its end; False when `steps_max` events were not enough."""
    sites.answers += [(0, Started()), *extra]
    for _ in range(steps_max):
        if core.phase is Phase.DONE:
            return True
        sites.answers.sort(key=lambda one: one[0])
        wake_us = core.wake_us
        if sites.answers and (wake_us is None or sites.answers[0][0] <= wake_us):
            at_us, event = sites.answers.pop(0)
        elif wake_us is not None:
            at_us, event = wake_us, Tick()
        else:
            raise AssertionError("the core waits for nothing")
        sites.now_us = max(sites.now_us, at_us)
        for command in core.step(event, sites.now_us):
            sites.carry_out(command)
    return core.phase is Phase.DONE


def schedule(*faults: tuple[int, int], hold: int = 10, recover: int = 3) -> Schedule:
    return Schedule(
        baseline_us=2 * SECOND,
        hold_us=hold * SECOND,
        recover_us=recover * SECOND,
        faults=tuple((at * SECOND, end * SECOND) for at, end in faults),
        lease_seconds=3,
    )


STOP, BROKE = Stop(), Broke(Breach(invariant="one order", detail="two roots"))
