"""Keeps the processes of a local network running: start, restart with back-off, stop.

Children are started by exec in sessions of their own, so Ctrl-C reaches the supervisor alone and
it decides the order. Each child's standard input is a pipe from here: when the supervisor ends,
however it ends, the pipe closes and the child stops by itself.
"""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from seawall.domain.genesis import Genesis
from seawall.errors import LocalError, OperationalError
from seawall.runtime.service import ROLES
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.holds import is_held
from seawall.testbed.processes import (
    ProcessRecord,
    RunRecord,
    environment,
    is_running,
    read_run,
    record_of,
    serve_command,
    write_run,
)

BACKOFF_SECONDS_FIRST: Final = 0.2
BACKOFF_SECONDS_MAX: Final = 5.0
STABLE_SECONDS: Final = 10.0
"""A process that ran this long starts again without delay."""

HOLD_LOOK_SECONDS: Final = 0.1
"""How often it is looked whether a site that an experiment keeps down may start."""

STOP_SECONDS_MAX: Final = 12.0
START_FAILURES_MAX: Final = 5
EXIT_CANNOT_START: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessPlan:
    """One process to keep.

    Attributes:
        name: unique name, as in logs and `down`.
        site: index of its site.
        settings: its settings file.
        roles: roles that it serves.
        port: base port.
        host: address that it listens on.
        log: file of its standard error, which is its log.
        arguments: further arguments of `seawall serve`.
        prefix: command that starts it and becomes it, as `ip netns exec NAME` does.

    """

    name: str
    site: int
    settings: Path
    log: Path
    host: str
    port: int
    roles: tuple[str, ...] = ROLES
    arguments: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()


@dataclass(slots=True)
class Child:
    """A process under supervision.

    `held` keeps it from being started again; `once` are arguments of its next start alone.
    """

    plan: ProcessPlan
    once: tuple[str, ...] = ()
    process: asyncio.subprocess.Process | None = None
    started: float = 0.0
    exit_codes: list[int] = field(default_factory=list)
    held: bool = False
    starts: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)
    wake: asyncio.Event = field(default_factory=asyncio.Event)


def plans_of(directory: NetworkDirectory, genesis: Genesis) -> tuple[ProcessPlan, ...]:
    """Return the processes of each site: one, or one for each role when genesis splits them.

    A process with all roles is named like its site, one with a single role SITE/ROLE.
    """
    plans = []
    for index, site in enumerate(genesis.sites):
        for role in ROLES if site.role_addresses else (None,):
            address = site.client_address if role is None else site.client_address_of(role)
            host, _, port = address.rpartition(":")
            files = (site.name,) if role is None else (site.name, role)
            plans.append(
                ProcessPlan(
                    name="/".join(files),
                    site=index,
                    settings=directory.settings(*files),
                    log=directory.log(*files),
                    host=host,
                    port=int(port),
                    roles=ROLES if role is None else (role,),
                )
            )
    return tuple(plans)


class Supervisor:
    """Runs processes until it is told to stop; an asynchronous context manager.

    Entering starts them; leaving ends every one of them and removes the run file.
    """

    def __init__(
        self, directory: NetworkDirectory, origin: str, plans: Sequence[ProcessPlan]
    ) -> None:
        """Keep the plans; nothing starts yet."""
        self._directory = directory
        self._origin = origin
        self._sites = {plan.site: plan.settings.parent.name for plan in plans}
        self._children = {plan.name: Child(plan) for plan in plans}
        self._stack = AsyncExitStack()
        self._stopping = asyncio.Event()
        self.failed = asyncio.Event()
        """Set when a process could not be started several times in a row."""

    async def __aenter__(self) -> Self:
        """Start everything.

        Raises:
            OperationalError: SITE_RUNNING when another supervisor runs this directory.

        """
        refuse_second(self._directory)
        group = await self._stack.enter_async_context(asyncio.TaskGroup())
        tasks = [
            group.create_task(self._keep(child), name=child.plan.name)
            for child in self._children.values()
        ]
        for task in tasks:
            self._stack.callback(task.cancel)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop everything."""
        try:
            await self._stop_all()
        finally:
            await self._stack.aclose()

    def child(self, name: str) -> Child:
        """Return a process by its name.

        Raises:
            LocalError: SITE_UNKNOWN.

        """
        if name not in self._children:
            raise LocalError("SITE_UNKNOWN", f"choose among {', '.join(self._children)}")
        return self._children[name]

    def kill(self, name: str, *, hold: bool = False) -> None:
        """Send SIGKILL; with `hold` the process stays down until `release`."""
        child = self.child(name)
        child.held = hold
        if child.process is not None and child.process.returncode is None:
            child.process.kill()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process, where it runs."""
        process = self.child(name).process
        if process is not None and process.returncode is None:
            process.send_signal(number)

    def hold(self, name: str) -> None:
        """Keep a process from being started again when it ends, until `release`."""
        self.child(name).held = True

    def release(self, name: str, *, once: Sequence[str] = ()) -> None:
        """Let a held process start again, this time with further arguments."""
        child = self.child(name)
        child.once = tuple(once)
        child.held = False
        child.wake.set()

    async def ended(self, name: str) -> int:
        """Wait until the process that was started last has ended; return its exit code."""
        process = self.child(name).process
        return 0 if process is None else await process.wait()

    async def started(self, name: str, *, more_than: int) -> None:
        """Wait until a process has been started more often than this."""
        child = self.child(name)
        while child.starts <= more_than:
            child.news.clear()
            await child.news.wait()

    async def _keep(self, child: Child) -> None:
        delay = 0.0
        while not self._stopping.is_set():
            await self._pause(child, delay)
            began = asyncio.get_running_loop().time()
            await self._start(child)
            assert child.process is not None
            code = await child.process.wait()
            child.exit_codes.append(code)
            if self._stopping.is_set():
                return
            if child.exit_codes[-START_FAILURES_MAX:] == [EXIT_CANNOT_START] * START_FAILURES_MAX:
                self.failed.set()
            ran_seconds = asyncio.get_running_loop().time() - began
            stable = ran_seconds >= STABLE_SECONDS
            delay = (
                0.0 if stable else min(BACKOFF_SECONDS_MAX, max(BACKOFF_SECONDS_FIRST, 2 * delay))
            )
            self._write()

    async def _pause(self, child: Child, delay: float) -> None:
        """Wait for the back-off, and as long as the process is held."""
        child.wake.clear()
        if not child.held:
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await child.wake.wait()
        while child.held:
            child.wake.clear()
            await child.wake.wait()
        site = self._sites[child.plan.site]
        # Whoever holds it may be a process that has gone: only the file's time says so.
        while is_held(self._directory, site, time.time()):  # noqa: ASYNC110 - files, not events
            await asyncio.sleep(HOLD_LOOK_SECONDS)

    async def _start(self, child: Child) -> None:
        plan = child.plan
        arguments, child.once = (*plan.arguments, *child.once), ()
        plan.log.parent.mkdir(parents=True, exist_ok=True)
        with plan.log.open("ab") as output:
            child.process = await asyncio.create_subprocess_exec(
                *plan.prefix,
                *serve_command(plan.settings, *arguments, *plan.roles),
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=environment(),
            )
        child.started = record_of(child.process.pid) or 0.0
        child.starts += 1
        child.news.set()
        self._write()

    async def _stop_all(self) -> None:
        """End every child: SIGTERM to all, then SIGKILL to those that do not follow."""
        self._stopping.set()
        running = [
            child.process
            for child in self._children.values()
            if child.process is not None and child.process.returncode is None
        ]
        for process in running:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS_MAX):
                for process in running:
                    await process.wait()
        for process in running:
            if process.returncode is None:
                process.kill()
                await process.wait()
        with suppress(FileNotFoundError):
            self._directory.run.unlink()

    def record(self) -> RunRecord:
        """Return the processes that run now."""
        own = os.getpid()
        return RunRecord(
            api_version="seawall.dev/v1",
            kind="Run",
            origin=self._origin,
            supervisor=ProcessRecord(name="supervisor", pid=own, started=record_of(own) or 0.0),
            processes=tuple(
                _record(child)
                for child in self._children.values()
                if child.process is not None and child.process.returncode is None
            ),
        )

    def _write(self) -> None:
        if not self._stopping.is_set():
            write_run(self._directory.run, self.record())


def refuse_second(directory: NetworkDirectory) -> None:
    """Refuse to run a directory that another supervisor runs.

    Raises:
        OperationalError: SITE_RUNNING.

    """
    other = read_run(directory.run)
    if other is not None and is_running(other.supervisor):
        hint = f"process {other.supervisor.pid} runs these sites: stop it with seawall down"
        raise OperationalError("SITE_RUNNING", hint)


def _record(child: Child) -> ProcessRecord:
    assert child.process is not None
    plan = child.plan
    client, peer, health, metrics = (f"{plan.host}:{plan.port + offset}" for offset in range(4))
    return ProcessRecord(
        name=plan.name,
        pid=child.process.pid,
        started=child.started,
        site=plan.site,
        roles=plan.roles,
        client_address=client,
        peer_address=peer,
        health_address=health,
        metrics_address=metrics,
        log=str(plan.log),
        restarts=child.starts - 1,
    )
