"""Fetch the receipt of an update from a site, verify it, and write it to a file."""

import argparse
import asyncio
from pathlib import Path
from typing import Any

import grpc.aio

from seawall.api.v1 import ledger_pb2, ledger_pb2_grpc
from seawall.cli import console
from seawall.cli.console import Exit
from seawall.cli.verify import facts_of
from seawall.domain.genesis import Genesis
from seawall.errors import LocalError, OperationalError, SeawallError
from seawall.formats.genesis import GENESIS_SIZE_BYTES_MAX
from seawall.formats.receipt import verify_receipt
from seawall.runtime.service import LEDGER
from seawall.runtime.status import error_from
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.observer import Observer

DIGITS = 64


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "update", nargs="?", metavar="UPDATE", help="update id; the newest submitted from --dir"
    )
    console.add_directory(parser)
    parser.add_argument("--genesis", type=Path, help="genesis (default: that of --dir)")
    parser.add_argument("--aggregated", action="store_true", help="prove its version, too")
    parser.add_argument("--wait", type=float, default=10.0, help="seconds (default: 10)")
    parser.add_argument("--receipt", type=Path, default=Path("receipt.json"), help="where to write")


def run(arguments: argparse.Namespace) -> int:
    """Ask the sites one after the other until one has a receipt that holds."""
    directory = NetworkDirectory(arguments.dir)
    path = arguments.genesis or directory.genesis
    genesis, _ = console.read_genesis(path)
    update_id = _update_id(arguments, directory)
    request = ledger_pb2.ReceiptRequest(
        update_id=update_id,
        wait_ms=min(60_000, max(0, int(1000 * arguments.wait))),
        aggregated=arguments.aggregated,
    )
    document = asyncio.run(_fetch(genesis, request))
    proven = verify_receipt(document, console.read_file(path, GENESIS_SIZE_BYTES_MAX), None)
    arguments.receipt.write_bytes(document)
    facts = {**facts_of(proven, with_payload=False), "receipt": str(arguments.receipt)}
    console.emit(arguments, facts, [f"{name:<12} {value}" for name, value in facts.items()])
    return Exit.OK


async def _fetch(genesis: Genesis, request: ledger_pb2.ReceiptRequest) -> bytes:
    fault: SeawallError = OperationalError("RPC_UNAVAILABLE", "no site answers")
    async with Observer(genesis) as observer:
        for site in range(len(genesis.sites)):
            stub: Any = ledger_pb2_grpc.LedgerServiceStub(observer.channel(site, LEDGER))
            try:
                answer = await stub.Receipt(request, timeout=request.wait_ms / 1000 + 5.0)
            except grpc.aio.AioRpcError as failure:
                fault = error_from(failure)
            else:
                return bytes(answer.document)
    raise fault


def _update_id(arguments: argparse.Namespace, directory: NetworkDirectory) -> bytes:
    """Return the update that is asked for, or the newest one."""
    text: str | None = arguments.update
    if text is None:
        kept = sorted(directory.receipts.glob("*.json"), key=lambda path: path.stat().st_mtime)
        if not kept:
            raise LocalError("CLI_ARGUMENTS", "name an update: none was submitted from here")
        text = kept[-1].stem
    try:
        update_id = bytes.fromhex(text)
    except ValueError:
        update_id = b""
    if len(text) != DIGITS or len(update_id) != DIGITS // 2:
        raise LocalError("CLI_ARGUMENTS", "an update id is 64 hex digits", field="UPDATE")
    return update_id
