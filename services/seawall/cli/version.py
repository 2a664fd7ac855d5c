"""Print the version of Seawall and of the Python that runs it."""

import argparse
import platform
from importlib.metadata import PackageNotFoundError, version

from seawall.cli import console
from seawall.cli.console import Exit


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    try:
        number = version("seawall")
    except PackageNotFoundError:
        number = "0+source"
    document = {"seawall": number, "python": platform.python_version()}
    console.emit(arguments, document, [f"seawall {number}, Python {document['python']}"])
    return Exit.OK
