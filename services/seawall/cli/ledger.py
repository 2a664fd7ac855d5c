"""Write a site's ledger to a file: one entry a line, and the checkpoint note that covers them.

export SITE FILE       FILE gets the entries, FILE with the suffix .note the checkpoint
"""

import argparse
import asyncio
from pathlib import Path

from seawall.cli import console
from seawall.cli.console import Exit
from seawall.domain.genesis import Genesis
from seawall.errors import LocalError
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.export import Exported, export_ledger
from seawall.testbed.observer import Observer


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("action", choices=("export",))
    parser.add_argument("site", metavar="SITE", help="name of the site")
    parser.add_argument("file", type=Path, metavar="FILE", help="where to write")
    console.add_directory(parser)
    parser.add_argument("--genesis", type=Path, help="genesis (default: that of --dir)")


def run(arguments: argparse.Namespace) -> int:
    """Export one ledger."""
    directory = NetworkDirectory(arguments.dir)
    genesis, _ = console.read_genesis(arguments.genesis or directory.genesis)
    names = [site.name for site in genesis.sites]
    if arguments.site not in names:
        raise LocalError("SITE_UNKNOWN", f"choose among {', '.join(names)}", field="SITE")
    exported = asyncio.run(_export(genesis, names.index(arguments.site), arguments.file))
    document = {"entries": exported.size, "root": exported.root.hex(), "file": str(arguments.file)}
    lines = [f"{name:<8} {value}" for name, value in document.items()]
    console.emit(arguments, document, lines)
    return Exit.OK


async def _export(genesis: Genesis, site: int, path: Path) -> Exported:
    async with Observer(genesis) as observer:
        return await export_ledger(observer, site, path)
