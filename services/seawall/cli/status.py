"""Show where each site stands; exits with 1 when two sites show a fork, 4 when none answers."""

import argparse
import asyncio
import time
from pathlib import Path

import msgspec

from seawall.cli import console
from seawall.cli.console import Exit
from seawall.domain.genesis import Genesis
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.observer import Observer, SiteView, forks
from seawall.testbed.processes import is_running, read_run

ROOT_DIGITS = 10


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    console.add_directory(parser)
    parser.add_argument("--genesis", type=Path, help="of a network that runs elsewhere")


def run(arguments: argparse.Namespace) -> int:
    """Ask every site once."""
    directory = NetworkDirectory(arguments.dir)
    genesis, origin = console.read_genesis(arguments.genesis or directory.genesis)
    views = asyncio.run(_look(genesis))
    record = None if arguments.genesis else read_run(directory.run)
    running = [one for one in (record.processes if record else ()) if is_running(one)]
    pids = {
        view.name: {one.name: one.pid for one in running if one.site == view.site} for view in views
    }
    split = forks(views)
    document = {
        "origin": origin,
        "time": int(time.time()),
        "sites": [
            {**msgspec.to_builtins(view), "up": view.up, "pids": pids[view.name]} for view in views
        ],
        "forks": split,
    }
    lines = [f"{origin}  {genesis.chain}", *lines_of(genesis, views, pids)]
    lines += [f"FORK: {first} and {second} have two roots for one size" for first, second in split]
    console.emit(arguments, document, lines)
    if split:
        return Exit.FAILED
    return Exit.OK if any(view.up for view in views) else Exit.UNREACHABLE


async def _look(genesis: Genesis) -> tuple[SiteView, ...]:
    async with Observer(genesis) as observer:
        return await observer.look()


def lines_of(
    genesis: Genesis, views: tuple[SiteView, ...], pids: dict[str, dict[str, int]] | None = None
) -> list[str]:
    """Return the matrix of all sites as lines of text."""
    tasks = [task.name for task in genesis.tasks]
    header = ["site", "state", "round", "height", "certified", "entries", "root", "updates"]
    header += [*tasks, "peers"]
    rows = [_row(view, len(tasks)) for view in views]
    if pids is not None:
        header.append("pid")
        rows = [
            [*row, ",".join(map(str, pids[view.name].values())) or "-"]
            for row, view in zip(rows, views, strict=True)
        ]
    return console.table(header, rows)


def _row(view: SiteView, tasks: int) -> list[str]:
    if not view.up:
        return [view.name, view.error, *["-"] * (7 + tasks)]
    numbers = [view.round, view.height, view.certified, view.tree_size]
    state = f"no {','.join(view.silent)}" if view.silent else "up"
    return [
        view.name,
        "recovering" if view.recovering else state,
        *[str(number) for number in numbers],
        view.root[:ROOT_DIGITS],
        str(view.updates),
        *[f"v{version}" for version in view.versions],
        ",".join(str(peer) for peer in view.connected) or "-",
    ]
