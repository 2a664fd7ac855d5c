"""Run all sites of a local network until Ctrl-C, and start them again when they end.

With --helm or --kind they run on a Kubernetes cluster instead, as a release of the chart.
"""

import argparse
import asyncio
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import Final

from seawall.cli import console, genesis, up_cluster
from seawall.cli.console import Exit
from seawall.cli.status import lines_of
from seawall.domain.genesis import Genesis
from seawall.errors import LocalError, OperationalError
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.genesis_maker import make_network
from seawall.testbed.monitoring.scraping import write_configuration
from seawall.testbed.observer import Observer, SiteView
from seawall.testbed.processes import read_run, run_detached
from seawall.testbed.supervisor import Supervisor, plans_of, refuse_second

PERIOD_SECONDS: Final = 1.0
READY_SECONDS_MAX: Final = 60.0


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    console.add_directory(parser)
    genesis.add_plan(parser)
    parser.add_argument("--detach", action="store_true", help="return when all sites answer")
    parser.add_argument("--quiet", action="store_true", help="no live view")
    up_cluster.declare(parser)


def run(arguments: argparse.Namespace) -> int:
    """Make a network if there is none, then run it."""
    if arguments.helm or arguments.kind:
        return up_cluster.run(arguments)
    directory = NetworkDirectory(arguments.dir)
    refuse_second(directory)
    if not directory.genesis.exists():
        made = make_network(arguments.dir, genesis.plan_of(arguments))
        if not arguments.json:
            print("\n".join(genesis.lines_of(made)[:-1]))
    document, origin = console.read_genesis(directory.genesis)
    if arguments.split and not all(site.role_addresses for site in document.sites):
        hint = "this network was made without --split: choose another directory"
        raise LocalError("GENESIS_PLAN", hint, field="--split")
    made_with = document.consensus
    wanted = (
        (arguments.protocol, made_with.protocol),
        (arguments.wave_length, made_with.wave_length),
    )
    if any(asked not in (None, found) for asked, found in wanted):
        hint = f"this network is {made_with.protocol}, {made_with.wave_length} rounds a wave"
        raise LocalError("GENESIS_PLAN", hint, field="--protocol")
    if arguments.detach:
        return _detach(arguments, directory, document)
    quiet = arguments.quiet or arguments.json
    watched = write_configuration(directory, document, plans_of(directory, document))
    if not quiet:
        print(f"metrics: {watch_command(watched)}")
    return asyncio.run(_supervise(directory, document, origin, quiet=quiet))


async def _supervise(
    directory: NetworkDirectory, document: Genesis, origin: str, *, quiet: bool
) -> int:
    """Keep the sites running until SIGINT or SIGTERM; show them unless `quiet`."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    plans = plans_of(directory, document)
    async with Supervisor(directory, origin, plans) as supervisor, Observer(document) as observer:
        shown = 0
        while not stop.is_set() and not supervisor.failed.is_set():
            if not quiet:
                shown = _show(lines_of(document, await observer.look()), shown)
            await _wait(stop, PERIOD_SECONDS)
        if not quiet:
            print("stopping the sites")
        if supervisor.failed.is_set():
            hint = f"a site does not start: seawall logs --dir {directory.path} says why"
            raise OperationalError("SITE_START", hint)
    return Exit.OK


def watch_command(configuration: Path) -> str:
    """Return the command that starts a Prometheus over the network."""
    file = shlex.quote(str(configuration))
    data = shlex.quote(str(configuration.with_name("prometheus-data")))
    return (
        f"prometheus --config.file={file} --storage.tsdb.path={data}"
        " --web.listen-address=127.0.0.1:9090"
    )


def _show(lines: list[str], shown: int) -> int:
    """Write the matrix over the one before; on a pipe only the first one is written."""
    if shown and not sys.stdout.isatty():
        return shown
    if shown:
        sys.stdout.write(f"\x1b[{shown}A\x1b[J")
    print("\n".join(lines), flush=True)
    return len(lines)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


def _detach(arguments: argparse.Namespace, directory: NetworkDirectory, document: Genesis) -> int:
    """Start a supervisor in the background and wait until every site answers."""
    command = [sys.executable, "-m", "seawall.cli.main", "up", "--quiet"]
    command += ["--dir", str(Path(arguments.dir).resolve())]
    process = run_detached(command, directory.supervisor_log)
    views = asyncio.run(_all_ready(document))
    if process.poll() is not None or not all(_answers(view) for view in views):
        hint = f"not every site answers: see {directory.supervisor_log} and seawall logs"
        raise OperationalError("SITE_START", hint)
    record = read_run(directory.run)
    pids = {} if record is None else {one.name: one.pid for one in record.processes}
    watch = watch_command(directory.prometheus)
    lines = [
        *lines_of(document, views),
        f"metrics: {watch}",
        f"supervisor {process.pid}; seawall down ends it",
    ]
    told = {"supervisor": process.pid, "processes": pids, "prometheus": watch}
    console.emit(arguments, told, lines)
    return Exit.OK


def _answers(view: SiteView) -> bool:
    return view.up and not view.silent


async def _all_ready(document: Genesis) -> tuple[SiteView, ...]:
    limit = time.monotonic() + READY_SECONDS_MAX
    async with Observer(document) as observer:
        while True:
            views = await observer.look()
            ready = all(_answers(view) and view.certified for view in views)
            if ready or time.monotonic() > limit:
                return views
            await asyncio.sleep(0.2)
