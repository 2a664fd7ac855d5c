"""Real sites on loopback for a measurement, and readings of them."""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import processes, profiles, scraping
from bench.processes import Traffic, Usage
from bench.report import Window
from bench.samples import base_payload, make_task
from bench.scraping import Samples
from seawall.domain.genesis import Genesis
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.genesis_maker import NetworkPlan, make_network
from seawall.testbed.observer import Observer
from seawall.testbed.supervisor import Supervisor, plans_of
from seawall.testbed.tasks import PlannedTask

ROOT = Path(__file__).resolve().parents[1]
CONTRIBUTORS = 64
START_SECONDS_MAX = 60.0
ANSWER_SECONDS_MAX = 120.0
METRICS_PORT = 3
"""A site's metrics are served at its base port plus this."""

LINE_BYTES_MAX = 1 << 28
LAST_WORDS = 800
"""Characters of a log that are shown when a site does not start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Everything that is read at one moment."""

    moment: float
    sites: tuple[Usage, ...]
    metrics: tuple[Samples, ...]
    generator: Usage | None
    loopback: Traffic
    disk_bytes: int | None
    machine_cpu_seconds: float


class Network:
    """Running sites."""

    def __init__(
        self, directory: Path, genesis: Genesis, supervisor: Supervisor, stacks: Path | None
    ) -> None:
        """Keep what is needed to read them; they write samples to `stacks` when it is given."""
        self.stacks = stacks
        self.samples: Counter[tuple[str, ...]] = Counter()
        self.directory = directory
        self.genesis = genesis
        self._supervisor = supervisor

    @property
    def pids(self) -> tuple[int, ...]:
        """Return the process of each site, in the order of genesis."""
        running = {record.name: record.pid for record in self._supervisor.record().processes}
        return tuple(running[site.name] for site in self.genesis.sites)

    async def read(self, generator: int | None, *, opens: bool) -> Reading:
        """Return a reading; reading itself stays outside of the window that it opens or closes."""
        metrics = await self._scrape() if opens else None
        sites = tuple(processes.read(pid) for pid in self.pids)
        load = None if generator is None else processes.read(generator)
        machine = processes.machine_cpu_seconds()
        disk = processes.disk_written_bytes(self.directory)
        moment, loopback = time.monotonic(), processes.loopback()
        return Reading(
            moment=moment,
            sites=sites,
            metrics=await self._scrape() if metrics is None else metrics,
            generator=load,
            loopback=loopback,
            disk_bytes=disk,
            machine_cpu_seconds=machine,
        )

    async def _scrape(self) -> tuple[Samples, ...]:
        ports = [int(site.client_address.rpartition(":")[2]) for site in self.genesis.sites]
        readings = [asyncio.to_thread(scraping.scrape, port + METRICS_PORT) for port in ports]
        return tuple(await asyncio.gather(*readings))

    async def watch(
        self, seconds: float, *, after: float = 0.0, generator: int | None = None
    ) -> Window:
        """Return what is used in a window of so many seconds that starts `after` seconds."""
        await asyncio.sleep(after)
        before = await self.read(generator, opens=True)
        if self.stacks is not None:
            profiles.begin(self.pids)
        await asyncio.sleep(seconds)
        after_all = await self.read(generator, opens=False)
        if self.stacks is not None:
            self.samples = await asyncio.to_thread(profiles.collect, self.pids, self.stacks)
        return between(before, after_all)


def between(before: Reading, after: Reading) -> Window:
    """Return what was used between two readings."""
    generator = disk = None
    if before.disk_bytes is not None and after.disk_bytes is not None:
        disk = after.disk_bytes - before.disk_bytes
    if before.generator is not None and after.generator is not None:
        generator = processes.difference(before.generator, after.generator)
    return Window(
        started=before.moment,
        ended=after.moment,
        sites=tuple(map(processes.difference, before.sites, after.sites)),
        metrics=tuple(map(scraping.growth, before.metrics, after.metrics)),
        generator=generator,
        loopback=Traffic(
            bytes=after.loopback.bytes - before.loopback.bytes,
            packets=after.loopback.packets - before.loopback.packets,
        ),
        disk_bytes=disk,
        machine_cpu_seconds=after.machine_cpu_seconds - before.machine_cpu_seconds,
    )


@asynccontextmanager
async def running(
    directory: Path,
    payload_bytes: int,
    *,
    sites: int,
    profile: bool = False,
    settings: Sequence[str] = (),
) -> AsyncIterator[Network]:
    """Make a network with one task of this payload size, and run it until the end of the block.

    With `profile` the sites sample themselves; `settings` are lines for their settings files.
    """
    stacks = directory / "stacks" if profile else None
    if stacks is not None:
        stacks.mkdir(parents=True)
        os.environ.update(profiles.environment(stacks))
    task = make_task(task_name(payload_bytes), payload_bytes)
    planned = PlannedTask(task=task, base_payload=base_payload(task))
    plan = NetworkPlan(sites=sites, chain="bench", contributors=CONTRIBUTORS, tasks=(planned,))
    made = make_network(directory, plan)
    files = NetworkDirectory(directory)
    for site in made.genesis.sites:
        with files.settings(site.name).open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in settings)
    async with Supervisor(files, made.origin, plans_of(files, made.genesis)) as supervisor:
        try:
            await wait_until_up(made.genesis)
        except TimeoutError:
            raise RuntimeError(
                f"the sites did not start:\n{last_words(files, made.genesis)}"
            ) from None
        yield Network(directory, made.genesis, supervisor, stacks)


def task_name(payload_bytes: int) -> str:
    """Return the name of the task whose payloads have this size."""
    return f"size-{payload_bytes}"


async def wait_until_up(genesis: Genesis) -> None:
    """Wait until every site answers, is linked to all others, and has a certified checkpoint.

    Raises:
        TimeoutError: that took too long.

    """
    async with asyncio.timeout(START_SECONDS_MAX), Observer(genesis) as observer:
        while True:
            views = await observer.look()
            if all(
                view.up and view.certified and len(view.connected) >= len(views) - 1
                for view in views
            ):
                return
            await asyncio.sleep(0.2)


def last_words(files: NetworkDirectory, genesis: Genesis) -> str:
    """Return the end of each site's log."""
    logs = [files.log(site.name) for site in genesis.sites]
    return "\n".join(
        f"{path.parent.name}: {path.read_text(errors='replace')[-LAST_WORDS:]}" for path in logs
    )


class Generator:
    """The load generator's process, from outside."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Keep the process."""
        self._process = process
        self.pid = process.pid

    async def order(self, **command: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Give one command and return the answer.

        Raises:
            RuntimeError: the generator has ended.

        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the load generator has ended; its message stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer


@asynccontextmanager
async def generating(directory: Path, payload_bytes: int) -> AsyncIterator[Generator]:
    """Run a load generator until the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.load",
        "--directory",
        str(directory),
        "--task",
        task_name(payload_bytes),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        limit=LINE_BYTES_MAX,
    )
    try:
        yield Generator(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
