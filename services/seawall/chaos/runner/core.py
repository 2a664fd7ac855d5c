"""The course of a run: baseline, inject, confirm, hold, heal, recover, check.

Pure: events and the time come in, commands come out, in the order in which they must be carried
out. Two statements hold whatever comes in, and are tested by properties:

* What `records.outstanding` finds in the journal is a superset of what may be in force.
* A run is only done when every injection was reverted, or is `stuck` and said to be.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from seawall.chaos.runner import records
from seawall.chaos.runner.course import (
    FaultCourse,
    FaultStage,
    InjectionCourse,
    Stage,
)
from seawall.chaos.runner.injection import LEASE_SECONDS_MAX, Breach, Confirmation
from seawall.chaos.runner.steps import (
    Apply,
    ApplyFailed,
    Broke,
    Cause,
    Check,
    Checked,
    Command,
    Enter,
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

SECOND_US: Final = 1_000_000
LOOK_EVERY_US: Final = SECOND_US // 2
LAST_LOOK_US: Final = 5 * SECOND_US
"""How long the end of hold waits for a probe that is looking."""

REVERT_TRIES_MAX: Final = 20
REVERT_AGAIN_US: Final = SECOND_US
RENEWALS_PER_LEASE: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When what happens: lengths of the phases, and each fault's times after hold begins."""

    baseline_us: int
    hold_us: int
    recover_us: int
    faults: tuple[tuple[int, int], ...]
    lease_seconds: int = 30

    def __post_init__(self) -> None:
        assert 1 <= self.lease_seconds <= LEASE_SECONDS_MAX, "checked where it is read"


class Core:
    """One run. Feed it with `step`, at the latest at `wake_us`, until its phase is DONE."""

    def __init__(self, schedule: Schedule) -> None:
        """Wait for `Started`."""
        self._schedule = schedule
        self._now_us = 0
        self._out: list[Command] = []
        self._hold_us = 0
        self._end_us = 0
        self.phase = Phase.PREPARE
        self.cause = Cause.FINISHED
        self.marks_us: dict[Phase, int] = {}
        """When each phase began."""
        self.faults = [
            FaultCourse(number=number, at_us=at_us, end_us=end_us)
            for number, (at_us, end_us) in enumerate(schedule.faults)
        ]
        self.breaches: list[Breach] = []
        self.failure = ""
        """Code and hint of an injection that failed."""

    def step(self, event: Event, now_us: int) -> tuple[Command, ...]:
        """Take an event at this time and return what must be done; times never go back."""
        self._now_us = max(self._now_us, now_us)
        self._out = []
        if self.phase is not Phase.DONE:
            self._take(event)
            self._move()
        return tuple(self._out)

    @property
    def wake_us(self) -> int | None:
        """Return when to come with a `Tick` if nothing else happens before; None for never."""
        if self.phase in (Phase.PREPARE, Phase.DONE):
            return None
        times = list(self._times())
        return min(times) if times else None

    @property
    def stuck(self) -> tuple[InjectionCourse, ...]:
        """Return the injections that could not be reverted."""
        return tuple([one for one in self._injections() if one.stage is Stage.STUCK])

    def _times(self) -> Iterator[int]:
        if self.phase in (Phase.BASELINE, Phase.HOLD, Phase.RECOVER):
            yield self._end_us
        for fault in self.faults:
            if fault.stage is FaultStage.WAITING and self.phase is Phase.HOLD:
                yield self._hold_us + fault.at_us
            if self._wants_look(fault):
                yield fault.look_us
            if fault.stage is FaultStage.RUNNING:
                for one in fault.injections:
                    yield from self._times_of(fault, one)

    def _times_of(self, fault: FaultCourse, one: InjectionCourse) -> Iterator[int]:
        match one.stage:
            case Stage.PLANNED if self.phase is Phase.HOLD:
                yield self._hold_us + one.injection.begin_us
            case Stage.ACTIVE if self._stays(one):
                yield one.renew_us
            case Stage.ACTIVE:
                end_us = self._hold_us + one.injection.end_us
                wait_us = LAST_LOOK_US if self._awaits_look(fault, one) else 0
                yield min(one.renew_us, end_us + wait_us)
            case Stage.REVERTING if one.retry_us:
                yield one.retry_us
            case _:
                pass

    # --- events ---------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        match event:
            case Started():
                if self.phase is Phase.PREPARE:
                    self._enter(Phase.BASELINE, self._schedule.baseline_us)
            case Tick():
                pass
            case Stop():
                self._abort(Cause.STOPPED)
            case Broke(breach=breach):
                self._note(records.Breached(at_us=self._now_us, breach=breach))
                self.breaches.append(breach)
                self._abort(Cause.BREACH)
            case Checked(breaches=breaches, failure=failure):
                self._finish(breaches, failure)
            case Looked(fault=number, confirmation=confirmation):
                self._looked(self.faults[number], confirmation)
            case Resolved() | Watching() | ApplyFailed():
                self._take_of_fault(event)
            case WasApplied() | RenewFailed() | WasReverted() | RevertFailed():
                self._take_of_injection(event)

    def _take_of_fault(self, event: Resolved | Watching | ApplyFailed) -> None:
        fault = self.faults[event.fault]
        match event:
            case Resolved(injections=injections) if fault.stage is FaultStage.RESOLVING:
                fault.injections = [InjectionCourse(one) for one in injections]
                fault.stage = FaultStage.WATCHED
                self._out.append(Watch(fault.number, injections))
            case Watching() if fault.stage is FaultStage.WATCHED:
                fault.stage = FaultStage.RUNNING
            case ApplyFailed(id=name, code=code, hint=hint):
                self.failure = self.failure or f"{code}: {hint}"
                self._note(records.Failed(at_us=self._now_us, id=name, code=code, hint=hint))
                if not name:
                    fault.stage = FaultStage.OVER
                elif (one := self._find(name)) is not None and one.stage is Stage.APPLYING:
                    # It may be in force all the same, so it is reverted like any other.
                    one.stage, one.has_failed = Stage.ACTIVE, True
                self._abort(Cause.INJECTION)
            case _:
                pass

    def _take_of_injection(
        self, event: WasApplied | RenewFailed | WasReverted | RevertFailed
    ) -> None:
        one = self._find(event.id)
        match event, one:
            case WasApplied(id=name), InjectionCourse(stage=Stage.APPLYING):
                self._note(records.Applied(at_us=self._now_us, id=name))
                one.stage = Stage.ACTIVE
                self._lease(one)
                fault = self.faults[one.injection.fault]
                fault.begun_us = self._now_us if fault.begun_us is None else fault.begun_us
                fault.look_us = fault.look_us or self._now_us + LOOK_EVERY_US
            case RenewFailed(), InjectionCourse(stage=Stage.ACTIVE):
                # The site has restarted, say: what it forgot is put in force again.
                one.stage = Stage.APPLYING
                self._out.append(Apply(one.injection, self._schedule.lease_seconds))
            case WasReverted(id=name), InjectionCourse(stage=Stage.REVERTING):
                self._note(records.Reverted(at_us=self._now_us, id=name))
                one.stage = Stage.REVERTED
                self._close(self.faults[one.injection.fault])
            case RevertFailed(id=name, code=code), InjectionCourse(stage=Stage.REVERTING):
                one.retry_us = self._now_us + REVERT_AGAIN_US
                if one.tries >= REVERT_TRIES_MAX:
                    self._note(records.Stuck(at_us=self._now_us, id=name, code=code))
                    one.stage = Stage.STUCK
                    self._close(self.faults[one.injection.fault])
            case _:
                pass

    def _looked(self, fault: FaultCourse, confirmation: Confirmation) -> None:
        fault.is_looking = False
        fault.look_us = self._now_us + LOOK_EVERY_US
        if not fault.confirmation.is_seen and fault.stage is not FaultStage.OVER:
            fault.confirmation = confirmation
            if confirmation.is_seen:
                self._confirm(fault)

    def _finish(self, breaches: tuple[Breach, ...], failure: str) -> None:
        if self.phase is not Phase.CHECK:
            return
        if failure:
            self.failure = self.failure or failure
            self.cause = Cause.LEDGERS if self.cause is Cause.FINISHED else self.cause
        for breach in breaches:
            self._note(records.Breached(at_us=self._now_us, breach=breach))
            self.breaches.append(breach)
        self._enter(Phase.RESTORE, 0)

    # --- what time brings -----------------------------------------------------------------------

    def _move(self) -> None:
        if self.phase is Phase.BASELINE and self._now_us >= self._end_us:
            self._hold_us = self._now_us
            self._enter(Phase.HOLD, self._schedule.hold_us)
        if self.phase is Phase.HOLD:
            self._hold()
            if self._now_us >= self._end_us:
                self._enter(Phase.HEAL, 0)
        if self.phase in (Phase.HEAL, Phase.RECOVER, Phase.CHECK, Phase.RESTORE):
            self._heal()
        if self.phase is Phase.RESTORE and all(fault.is_over for fault in self.faults):
            self._note(records.Ended(at_us=self._now_us, cause=self.cause))
            self._enter(Phase.DONE, 0)
        if self.phase is Phase.HEAL and all(self._is_healed(fault) for fault in self.faults):
            short = self.cause is not Cause.FINISHED
            self._enter(Phase.RECOVER, 0 if short else self._schedule.recover_us)
        if self.phase is Phase.RECOVER and self._now_us >= self._end_us:
            self._enter(Phase.CHECK, 0)
            self._out.append(Check())

    def _hold(self) -> None:
        for fault in self.faults:
            since_us = self._now_us - self._hold_us
            if fault.stage is FaultStage.WAITING and since_us >= fault.at_us:
                fault.stage = FaultStage.RESOLVING
                self._out.append(Resolve(fault.number))
            if self._wants_look(fault) and self._now_us >= fault.look_us:
                fault.is_looking = True
                self._out.append(Look(fault.number))
            if fault.stage is FaultStage.RUNNING:
                for one in fault.injections:
                    self._hold_one(fault, one, since_us)

    def _hold_one(self, fault: FaultCourse, one: InjectionCourse, since_us: int) -> None:
        """Begin, renew or end one injection, as the time says."""
        injection, lease = one.injection, self._schedule.lease_seconds
        if one.stage is Stage.PLANNED and since_us >= injection.begin_us:
            intended = records.Intended(
                at_us=self._now_us, injection=injection, lease_seconds=lease
            )
            self._note(intended)
            one.stage = Stage.APPLYING
            self._out.append(Apply(injection, lease))
        elif one.stage is Stage.ACTIVE and since_us >= injection.end_us and self._ends(fault, one):
            self._revert(one)
        else:
            self._keep(one)

    def _ends(self, fault: FaultCourse, one: InjectionCourse) -> bool:
        """Return whether nothing keeps it in force any longer."""
        return not self._stays(one) and not self._awaits_look(fault, one)

    def _awaits_look(self, fault: FaultCourse, one: InjectionCourse) -> bool:
        """Return whether a probe may still see it: a busy machine answers late.

        Only of what ends with hold, so that nothing else begins meanwhile, and not for ever.
        """
        looks = fault.is_looking and not fault.confirmation.is_seen
        last = one.injection.end_us >= self._schedule.hold_us
        late_us = self._now_us - self._hold_us - one.injection.end_us
        return looks and last and late_us < LAST_LOOK_US and self.cause is Cause.FINISHED

    def _keep(self, one: InjectionCourse) -> None:
        """Prolong a lease in time, and try again to revert what could not be."""
        if one.stage is Stage.ACTIVE and self._now_us >= one.renew_us:
            self._lease(one)
            self._out.append(Renew(one.injection, self._schedule.lease_seconds))
        elif self._retries(one):
            self._revert(one)

    def _stays(self, one: InjectionCourse) -> bool:
        """Return whether it is not taken back yet, though faults end."""
        whole = self.cause is Cause.FINISHED and self.phase is not Phase.RESTORE
        return one.injection.stays and whole

    def _is_healed(self, fault: FaultCourse) -> bool:
        """Return whether nothing of a fault is in force but what stays."""
        staying = [one for one in fault.injections if one.stage is Stage.ACTIVE]
        if fault.stage is FaultStage.RUNNING and staying:
            return all(one.is_over or self._stays(one) for one in fault.injections)
        return fault.is_over

    def _retries(self, one: InjectionCourse) -> bool:
        """Return whether it is time to try again to revert it."""
        return one.stage is Stage.REVERTING and 0 < one.retry_us <= self._now_us

    def _heal(self) -> None:
        """Revert what is in force; what has not begun never does."""
        for fault in self.faults:
            if fault.stage is FaultStage.WAITING:
                fault.stage = FaultStage.OVER
            for one in fault.injections:
                if one.stage is Stage.PLANNED:
                    one.stage = Stage.DROPPED
                elif one.stage is Stage.ACTIVE and self._ends(fault, one):
                    self._revert(one)
                else:
                    self._keep(one)
            self._close(fault)

    def _revert(self, one: InjectionCourse) -> None:
        self._note(records.Reverting(at_us=self._now_us, id=one.injection.id))
        one.stage, one.retry_us = Stage.REVERTING, 0
        one.tries += 1
        self._out.append(Revert(one.injection))

    def _close(self, fault: FaultCourse) -> None:
        """End a fault of which nothing is left."""
        if fault.stage is FaultStage.RUNNING and fault.is_over:
            fault.stage = FaultStage.OVER
            fault.ended_us = self._now_us
            if not fault.confirmation.is_seen:
                self._confirm(fault)

    def _confirm(self, fault: FaultCourse) -> None:
        confirmed = records.Confirmed(
            at_us=self._now_us, fault=fault.number, confirmation=fault.confirmation
        )
        self._note(confirmed)

    def _abort(self, cause: Cause) -> None:
        """Go to healing at once; the first cause stays."""
        if self.phase in (Phase.HEAL, Phase.RECOVER, Phase.PREPARE, Phase.BASELINE, Phase.HOLD):
            if self.cause is Cause.FINISHED:
                self.cause = cause
            if self.phase is Phase.RECOVER:
                self._end_us = self._now_us
            elif self.phase is not Phase.HEAL:
                self._enter(Phase.HEAL, 0)

    def _wants_look(self, fault: FaultCourse) -> bool:
        seen = fault.confirmation.is_seen or fault.is_looking or not fault.look_us
        return self.phase is Phase.HOLD and fault.stage is FaultStage.RUNNING and not seen

    def _lease(self, one: InjectionCourse) -> None:
        share_us = self._schedule.lease_seconds * SECOND_US // RENEWALS_PER_LEASE
        one.renew_us = self._now_us + share_us

    def _enter(self, phase: Phase, length_us: int) -> None:
        self.phase = phase
        self._end_us = self._now_us + length_us
        self.marks_us[phase] = self._now_us
        self._note(records.Entered(at_us=self._now_us, phase=phase))
        self._out.append(Enter(phase))

    def _note(self, record: records.Record) -> None:
        self._out.append(Note(record))

    def _injections(self) -> Iterator[InjectionCourse]:
        for fault in self.faults:
            yield from fault.injections

    def _find(self, name: str) -> InjectionCourse | None:
        return next((one for one in self._injections() if one.injection.id == name), None)
