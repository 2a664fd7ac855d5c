"""Train or read one update, sign it, push it, and wait for its receipt.

Without FILE, one update of the digits task is trained on a twentieth of the data.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from seawall.cli import console
from seawall.cli.console import Exit
from seawall.client import Base, Client, Delta, Event, PendingReceipt, Stage
from seawall.errors import LocalError
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.learning.client import make_clients
from seawall.testbed.learning.digits import federate
from seawall.testbed.learning.model import Training
from seawall.testbed.tasks import DIGITS

STAGES = ("received", "final", "committed", "aggregated")
TIMED = ("final", "committed")
"""Stages whose latency is shown, in the order in which they are reached."""


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "file",
        type=Path,
        nargs="?",
        metavar="FILE",
        help="delta: .npz or .safetensors, tensors by name; integers are on the grid already",
    )
    console.add_directory(parser)
    parser.add_argument("--genesis", type=Path, help="genesis (default: that of --dir)")
    parser.add_argument("--task", default=DIGITS, help="name of the task (default: %(default)s)")
    parser.add_argument("--name", default="contributor-00", help="whose key in --dir to sign with")
    parser.add_argument("--key", type=Path, help="key file (default: that of --name)")
    parser.add_argument("--site", action="append", help="site to prefer; may be given again")
    parser.add_argument("--examples", type=int, help="training examples to claim")
    parser.add_argument("--wait", choices=STAGES, default="committed", help="stage to wait for")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds (default: 60)")
    parser.add_argument("--receipt", type=Path, default=Path("receipt.json"), help="where to write")


def run(arguments: argparse.Namespace) -> int:
    """Push one update, and write its receipt once it is committed."""
    directory = NetworkDirectory(arguments.dir)
    with Client(
        arguments.site,
        task=arguments.task,
        genesis=arguments.genesis or directory.genesis,
        key=arguments.key or directory.contributor_key(arguments.name),
    ) as client:
        base = client.pull()
        delta, examples = _train(client, base) if arguments.file is None else _read(arguments)
        started = time.monotonic()
        pending = client.push(delta, base, arguments.examples or examples)
        event, seconds = _wait(arguments, pending, started)
        facts: dict[str, object] = {
            "update": pending.update_id.hex(),
            "stage": event.stage.name.lower(),
            "base": base.version,
            "site": event.site,
            **{f"{stage}_seconds": round(after, 3) for stage, after in seconds.items()},
        }
        if event.version is not None:
            facts["version"] = event.version
        if event.refusal is not None:
            facts["filtered"] = event.refusal.code
        if arguments.wait not in ("received", "final"):
            facts["receipt"] = str(_save(arguments, directory, pending))
    width = max(map(len, facts)) + 1
    lines = [f"{name:<{width}}{value}" for name, value in facts.items()]
    if "receipt" in facts:
        lines.append(f"{'next':<{width}}seawall verify {facts['receipt']} --dir {arguments.dir}")
    console.emit(arguments, facts, lines)
    return Exit.OK


def _wait(
    arguments: argparse.Namespace, pending: PendingReceipt, started: float
) -> tuple[Event, dict[str, float]]:
    """Return the event that was waited for, and after how many seconds FINAL and COMMITTED came.

    FINAL is left out when the update was committed before enough sites had said it.
    """
    seconds: dict[str, float] = {}
    deadline = started + arguments.timeout
    event = pending.event
    for stage in STAGES[: STAGES.index(arguments.wait) + 1]:
        event = pending.wait(stage, max(deadline - time.monotonic(), 0.0))
        if stage in TIMED and (stage != "final" or event.stage is Stage.FINAL):
            seconds[stage] = time.monotonic() - started
    return event, seconds


def _save(
    arguments: argparse.Namespace, directory: NetworkDirectory, pending: PendingReceipt
) -> Path:
    """Write the receipt where it was asked for, and a copy beside the network."""
    document = pending.document(
        aggregated=arguments.wait == "aggregated", timeout_seconds=arguments.timeout
    )
    path: Path = arguments.receipt
    path.write_bytes(document)
    if directory.path.is_dir():
        directory.receipts.mkdir(exist_ok=True)
        (directory.receipts / f"{pending.update_id.hex()}.json").write_bytes(document)
    return path


def _train(client: Client, base: Base) -> tuple[Delta, int]:
    """Return a delta trained on one part of the digits, and the examples used."""
    if client.task.name != DIGITS:
        raise LocalError("CLI_ARGUMENTS", "give a FILE for a task other than digits", field="FILE")
    training = Training(grid_bits=client.task.grid_bits)
    contributor = make_clients(federate(1), training, attackers=0, seed=1)[0]
    # Another seed for each update, or the same bytes would be refused as a replay.
    update = contributor.update(base.ints, base_version=base.version, seed=time.time_ns())
    return update.delta, update.num_examples


def _read(arguments: argparse.Namespace) -> tuple[Delta, int]:
    """Return the delta in a file; examples are 1 unless they are claimed.

    Raises:
        OperationalError: CLI_FILE.
        LocalError: CLI_ARGUMENTS for a file of another form.

    """
    path: Path = arguments.file
    console.read_file(path, 0)
    try:
        if path.suffix == ".safetensors":
            return load_file(path), 1
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}, 1
    except (ValueError, AttributeError, SafetensorError) as fault:
        hint = "give a .npz or .safetensors file of the task's tensors by name"
        raise LocalError("CLI_ARGUMENTS", hint, field="FILE") from fault
