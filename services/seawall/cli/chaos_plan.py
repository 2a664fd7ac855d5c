"""Show whom each fault hits and when, without injecting anything."""

import argparse
from pathlib import Path

from seawall.cli import chaos_files, console
from seawall.cli.console import Exit
from seawall.testbed.chaos.plan import lines_of, plan_document

EXIT_CODES = chaos_files.EXIT_CODES


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("experiment", type=Path, metavar="EXPERIMENT.yaml")
    parser.add_argument("--seed", type=int, default=None, help="in place of the one in the file")
    chaos_files.add_platform(parser, chaos_files.LOCAL)


def run(arguments: argparse.Namespace) -> int:
    """Resolve the targets and print them."""
    loaded = chaos_files.read_experiment(arguments.experiment, arguments.seed)
    chaos_files.refuse_on(loaded, arguments.on)
    document = plan_document(loaded.experiment, arguments.on)
    console.emit(arguments, document, lines_of(document))
    return Exit.OK
