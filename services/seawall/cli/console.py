"""What commands say: exit codes, one JSON document or lines of text, and errors."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from pathlib import Path

from seawall.domain.genesis import Genesis
from seawall.errors import OperationalError, SeawallError
from seawall.formats import genesis as genesis_format
from seawall.testbed.directory import DIRECTORY_DEFAULT


class Exit(IntEnum):
    """Exit codes of every command; stable."""

    OK = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    UNREACHABLE = 4
    INTERNAL = 5
    INTERRUPTED = 130


def emit(arguments: argparse.Namespace, document: object, lines: Sequence[str]) -> None:
    """Print the answer of a command: the document with `--json`, else the lines."""
    if arguments.json:
        print(json.dumps(document, indent=2))
    else:
        print("\n".join(lines))


def print_error(fault: SeawallError, *, json: bool) -> None:
    """Print `error: CODE in field: hint` to standard error, and the same as JSON if asked."""
    print(f"error: {fault}", file=sys.stderr)
    if json:
        print_document(
            {
                "error": {
                    "code": fault.code,
                    "field": fault.field,
                    "offset": fault.offset,
                    **({} if fault.line is None else {"line": fault.line, "column": fault.column}),
                    "hint": fault.hint,
                }
            }
        )


def print_document(document: object) -> None:
    """Print a JSON document."""
    print(json.dumps(document, indent=2))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table, columns as wide as they must be."""
    lines = [list(header), *[list(row) for row in rows]]
    widths = [max(len(line[at]) for line in lines) for at in range(len(header))]
    padded = [
        [cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines
    ]
    return ["  ".join(line).rstrip() for line in padded]


def read_file(path: Path, size_max: int) -> bytes:
    """Return the content of a file of at most `size_max` bytes, or one byte more.

    Raises:
        OperationalError: CLI_FILE when it cannot be read.

    """
    try:
        with path.open("rb") as file:
            # A read of a given length reserves all of it, however short the file is.
            whole = os.fstat(file.fileno()).st_size <= size_max
            return file.read() if whole else file.read(size_max + 1)
    except OSError as fault:
        hint = f"cannot read {path}: {fault.strerror}"
        raise OperationalError("CLI_FILE", hint) from fault


def read_genesis(path: Path) -> tuple[Genesis, str]:
    """Return a genesis and its origin.

    Raises:
        OperationalError: CLI_FILE.
        PeerError: as `formats.genesis.decode`.

    """
    data = read_file(path, genesis_format.GENESIS_SIZE_BYTES_MAX)
    return genesis_format.decode(data), genesis_format.origin(data)


def add_directory(parser: argparse.ArgumentParser) -> None:
    """Add the option that names a local network's directory."""
    parser.add_argument(
        "--dir",
        type=Path,
        default=Path(DIRECTORY_DEFAULT),
        metavar="D",
        help="directory of the local network (default: %(default)s)",
    )


def number(least: int, most: int) -> Callable[[str], int]:
    """Return what reads an option's whole number within these bounds."""

    def read(text: str) -> int:
        value = int(text) if text.isdecimal() else least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"a whole number from {least} to {most}, not {text}")
        return value

    return read


def add_sizes(parser: argparse.ArgumentParser, default: str, least: int, most: int) -> None:
    """Add the option that names committee sizes."""
    one = number(least, most)
    parser.add_argument(
        "--sizes",
        type=lambda text: [one(part) for part in text.split(",")],
        default=default,
        metavar="N,N",
        help="numbers of sites (default: %(default)s)",
    )


def add_protocols(parser: argparse.ArgumentParser, known: Mapping[str, int]) -> None:
    """Add the option that names protocols."""
    names = ",".join(known)

    def read(text: str) -> list[str]:
        found = text.split(",")
        for name in found:
            if name not in known:
                raise argparse.ArgumentTypeError(f"some of {names}, not {name}")
        return found

    parser.add_argument(
        "--protocols",
        type=read,
        default=names,
        metavar="P,P",
        help="sync, or async with a wave length of 4 or 5 (default: %(default)s)",
    )


def add_report(parser: argparse.ArgumentParser) -> None:
    """Add the option that names a page to write."""
    parser.add_argument("--report", type=Path, metavar="FILE.html", help="write a page with plots")


def write_report(path: Path, page: str) -> None:
    """Write a page, and the folders above it.

    Raises:
        OperationalError: CLI_FILE when it cannot be written.

    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as fault:
        hint = f"cannot write {path}: {fault.strerror}"
        raise OperationalError("CLI_FILE", hint, field="--report") from fault
