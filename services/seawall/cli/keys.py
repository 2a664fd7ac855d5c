"""Make, enrol and show keys of contributors.

new FILE               make a key; its public half is printed
enrol NAME FILE        make a key of a new contributor of a network that has not started yet
show FILE              print the public half of a key
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path

from seawall.cli import console
from seawall.cli.console import Exit
from seawall.crypto.signing import SigningKey, key_id
from seawall.domain.genesis import Contributor
from seawall.errors import LocalError
from seawall.formats import genesis as genesis_format
from seawall.runtime.keys import read_key, write_seed
from seawall.runtime.locks import write_durably
from seawall.testbed.directory import NetworkDirectory

SEED_BYTES = 32


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    console.add_directory(parser)
    parser.add_argument("action", choices=("new", "enrol", "show"))
    parser.add_argument("words", nargs="+", metavar="NAME|FILE")
    parser.add_argument(
        "--role",
        action="append",
        choices=genesis_format.ROLES,
        help="what an enrolled key may sign (default: contributor)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Carry out one action."""
    words = arguments.words
    if len(words) != (2 if arguments.action == "enrol" else 1):
        raise LocalError("CLI_ARGUMENTS", "give one file, or a name and a file to enrol")
    path = Path(words[-1])
    make = arguments.action != "show"
    key = write_seed(path, os.urandom(SEED_BYTES)) if make else read_key(path)
    if arguments.action == "enrol":
        _enrol(NetworkDirectory(arguments.dir), words[0], key, tuple(arguments.role or ()))
    document = {"publicKey": key.public.hex(), "id": key_id(key.public).hex(), "file": str(path)}
    lines = [f"{name:<10} {value}" for name, value in document.items()]
    console.emit(arguments, document, lines)
    return Exit.OK


def _enrol(directory: NetworkDirectory, name: str, key: SigningKey, roles: tuple[str, ...]) -> None:
    """Add a contributor to genesis, while no site has begun to use it.

    Raises:
        LocalError: GENESIS_USED when a site has data: genesis is the name of its chain.

    """
    genesis, _ = console.read_genesis(directory.genesis)
    if any(directory.data(site.name).exists() for site in genesis.sites):
        hint = "sites have started from this genesis: enrol before seawall up"
        raise LocalError("GENESIS_USED", hint)
    entry = Contributor(name=name, public_key=key.public, roles=roles or ("contributor",))
    changed = replace(genesis, contributors=(*genesis.contributors, entry))
    write_durably(directory.genesis, genesis_format.encode(changed), mode=0o644)
