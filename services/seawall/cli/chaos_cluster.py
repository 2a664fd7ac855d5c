"""Run experiments on the release whose chaos runner this is, one after the other, and judge them.

What the chart's CronJob does, and each Job of `seawall chaos run FILE --on kubernetes`. Journal,
verdict and report of each run stay in a ConfigMap with the label seawall.dev/chaos-run.
"""

import argparse
import asyncio
import datetime as dt
import logging
import os
import signal
from pathlib import Path

from seawall.chaos.experiment.reading import Loaded
from seawall.chaos.runner.core import Core
from seawall.chaos.runner.steps import Command, Note
from seawall.cli import chaos_files, console
from seawall.cli.chaos_run import progress
from seawall.errors import LocalError
from seawall.testbed.chaos.cluster import (
    KUBERNETES,
    ClusterRun,
    journal_of,
    publish,
    run_cluster,
)
from seawall.testbed.chaos.reports import write_reports
from seawall.testbed.chaos.run_directory import new_run
from seawall.testbed.cluster_api import KubernetesObjects, ServiceAccount
from seawall.testbed.experiment.outcome import document_of
from seawall.testbed.experiment.tables import summary

EXIT_CODES = chaos_files.EXIT_CODES
RUNS = Path("/var/lib/seawall/runs")


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--experiments", type=Path, required=True, help="directory of files")
    parser.add_argument("--release", required=True, help="its full name")
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--runs", type=Path, default=RUNS, help="default: %(default)s")
    parser.add_argument("--lease", type=console.number(5, 300), default=30, metavar="S")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--positive-control", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    """Run every file; return the gravest verdict."""
    files = sorted(arguments.experiments.glob("*.yaml"))
    if not files:
        hint = "give the chart experiments, or run one: seawall chaos run FILE --on kubernetes"
        raise LocalError("CLI_EXPERIMENT", hint, field="--experiments")
    loaded = [chaos_files.read_experiment(path, arguments.seed) for path in files]
    for one in loaded:
        chaos_files.refuse_on(one, KUBERNETES)
        if one.experiment.spec.positive_control and not arguments.positive_control:
            hint = "more sites are faulty than are tolerated: run it by hand --positive-control"
            raise LocalError("CHAOS_CONTROL", hint, field=one.experiment.metadata.name)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    objects = KubernetesObjects(ServiceAccount.of_this_pod(os.environ), arguments.namespace)
    return max(
        asyncio.run(_run(arguments, objects, path.read_bytes(), one))
        for path, one in zip(files, loaded, strict=True)
    )


async def _run(
    arguments: argparse.Namespace, objects: KubernetesObjects, text: bytes, loaded: Loaded
) -> int:
    """Run one file; SIGTERM ends it with a rollback."""
    began = dt.datetime.now(dt.UTC)
    home = new_run(arguments.runs, loaded.experiment.metadata.name, KUBERNETES, began)
    home.write("experiment.yaml", text)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    def hear(core: Core, command: Command) -> None:
        if isinstance(command, Note) and (line := progress(core, command.record)):
            _say(arguments, line)

    _say(arguments, f"{loaded.experiment.metadata.name} on release {arguments.release}")
    journal = journal_of(objects, arguments.release, home.name)
    cluster_run = ClusterRun(
        objects=objects,
        release=arguments.release,
        home=home,
        journal=journal,
        stop=stop,
        hear=hear,
        lease_seconds=arguments.lease,
    )
    result = await run_cluster(loaded, cluster_run)
    write_reports(result, home, await journal.read(), began)
    await publish(cluster_run)
    lines = [*summary(result), f"kept in ConfigMap {journal.name}"]
    console.emit(arguments, {**document_of(result), "kept": journal.name}, lines)
    return int(result.verdict)


def _say(arguments: argparse.Namespace, line: str) -> None:
    if not arguments.json:
        print(line, flush=True)
