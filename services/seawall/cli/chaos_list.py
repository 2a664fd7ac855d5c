"""List experiments, and where each can run."""

import argparse
from pathlib import Path
from typing import Any

from seawall.cli import chaos_files, console
from seawall.cli.console import Exit
from seawall.errors import LocalError, SeawallError


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "directory", type=Path, nargs="?", default=Path("experiments"), metavar="DIRECTORY"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print one line for each file."""
    paths = sorted(arguments.directory.glob("*.yaml"))
    if not paths:
        hint = f"no *.yaml in {arguments.directory}: name the directory of the experiments"
        raise LocalError("CLI_EXPERIMENT", hint, field="DIRECTORY")
    found = [_of(path) for path in paths]
    header = ("experiment", "faults", *chaos_files.PLATFORMS, "shows")
    rows = [
        (
            str(one["name"]),
            ", ".join(one["faults"]),
            *["yes" if reason is None else reason for reason in one["on"].values()],
            str(one["description"]),
        )
        for one in found
    ]
    console.emit(arguments, found, console.table(header, rows))
    return Exit.OK


def _of(path: Path) -> dict[str, Any]:
    """Return what is known of one file; a wrong one is listed with its error."""
    try:
        loaded = chaos_files.read_experiment(path)
    except SeawallError as fault:
        on: dict[str, str | None] = dict.fromkeys(chaos_files.PLATFORMS, fault.code)
        return {"name": path.stem, "faults": [], "on": on, "description": str(fault)}
    experiment = loaded.experiment
    reasons = {name: chaos_files.obstacle_on(loaded, name) for name in chaos_files.PLATFORMS}
    return {
        "name": experiment.metadata.name,
        "faults": list(dict.fromkeys(fault.kind for fault in experiment.spec.faults)),
        "on": {name: None if fault is None else fault.code for name, fault in reasons.items()},
        "description": experiment.metadata.description,
    }
