"""Take back what runs have left in force whose runner was killed, from their journals."""

import argparse
import asyncio
import time
from pathlib import Path

from seawall.chaos.runner.driver import clean
from seawall.chaos.runner.injection import Injection
from seawall.chaos.runner.journal import FileJournal
from seawall.chaos.runner.records import Began, outstanding
from seawall.cli import chaos_files, console
from seawall.cli.chaos_stop import runner_of
from seawall.cli.console import Exit
from seawall.client import Chain
from seawall.errors import LocalError
from seawall.testbed.chaos.flood import FloodActuator, nobody
from seawall.testbed.chaos.platform import LOCAL, actuators_of
from seawall.testbed.chaos.run_directory import RunDirectory
from seawall.testbed.chaos.sites import LocalSites
from seawall.testbed.directory import NetworkDirectory

EXIT_CODES = chaos_files.EXIT_CODES
LEFT = 5
"""The exit code of ROLLBACK_FAILED."""


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("name", nargs="?", metavar="RUN", help="name of a run; all when left out")
    chaos_files.add_runs(parser)


def run(arguments: argparse.Namespace) -> int:
    """Revert what is outstanding; say what could not be."""
    chosen = chaos_files.find_runs(arguments.runs, arguments.name)
    reverted: list[str] = []
    left: dict[str, str] = {}
    for home in chosen:
        if not home.journal.exists():
            continue
        if runner_of(home) is not None:
            if arguments.name:
                hint = "its runner goes on: end it with seawall chaos stop"
                raise LocalError("CHAOS_RUNNING", hint, field="RUN")
            continue
        before, after = asyncio.run(_clean(home))
        left.update({injection.id: why for injection, why in after})
        reverted += [one.id for one in before if one.id not in left]
    lines = [f"reverted {name}" for name in reverted]
    lines += [f"LEFT {name}: {why}; its lease ends it" for name, why in left.items()]
    document = {"reverted": reverted, "left": left}
    console.emit(arguments, document, lines or ["nothing was left in force"])
    return LEFT if left else Exit.OK


async def _clean(
    home: RunDirectory,
) -> tuple[tuple[Injection, ...], tuple[tuple[Injection, str], ...]]:
    """Return what was outstanding, and what still is."""
    journal = FileJournal(home.journal)
    records = await journal.read()
    before = outstanding(records)
    if not before:
        return (), ()
    began = next((one for one in records if isinstance(one, Began)), None)
    if began is None or began.platform != LOCAL:
        raise LocalError("CHAOS_JOURNAL", "the journal does not say where the sites are")
    directory = NetworkDirectory(Path(began.place))
    latest_us = max(record.at_us for record in records)
    start_ns = time.monotonic_ns()

    def clock() -> int:
        return latest_us + (time.monotonic_ns() - start_ns) // 1_000

    async with LocalSites(directory, Chain.read(directory.genesis)) as sites:
        flooding = FloodActuator(nobody)
        actuators = actuators_of(sites, flooding, seed=0, experiment=began.experiment)
        return before, await clean(journal, actuators.__getitem__, clock)
