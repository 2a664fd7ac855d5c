"""Run an experiment, judge it, and leave a report: in the simulator, or on real sites."""

import argparse
import asyncio
import datetime as dt
import json
import logging
import os
import signal
import sys
from pathlib import Path

import msgspec

from seawall.chaos.experiment.reading import Loaded
from seawall.chaos.runner.core import Core
from seawall.chaos.runner.journal import FileJournal
from seawall.chaos.runner.records import Applied, Confirmed, Entered, Failed, Record, Reverted
from seawall.chaos.runner.steps import Command, Note
from seawall.cli import chaos_files, chaos_launch, console
from seawall.cli.console import Exit
from seawall.errors import LocalError, OperationalError, PeerError
from seawall.testbed.chaos.local import LocalRun, run_local
from seawall.testbed.chaos.plan import lines_of, plan_document
from seawall.testbed.chaos.reports import write_reports
from seawall.testbed.chaos.run_directory import RunDirectory, new_run
from seawall.testbed.experiment.outcome import Result, document_of
from seawall.testbed.experiment.runner import run_simulated
from seawall.testbed.experiment.tables import summary
from seawall.testbed.processes import ProcessRecord, record_of

EXIT_CODES = chaos_files.EXIT_CODES


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("experiment", type=Path, metavar="EXPERIMENT.yaml")
    chaos_files.add_platform(parser, chaos_files.SIM)
    chaos_files.add_runs(parser)
    parser.add_argument("--seed", type=int, default=None, help="in place of the one in the file")
    parser.add_argument(
        "--dir", type=Path, metavar="D", help="with --on local: use the network that is up there"
    )
    parser.add_argument(
        "--lease",
        type=console.number(5, 300),
        default=30,
        metavar="S",
        help="seconds that a fault may outlive its runner (default: %(default)s)",
    )
    parser.add_argument(
        "--positive-control",
        action="store_true",
        help="allow an experiment with more faulty sites than are tolerated",
    )
    chaos_launch.declare(parser)
    parser.add_argument("--dry-run", action="store_true", help="show the targets, inject nothing")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Run the experiment and return its verdict's exit code."""
    loaded = chaos_files.read_experiment(arguments.experiment, arguments.seed)
    chaos_files.refuse_on(loaded, arguments.on)
    _refuse_controls(loaded, arguments)
    if arguments.dry_run:
        document = plan_document(loaded.experiment, arguments.on)
        console.emit(arguments, document, lines_of(document))
        return Exit.OK
    if arguments.on == chaos_files.KUBERNETES:
        return chaos_launch.run(arguments, loaded)
    began = dt.datetime.now(dt.UTC)
    home = new_run(arguments.runs, loaded.experiment.metadata.name, arguments.on, began)
    _describe(home, loaded, arguments)
    records: tuple[Record, ...] = ()
    if arguments.on == chaos_files.SIM:
        _tell(arguments, f"simulating, report in {home.path}")
        result = run_simulated(loaded)
    else:
        # Streams of killed sites end in ways of which the library warns; what matters is judged.
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        try:
            result, records = asyncio.run(_on_sites(loaded, home, arguments))
        except* PeerError as faults:
            # Exit code 3 is a verdict here; a run that sites refuse says nothing.
            hint = f"sites refuse it: {faults.exceptions[0]}"
            raise OperationalError("CHAOS_REFUSED", hint) from faults
    write_reports(result, home, records, began)
    lines = [*summary(result), f"report:  {home.path / 'report.html'}"]
    console.emit(arguments, {**document_of(result), "run": str(home.path)}, lines)
    return int(result.verdict)


def _refuse_controls(loaded: Loaded, arguments: argparse.Namespace) -> None:
    if loaded.experiment.spec.positive_control and not arguments.positive_control:
        hint = "more sites are faulty than are tolerated: add --positive-control to run it"
        raise LocalError("CHAOS_CONTROL", hint, field="--positive-control")
    if arguments.dir is not None and arguments.on != chaos_files.LOCAL:
        raise LocalError("CLI_OPTION", "only --on local has a network", field="--dir")


def _describe(home: RunDirectory, loaded: Loaded, arguments: argparse.Namespace) -> None:
    """Write what is run, whom it hits, and who runs it."""
    home.write("experiment.yaml", arguments.experiment.read_bytes())
    plan = plan_document(loaded.experiment, arguments.on)
    home.write("resolved.json", json.dumps(plan, indent=2).encode() + b"\n")
    pid = os.getpid()
    runner = ProcessRecord(name="chaos", pid=pid, started=record_of(pid) or 0.0)
    home.write("runner.json", msgspec.json.encode(runner) + b"\n")


async def _on_sites(
    loaded: Loaded, home: RunDirectory, arguments: argparse.Namespace
) -> tuple[Result, tuple[Record, ...]]:
    """Run on real sites; SIGINT and SIGTERM end it with a rollback."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    _tell(arguments, f"starting, report in {home.path}")

    def hear(core: Core, command: Command) -> None:
        if isinstance(command, Note) and (line := progress(core, command.record)):
            _tell(arguments, line)

    run = LocalRun(
        home=home, network=arguments.dir, stop=stop, hear=hear, lease_seconds=arguments.lease
    )
    result = await run_local(loaded, run)
    return result, await FileJournal(home.journal).read()


def progress(core: Core, record: Record) -> str:
    """Return what to show of a record, nothing for most."""
    del core
    seconds = f"{record.at_us / 1_000_000:7.1f} s  "
    match record:
        case Entered(phase=phase):
            return f"{seconds}{phase}"
        case Applied(id=name):
            return f"{seconds}  injected {name.partition('/')[2]}"
        case Reverted(id=name):
            return f"{seconds}  reverted {name.partition('/')[2]}"
        case Failed(id=name, code=code, hint=hint):
            return f"{seconds}  failed {name.partition('/')[2]}: {code}: {hint}"
        case Confirmed(fault=number, confirmation=found):
            mark = "seen" if found.is_seen else "NOT SEEN"
            return f"{seconds}  fault {number} {mark}: {found.evidence}"
        case _:
            return ""


def _tell(arguments: argparse.Namespace, line: str) -> None:
    if not arguments.quiet:
        print(f"chaos: {line}", file=sys.stderr, flush=True)
