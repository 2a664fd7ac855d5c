"""Serve roles of one site in this process until SIGTERM or SIGINT."""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from seawall.cli import console
from seawall.cli.compose import roles_of
from seawall.config import ALL_ROLES, load
from seawall.runtime.serve import Ports
from seawall.runtime.serve import run as serve


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "roles",
        nargs="*",
        metavar="ROLE",
        help=f"{', '.join(ALL_ROLES)}; those of the settings file when none is named",
    )
    parser.add_argument("--config", type=Path, required=True, help="settings of the process, TOML")
    parser.add_argument(
        "--worker", type=int, metavar="NUMBER", help="of the site's ingestion workers, from 0"
    )
    parser.add_argument("--crash-at", metavar="POINT[:SKIP]", help="end the process there")
    parser.add_argument(
        "--stop-with-parent",
        action="store_true",
        help="stop when standard input ends, so that nothing outlives who started it",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve, and return the exit code of the process."""
    overrides: dict[str, object] = {}
    if arguments.roles:
        overrides["roles"] = arguments.roles
    if arguments.worker is not None:
        overrides["worker"] = arguments.worker
    if arguments.crash_at is not None:
        overrides["crash_at"] = arguments.crash_at
    config = load(arguments.config, **overrides)
    if arguments.stop_with_parent:
        threading.Thread(target=_follow_parent, name="parent", daemon=True).start()

    def announce(ports: Ports) -> None:
        if arguments.json:
            console.print_document(
                {
                    "client": ports.client,
                    "peer": ports.peer,
                    "health": ports.health,
                    "metrics": ports.metrics,
                }
            )
            sys.stdout.flush()

    return serve(config, roles_of(config), on_started=announce)


def _follow_parent() -> None:
    """Wait for the end of standard input, then ask this process to stop."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
