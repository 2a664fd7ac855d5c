"""etcd beside Seawall: three members, and load through its own client library.

Three members withstand one that crashes and none that lies: the price of less than Seawall gives.
The load generator is `bench/etcdload`, in Go, since a client in Python would be the bottleneck.
"""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import processes
from bench.comet import stop
from bench.plan import Lengths
from bench.quantiles import Latency, summarise
from bench.rpc import HOST
from bench.systems import STEADY_SHARE, Load, SystemReport

MEMBERS = 3
VALUE_BYTES = 250
BASE_PORT = 21_800
PORT_STEP = 10
START_SECONDS_MAX = 30.0
ANSWER_SECONDS_MAX = 30.0
QUOTA_BYTES = 4 << 30
WORKERS = 1000
"""Puts on their way under full load."""

SOURCE = Path(__file__).resolve().parent / "etcdload"
BUILT = Path(__file__).resolve().parent / "results" / "bin" / "etcdload"
INSTALL = "apt-get install etcd-server, and Go for the load generator"


def binary() -> Path | None:
    """Return the server, None where it is not installed."""
    found = shutil.which("etcd")
    return None if found is None else Path(found)


def go() -> str | None:
    """Return the Go command, None where it is not installed."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/go/bin"))
    return shutil.which("go", path=path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Running members."""

    pids: tuple[int, ...]
    endpoints: str

    def cpu_seconds(self) -> float:
        """Return the processor time of all members so far."""
        return sum(processes.read(pid).cpu_seconds for pid in self.pids)


class Etcd:
    """etcd as it comes: implements `bench.peers.System`."""

    name = "etcd"

    def __init__(self, program: Path) -> None:
        """Run this server."""
        self._program = program
        self._next = 0

    def seconds(self, lengths: Lengths) -> float:
        """Return about how long `measure` takes."""
        return 5.0 + 3 * lengths.warm + lengths.single + lengths.closed + lengths.open

    async def measure(self, lengths: Lengths, home: Path) -> SystemReport:
        """Run a fresh cluster once."""
        await build()
        async with running(self._program, home) as cluster:
            low, _ = await self._load(cluster, "single", lengths.warm, lengths.single)
            _, peak = await self._load(cluster, "closed", lengths.warm, lengths.closed)
            rate = STEADY_SHARE * peak.rate
            steady = None
            if rate:
                _, steady = await self._load(cluster, "open", lengths.warm, lengths.open, rate)
        return SystemReport(
            name=self.name,
            nodes=MEMBERS,
            bytes=VALUE_BYTES,
            low=low,
            peak=peak,
            steady=steady,
            note="crash faults only",
        )

    async def _load(
        self, cluster: Cluster, mode: str, warm: float, seconds: float, rate: float = 1.0
    ) -> tuple[Latency | None, Load]:
        """Run the load generator once."""
        options = {
            "endpoints": cluster.endpoints,
            "mode": mode,
            "bytes": VALUE_BYTES,
            "warm": warm,
            "seconds": seconds,
            "workers": WORKERS,
            "rate": rate,
            "first": self._next,
        }
        words = [word for name, value in options.items() for word in (f"-{name}", str(value))]
        before = cluster.cpu_seconds()
        told = await _told(words, warm + seconds)
        spent = cluster.cpu_seconds() - before
        self._next = told["next"]
        took = told["seconds"] or []
        latency = summarise(took)
        return latency, Load(
            rate=len(took) / seconds,
            latency=latency,
            cpu_seconds_per_1000=1000 * spent / max(1, told["total"]),
            errors=told["errors"],
        )


async def _told(words: list[str], seconds: float) -> dict[str, Any]:
    """Return what the load generator prints."""
    process = await asyncio.create_subprocess_exec(
        BUILT, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(seconds + ANSWER_SECONDS_MAX):
            printed, complaint = await process.communicate()
    finally:
        await stop([process])
    if process.returncode:
        raise RuntimeError(f"etcdload: {complaint.decode()[-400:]}")
    told: dict[str, Any] = json.loads(printed)
    return told


async def build() -> None:
    """Compile the load generator where that has not been done since its source changed.

    Raises:
        RuntimeError: it does not compile.

    """
    newest = max(path.stat().st_mtime for path in SOURCE.iterdir())
    if BUILT.exists() and BUILT.stat().st_mtime >= newest:
        return
    command = go()
    assert command is not None, "only systems that can be measured are asked"
    process = await asyncio.create_subprocess_exec(
        command,
        "build",
        "-o",
        BUILT,
        ".",
        cwd=SOURCE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, complaint = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"go build: {complaint.decode()[-400:]}")


@asynccontextmanager
async def running(program: Path, home: Path) -> AsyncIterator[Cluster]:
    """Run a cluster below `home`, which is removed afterwards."""
    directory = home / "etcd"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    members = ",".join(f"member-{at}=http://{HOST}:{_port(at) + 1}" for at in range(MEMBERS))
    started = []
    try:
        for at in range(MEMBERS):
            with (directory / f"log-{at}").open("wb") as log:
                process = await asyncio.create_subprocess_exec(
                    program, *_options(at, directory, members), stdout=log, stderr=log
                )
            started.append(process)
        async with asyncio.timeout(START_SECONDS_MAX):
            for at in range(MEMBERS):
                await _healthy(_port(at))
        endpoints = ",".join(f"{HOST}:{_port(at)}" for at in range(MEMBERS))
        yield Cluster(pids=tuple(one.pid for one in started), endpoints=endpoints)
    finally:
        await stop(started)
        shutil.rmtree(directory, ignore_errors=True)


def _port(member: int) -> int:
    return BASE_PORT + PORT_STEP * member


def _options(member: int, directory: Path, members: str) -> list[str]:
    """Return the command line of one member."""
    clients = f"http://{HOST}:{_port(member)}"
    others = f"http://{HOST}:{_port(member) + 1}"
    options = {
        "name": f"member-{member}",
        "data-dir": str(directory / f"member-{member}"),
        "listen-client-urls": clients,
        "advertise-client-urls": clients,
        "listen-peer-urls": others,
        "initial-advertise-peer-urls": others,
        "initial-cluster": members,
        "initial-cluster-state": "new",
        "quota-backend-bytes": str(QUOTA_BYTES),
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


async def _healthy(port: int) -> None:
    """Wait until a member says that it has a leader."""
    while True:
        try:
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(f"GET /health HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
        except OSError:
            answer = b""
        if b'"true"' in answer:
            return
        await asyncio.sleep(0.2)
