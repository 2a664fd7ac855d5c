"""Check experiment files, and whether a platform can run them; nothing is injected."""

import argparse
from pathlib import Path

from seawall.cli import chaos_files, console
from seawall.cli.console import Exit

EXIT_CODES = chaos_files.EXIT_CODES


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("experiment", type=Path, nargs="+", metavar="EXPERIMENT.yaml")
    chaos_files.add_platform(parser, None)


def run(arguments: argparse.Namespace) -> int:
    """Say of each file that it is well; the first that is not ends the command with its error."""
    lines, names = [], []
    for path in arguments.experiment:
        loaded = chaos_files.read_experiment(path)
        if arguments.on is not None:
            chaos_files.refuse_on(loaded, arguments.on)
        names.append(loaded.experiment.metadata.name)
        where = f", and {arguments.on} can run it" if arguments.on else ""
        lines.append(f"ok  {path}: {loaded.experiment.metadata.name}{where}")
    console.emit(arguments, {"valid": names}, lines)
    return Exit.OK
