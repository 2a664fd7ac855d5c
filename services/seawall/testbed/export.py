"""Copies what a chain has made public into files: ledgers, checkpoints, payloads.

genesis.json, ledgers/<site>.jsonl with one entry a line, ledgers/<site>.note with the checkpoint
that covers exactly these, payloads/<digest>.safetensors, receipts/<update id>.json. An auditor
needs nothing else.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc.aio

from seawall.api.v1 import ledger_pb2, ledger_pb2_grpc
from seawall.crypto.hashing import sha256
from seawall.domain.genesis import Genesis
from seawall.errors import OperationalError
from seawall.formats.checkpoint import parse_body
from seawall.formats.signed_note import parse
from seawall.runtime.service import LEDGER
from seawall.runtime.status import error_from
from seawall.testbed.observer import Observer

EXPORT_SECONDS_MAX: Final = 60.0
PAYLOAD_SECONDS_MAX: Final = 20.0
PAYLOADS_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """One exported ledger: its entries, and size and root of the checkpoint over them."""

    entries: tuple[bytes, ...]
    size: int
    root: bytes


async def export_ledger(observer: Observer, site: int, path: Path) -> Exported:
    """Write the entries under a site's newest checkpoint to `path`, the note beside it.

    Raises:
        OperationalError: RPC_*, or LEDGER_EMPTY before the first checkpoint.

    """
    stub: Any = ledger_pb2_grpc.LedgerServiceStub(observer.channel(site, LEDGER))
    try:
        async with asyncio.timeout(EXPORT_SECONDS_MAX):
            answer = await stub.Checkpoint(ledger_pb2.CheckpointRequest())
            if not answer.note:
                raise OperationalError("LEDGER_EMPTY", "there is no checkpoint yet: wait a moment")
            checkpoint = parse_body(parse(answer.note.encode()).text)
            entries: list[bytes] = []
            request = ledger_pb2.EntriesRequest(start=0, limit=checkpoint.size)
            async for part in stub.Entries(request):
                entries.extend(part.entries)
    except grpc.aio.AioRpcError as failure:
        raise error_from(failure) from failure
    except TimeoutError as fault:
        raise OperationalError("RPC_DEADLINE", "the site is too slow to export") from fault
    kept = tuple(entries[: checkpoint.size])
    _write(path, b"".join(entry + b"\n" for entry in kept))
    _write(path.with_suffix(".note"), answer.note.encode())
    return Exported(entries=kept, size=checkpoint.size, root=checkpoint.root)


async def export_chain(
    observer: Observer, genesis: Genesis, genesis_bytes: bytes, home: Path
) -> Mapping[str, Exported]:
    """Write genesis, every site's ledger, and the payloads that versions are made of.

    Raises:
        OperationalError: as `export_ledger`; RPC_FAILED when nobody has a payload.

    """
    _write(home / "genesis.json", genesis_bytes)
    ledgers = {}
    for index, site in enumerate(genesis.sites):
        path = home / "ledgers" / f"{site.name}.jsonl"
        ledgers[site.name] = await export_ledger(observer, index, path)
    longest = max(ledgers.values(), key=lambda one: one.size)
    digests = payloads_of(longest.entries, genesis)
    gate = asyncio.Semaphore(PAYLOADS_AT_ONCE)
    async with asyncio.TaskGroup() as group:
        for digest in digests:
            group.create_task(_export_payload(observer, len(genesis.sites), digest, home, gate))
    return ledgers


def payloads_of(entries: Iterable[bytes], genesis: Genesis) -> Sequence[str]:
    """Return the digests of base models, selected updates, root updates and versions, sorted."""
    found = {task.base_payload_digest.hex(): None for task in genesis.tasks}
    updates: dict[str, str] = {}
    for data in entries:
        entry = json.loads(data)
        spec = entry["spec"]
        if entry["kind"] == "update":
            updates[spec["updateId"]] = spec["payload"]
        elif entry["kind"] == "cut":
            found.update({one["payload"]: None for one in spec["updates"]})
            if spec["root"]:
                found[updates[spec["root"]]] = None
        elif entry["kind"] == "version":
            found[spec["payload"]] = None
    return sorted(found)


async def _export_payload(
    observer: Observer, sites: int, digest: str, home: Path, gate: asyncio.Semaphore
) -> None:
    async with gate:
        for site in range(sites):
            data = await _payload_at(observer, site, bytes.fromhex(digest))
            if data is not None:
                _write(home / "payloads" / f"{digest}.safetensors", data)
                return
    raise OperationalError("RPC_FAILED", "no site has a payload that a version is made of")


async def _payload_at(observer: Observer, site: int, digest: bytes) -> bytes | None:
    """Return a payload from one site, or None when it has not got it."""
    stub: Any = ledger_pb2_grpc.LedgerServiceStub(observer.channel(site, LEDGER))
    try:
        async with asyncio.timeout(PAYLOAD_SECONDS_MAX):
            request = ledger_pb2.GetPayloadRequest(payload_digest=digest)
            chunks = [part.chunk.data async for part in stub.GetPayload(request)]
    except (grpc.aio.AioRpcError, TimeoutError):
        return None
    data = b"".join(chunks)
    return data if sha256(data) == digest else None


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
