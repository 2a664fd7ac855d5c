"""What must hold after any fault, read from every site: nothing lost, no fork, one history."""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc.aio

from seawall.api.v1 import ledger_pb2, ledger_pb2_grpc
from seawall.crypto.merkle import Frontier, leaf_hash
from seawall.errors import SeawallError
from seawall.formats.receipt import ReceiptVerifier
from seawall.runtime.service import LEDGER
from seawall.testbed.export import Exported
from seawall.testbed.observer import Observer

RECEIPTS_AT_ONCE = 16
RECEIPT_SECONDS_MAX = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found wrong; all empty is as it must be.

    Attributes:
        lost: acknowledged updates for which a site has no receipt that verifies: site, update
            and the reason.
        forks: sites whose entries differ from those of the longest ledger.
        digests: commits of which two sites name different digests.
        heads: tree heads that some site has named and that the longest ledger does not have.

    """

    lost: tuple[tuple[str, str, str], ...] = ()
    forks: tuple[str, ...] = ()
    digests: tuple[int, ...] = ()
    heads: tuple[tuple[int, str], ...] = ()

    @property
    def clean(self) -> bool:
        """Tell whether nothing is wrong."""
        return not (self.lost or self.forks or self.digests or self.heads)


async def judge(
    observer: Observer,
    genesis_bytes: bytes,
    names: Mapping[int, str],
    acknowledged: Iterable[str],
    ledgers: Mapping[str, Exported],
    heads: Iterable[tuple[int, str]] = (),
) -> Findings:
    """Return what is wrong with the sites of these indices and names.

    They must be level, so that each can prove what it holds.
    """
    verifier = ReceiptVerifier(genesis_bytes)
    gate = asyncio.Semaphore(RECEIPTS_AT_ONCE)
    wanted = list(acknowledged)
    questions = [
        _lost(observer, verifier, site, name, update, gate)
        for site, name in names.items()
        for update in wanted
    ]
    answers = await asyncio.gather(*questions)
    entries = {name: one.entries for name, one in ledgers.items()}
    return Findings(
        lost=tuple(one for one in answers if one is not None),
        forks=forks(entries),
        digests=disagreements(entries),
        heads=strange_heads(max(entries.values(), key=len), heads),
    )


async def _lost(
    observer: Observer,
    verifier: ReceiptVerifier,
    site: int,
    name: str,
    update: str,
    gate: asyncio.Semaphore,
) -> tuple[str, str, str] | None:
    """Return why a site cannot prove an update, None when it can."""
    stub: Any = ledger_pb2_grpc.LedgerServiceStub(observer.channel(site, LEDGER))
    request = ledger_pb2.ReceiptRequest(update_id=bytes.fromhex(update))
    async with gate:
        try:
            async with asyncio.timeout(RECEIPT_SECONDS_MAX):
                document = (await stub.Receipt(request)).document
            proven = verifier.verify(document)
        except grpc.aio.AioRpcError as failure:
            return name, update, str(failure.details())
        except TimeoutError:
            return name, update, "no answer in time"
        except SeawallError as failure:
            return name, update, failure.code
    return None if proven.update.update_id == update else (name, update, "of another update")


def forks(ledgers: Mapping[str, Sequence[bytes]]) -> tuple[str, ...]:
    """Return the sites whose entries are not the beginning of the longest ledger."""
    longest = max(ledgers.values(), key=len)
    return tuple(
        name
        for name, entries in ledgers.items()
        if tuple(entries) != tuple(longest[: len(entries)])
    )


def disagreements(ledgers: Mapping[str, Sequence[bytes]]) -> tuple[int, ...]:
    """Return the commits to which ledgers give different digests, by their index."""
    seen: dict[int, str] = {}
    found: dict[int, None] = {}
    for entries in ledgers.values():
        for data in entries:
            if b'"kind":"commit"' not in data:
                continue
            entry = json.loads(data)
            if entry["kind"] != "commit":
                continue
            index, digest = int(entry["spec"]["index"]), entry["spec"]["digest"]
            if seen.setdefault(index, digest) != digest:
                found[index] = None
    return tuple(sorted(found))


def convicted(entries: Iterable[bytes]) -> tuple[str, ...]:
    """Return the sites of which a ledger says that they signed two blocks of one round."""
    found = [json.loads(data) for data in entries if b'"kind":"twins"' in data]
    return tuple(one["spec"]["subject"] for one in found if one["kind"] == "evidence")


def strange_heads(
    entries: Sequence[bytes], heads: Iterable[tuple[int, str]]
) -> tuple[tuple[int, str], ...]:
    """Return the heads, size and root in hex, that are no earlier state of this ledger.

    Heads of more entries than there are cannot be judged; the longest ledger has none.
    """
    wanted: dict[int, list[str]] = {}
    for size, root in heads:
        wanted.setdefault(size, []).append(root)
    found: list[tuple[int, str]] = []
    tree = Frontier()
    for entry in entries:
        tree.append(leaf_hash(entry))
        if tree.size in wanted:
            root = tree.root().hex()
            found.extend((tree.size, other) for other in wanted[tree.size] if other != root)
    return tuple(found)
