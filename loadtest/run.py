"""`make load`: run locust against a network, a local one of its own where none is named.

Everything is bounded: the sites live as long as the run, and a run as long as it is told to, plus
a minute for what is on its way.
"""

import argparse
import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from bench.samples import base_payload, make_task
from bench.sites import last_words, wait_until_up
from seawall.domain.genesis import Genesis
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.genesis_maker import NetworkPlan, make_network
from seawall.testbed.supervisor import Supervisor, plans_of
from seawall.testbed.tasks import PlannedTask

ROOT: Final = Path(__file__).resolve().parents[1]
SIZES: Final = ((1 << 10), (16 << 10), (256 << 10), (5 << 19))
"""Payloads of a local network in bytes: three of one chunk, and one of three."""

SITES: Final = 4
CONTRIBUTORS: Final = 16
USERS: Final = 40
DRAIN_SECONDS_MAX: Final = 60
TALLY: Final = Path("build/load/tally.json")


@asynccontextmanager
async def local_network(directory: Path) -> AsyncIterator[Genesis]:
    """Run a network with tasks of several sizes, whose sites also serve HTTP."""
    tasks = []
    for size in SIZES:
        task = make_task(f"size-{size}", size)
        tasks.append(PlannedTask(task=task, base_payload=base_payload(task)))
    plan = NetworkPlan(sites=SITES, chain="load", contributors=CONTRIBUTORS, tasks=tuple(tasks))
    made = make_network(directory, plan)
    files = NetworkDirectory(directory)
    for site, port in zip(made.genesis.sites, free_ports(SITES), strict=True):
        with files.settings(site.name).open("a", encoding="utf-8") as file:
            file.write(f'ingestion.http_address = "127.0.0.1:{port}"\n')
    async with Supervisor(files, made.origin, plans_of(files, made.genesis)):
        try:
            await wait_until_up(made.genesis)
        except TimeoutError:
            raise RuntimeError(
                f"the sites did not start:\n{last_words(files, made.genesis)}"
            ) from None
        yield made.genesis


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody uses now."""
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]


def command(network: Path, seconds: float, users: int, words: Sequence[str]) -> list[str]:
    """Return the command that runs locust; `words` are further options of it."""
    limit = f"{round(seconds) + DRAIN_SECONDS_MAX}s"
    return [
        *(sys.executable, "-m", "locust", "-f", str(ROOT / "loadtest" / "locustfile.py")),
        *("--headless", "--users", str(users), "--spawn-rate", str(users)),
        *("--run-time", limit, "--stop-timeout", "10", "--only-summary"),
        *("--network", str(network), "--seconds", str(seconds), *words),
    ]


async def run(options: argparse.Namespace, words: Sequence[str]) -> int:
    """Run locust, and return its exit code."""
    async with AsyncExitStack() as stack:
        network, more = options.network, list(words)
        if network is None:
            network = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="seawall-load-")))
            await stack.enter_async_context(local_network(network))
            more.append("--alone")
        process = await asyncio.create_subprocess_exec(
            *command(network, options.seconds, options.users, more),
            *("--tally", str(options.tally)),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()


def main() -> int:
    """Run with the options of the command line; those that are not known here are locust's."""
    if find_spec("locust") is None:
        print("locust is not installed: make load installs it", file=sys.stderr)
        return 2
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--network", type=Path, help="directory of a running local network")
    parser.add_argument("--seconds", type=float, default=30.0, help="of sending")
    parser.add_argument("--users", type=int, default=USERS, help="at once, at most")
    parser.add_argument("--tally", type=Path, default=ROOT / TALLY, help="where to write it")
    options, words = parser.parse_known_args()
    return asyncio.run(run(options, words))


if __name__ == "__main__":
    sys.exit(main())
