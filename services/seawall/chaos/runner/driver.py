"""Drives the core of a run on a platform: carries out its commands, feeds it what happened.

Commands are begun in their order, and a record of the journal is durable before what follows it is
begun. Everything that asks a site is a task of its own under a timeout, and answers with an event.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeAlias, TypeVar

from seawall.chaos.runner.core import Core
from seawall.chaos.runner.injection import Confirmation, Injection
from seawall.chaos.runner.protocols import Actuator, Journal, Platform, Probe
from seawall.chaos.runner.records import Record, Reverted, Reverting, outstanding
from seawall.chaos.runner.steps import (
    Apply,
    ApplyFailed,
    Broke,
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
from seawall.errors import OperationalError, SeawallError

STEP_SECONDS_MAX: Final = 15.0
"""What an actuator or a probe has for one step."""

CHECK_SECONDS_MAX: Final = 300.0
WATCH_EVERY_SECONDS: Final = 0.5
EVENTS_MAX: Final = 4_096

_T = TypeVar("_T")

Clock: TypeAlias = Callable[[], int]
"""Microseconds since the run's start."""

Hear: TypeAlias = Callable[[Core, Command], None]
"""Is told of every command that is carried out, to show how far the run is."""


class Driver:
    """One run on one platform."""

    def __init__(self, core: Core, platform: Platform, clock: Clock, hear: Hear) -> None:
        """Begin nothing yet."""
        self._core = core
        self._platform = platform
        self._clock = clock
        self._hear = hear
        self._events: asyncio.Queue[Event] = asyncio.Queue(EVENTS_MAX)
        self._probes: dict[int, Probe] = {}
        self._lost: SeawallError | None = None
        """Why the journal cannot be written; nothing is injected any more."""

    async def run(self, stop: asyncio.Event) -> None:
        """Run to the end, or roll back when `stop` is set; returns when the core is done.

        Raises:
            BaseExceptionGroup: with a SeawallError when the load could not be started, with
                anything else for a fault of ours; what was injected is reverted all the same.

        """
        try:
            await self._run(stop)
        except BaseExceptionGroup:
            with suppress(SeawallError):
                await clean(self._platform.journal, self._platform.actuator, self._clock)
            raise

    async def _run(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(self._start(), name="chaos-start"),
                group.create_task(self._watch(), name="chaos-watch"),
                group.create_task(self._stop(stop), name="chaos-stop"),
            ]
            while self._core.phase is not Phase.DONE:
                event = await self._next()
                for command in self._core.step(event, self._clock()):
                    await self._carry_out(command, group)
                    self._hear(self._core, command)
            for task in background:
                task.cancel()

    async def _next(self) -> Event:
        wake_us = self._core.wake_us
        wait = None if wake_us is None else max(0.0, (wake_us - self._clock()) / 1_000_000)
        try:
            async with asyncio.timeout(wait):
                return await self._events.get()
        except TimeoutError:
            return Tick()

    async def _carry_out(self, command: Command, group: asyncio.TaskGroup) -> None:
        """Do what is done at once, and begin what takes time."""
        match command:
            case Note(record=record):
                await self._write(record)
            case Enter(phase=phase):
                self._platform.workload.enter(phase, self._clock())
            case Apply(injection=injection) if self._lost is not None:
                await self._events.put(_failed(injection, self._lost))
            case Watch(fault=number, injections=injections):
                self._probes[number] = self._platform.probe(number, injections)
                group.create_task(self._begin_probe(number))
            case Look(fault=number):
                group.create_task(self._look(number))
            case Resolve(fault=number):
                group.create_task(self._resolve(number))
            case Check():
                group.create_task(self._check())
            case _:
                group.create_task(self._act(command))

    async def _act(self, command: Apply | Renew | Revert) -> None:
        match command:
            case Apply():
                await self._apply(command)
            case Renew():
                await self._renew(command)
            case Revert(injection=injection):
                await self._revert(injection)

    async def _write(self, record: Record) -> None:
        try:
            await _bounded(self._platform.journal.write(record))
        except SeawallError as fault:
            # Taking faults back goes on without; beginning new ones does not.
            self._lost = fault

    async def _start(self) -> None:
        await self._platform.workload.start()
        await self._events.put(Started())

    async def _stop(self, stop: asyncio.Event) -> None:
        await stop.wait()
        await self._events.put(Stop())

    async def _watch(self) -> None:
        while True:
            # Sites that do not answer are what faults are for.
            with suppress(SeawallError):
                for breach in await _bounded(self._platform.ledgers.look()):
                    await self._events.put(Broke(breach))
            await asyncio.sleep(WATCH_EVERY_SECONDS)

    async def _resolve(self, number: int) -> None:
        try:
            primaries = await _bounded(self._platform.primaries())
            found = self._platform.resolve(number, primaries)
        except SeawallError as fault:
            await self._events.put(ApplyFailed(number, "", fault.code, fault.hint))
        else:
            await self._events.put(Resolved(number, found))

    async def _begin_probe(self, number: int) -> None:
        # A probe that cannot begin sees nothing, and says so when it looks.
        with suppress(SeawallError):
            await _bounded(self._probes[number].begin())
        await self._events.put(Watching(number))

    async def _look(self, number: int) -> None:
        try:
            found = await _bounded(self._probes[number].look())
        except SeawallError as fault:
            found = Confirmation(is_seen=False, evidence=f"the probe failed: {fault.code}")
        await self._events.put(Looked(number, found))

    async def _apply(self, command: Apply) -> None:
        injection = command.injection
        try:
            await _bounded(self._actuator(injection).apply(injection, command.lease_seconds))
        except SeawallError as fault:
            await self._events.put(_failed(injection, fault))
        else:
            await self._events.put(WasApplied(injection.id))

    async def _renew(self, command: Renew) -> None:
        injection = command.injection
        try:
            await _bounded(self._actuator(injection).renew(injection, command.lease_seconds))
        except SeawallError:
            await self._events.put(RenewFailed(injection.id))

    async def _revert(self, injection: Injection) -> None:
        try:
            await _bounded(self._actuator(injection).revert(injection))
        except SeawallError as fault:
            await self._events.put(RevertFailed(injection.id, fault.code))
        else:
            await self._events.put(WasReverted(injection.id))

    async def _check(self) -> None:
        try:
            await _bounded(self._platform.workload.finish(), CHECK_SECONDS_MAX)
            found = await _bounded(self._platform.ledgers.check(), CHECK_SECONDS_MAX)
        except SeawallError as fault:
            await self._events.put(Checked((), f"{fault.code}: {fault.hint}"))
        else:
            await self._events.put(Checked(found))

    def _actuator(self, injection: Injection) -> Actuator:
        return self._platform.actuator(injection.actuator)


async def clean(
    journal: Journal, actuator: Callable[[str], Actuator], clock: Clock
) -> tuple[tuple[Injection, str], ...]:
    """Revert what a run that has gone may have left in force; return what is left, and why.

    Raises:
        SeawallError: the journal cannot be read.

    """
    left: list[tuple[Injection, str]] = []
    for injection in outstanding(await journal.read()):
        await journal.write(Reverting(at_us=clock(), id=injection.id))
        try:
            await _bounded(actuator(injection.actuator).revert(injection))
        except SeawallError as fault:
            left.append((injection, f"{fault.code}: {fault.hint}"))
        else:
            await journal.write(Reverted(at_us=clock(), id=injection.id))
    return tuple(left)


async def _bounded(work: Awaitable[_T], seconds: float = STEP_SECONDS_MAX) -> _T:
    """Await something for a bounded time.

    Raises:
        OperationalError: CHAOS_TIME; CHAOS_STEP for what the system refuses.

    """
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError as fault:
        raise OperationalError("CHAOS_TIME", f"it took longer than {seconds:g} s") from fault
    except OSError as fault:
        raise OperationalError("CHAOS_STEP", f"{fault.strerror or fault}") from fault


def _failed(injection: Injection, fault: SeawallError) -> ApplyFailed:
    return ApplyFailed(injection.fault, injection.id, fault.code, fault.hint)
