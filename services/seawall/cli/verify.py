"""Check a receipt offline: no site is asked, and nothing is trusted but the genesis you name."""

import argparse
from pathlib import Path

from seawall.cli import console
from seawall.cli.console import Exit
from seawall.formats.genesis import GENESIS_SIZE_BYTES_MAX
from seawall.formats.receipt import RECEIPT_BYTES_MAX, Verified, verify_receipt

PAYLOAD_BYTES_MAX = 1 << 40


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("receipt", type=Path, metavar="RECEIPT", help="receipt, JSON")
    parser.add_argument(
        "payload", type=Path, nargs="?", metavar="PAYLOAD", help="the update's safetensors file"
    )
    console.add_directory(parser)
    parser.add_argument(
        "--genesis", type=Path, help="genesis of the chain that you trust (default: that of --dir)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Verify, and say what the receipt proves."""
    genesis_path = arguments.genesis or arguments.dir / "genesis.json"
    genesis = console.read_file(genesis_path, GENESIS_SIZE_BYTES_MAX)
    document = console.read_file(arguments.receipt, RECEIPT_BYTES_MAX)
    payload = None
    if arguments.payload is not None:
        payload = console.read_file(arguments.payload, PAYLOAD_BYTES_MAX)
    proven = verify_receipt(document, genesis, payload)
    facts = facts_of(proven, with_payload=payload is not None)
    lines = [f"{name:<12} {value}" for name, value in facts.items()]
    console.emit(arguments, {"valid": True, **facts}, ["valid", *lines])
    return Exit.OK


def facts_of(proven: Verified, *, with_payload: bool) -> dict[str, object]:
    """Return what a receipt proves, by name."""
    update = proven.update
    facts: dict[str, object] = {
        "chain": proven.checkpoint.origin,
        "update": update.update_id,
        "contributor": f"{proven.contributor.name} ({update.contributor})",
        "task": update.task,
        "base": f"v{update.base_version}",
        "entry": f"{proven.index} of {proven.checkpoint.size}",
        "commit": update.commit,
        "signed": "by its contributor" if proven.submission is not None else "no envelope here",
        "payload": f"{update.payload}{', the same bytes' if with_payload else ', not compared'}",
    }
    if proven.dropped is not None:
        facts["outcome"] = f"dropped: {proven.dropped}"
    elif proven.version is not None:
        facts["outcome"] = f"in version {proven.version.version}, {proven.version.status}"
    elif proven.cut is not None:
        facts["outcome"] = f"selected for version {proven.cut.version}"
    else:
        facts["outcome"] = "committed"
    return facts
