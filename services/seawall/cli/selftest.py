"""Try a running network: every service answers, one update is committed, its receipt holds offline.

The update is a small random change of the task's model, signed with a contributor's key; it is
an update like any other, and stays in the log.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from seawall.cli import console
from seawall.cli.console import Exit
from seawall.cli.verify import facts_of
from seawall.formats.genesis import GENESIS_SIZE_BYTES_MAX
from seawall.formats.receipt import verify_receipt
from seawall.runtime.service import ROLES
from seawall.testbed import selftest
from seawall.testbed.tasks import DIGITS


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--genesis", type=Path, required=True, help="genesis of the network")
    parser.add_argument("--key", type=Path, required=True, help="key file of a contributor")
    parser.add_argument(
        "--state",
        type=Path,
        help="the key's file of used numbers (default: they are looked up in the log)",
    )
    parser.add_argument("--task", default=DIGITS, help="name of the task (default: %(default)s)")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds (default: 120)")


def run(arguments: argparse.Namespace) -> int:
    """Try it, and say what was seen."""
    deadline = time.monotonic() + arguments.timeout
    path, key = arguments.genesis, arguments.key
    genesis, origin = console.read_genesis(path)
    silent = asyncio.run(selftest.silent_services(genesis, deadline))
    services = len(genesis.sites) * len(ROLES)
    facts: dict[str, object] = {"origin": origin, "serving": f"{services - len(silent)}/{services}"}
    if silent:
        facts["silent"] = silent
        console.emit(arguments, facts, _lines(facts))
        return Exit.FAILED
    with tempfile.TemporaryDirectory() as scratch:
        state = arguments.state or Path(scratch) / "state"
        if arguments.state is None:
            selftest.recover_state(genesis, origin, key, state)
        document, seconds = selftest.push_update(path, key, state, arguments.task, deadline)
    proven = verify_receipt(document, console.read_file(path, GENESIS_SIZE_BYTES_MAX), None)
    facts |= {"committed_seconds": round(seconds, 3), **facts_of(proven, with_payload=False)}
    console.emit(arguments, facts, _lines(facts))
    return Exit.OK


def _lines(facts: dict[str, object]) -> list[str]:
    width = max(map(len, facts)) + 1
    return [f"{name:<{width}}{value}" for name, value in facts.items()]
