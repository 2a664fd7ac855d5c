"""After a run: every acknowledged update is looked up at a site that did not acknowledge it."""

from collections.abc import Callable, Iterable
from typing import Final, Protocol

import grpc

from loadtest.over_grpc import code_of
from loadtest.tally import Acknowledged, Tally
from seawall.errors import PeerError
from seawall.formats.receipt import ReceiptVerifier, with_envelope

WAIT_MS: Final = 10_000
ABSENT: Final = ("RECEIPT_PENDING", "RECEIPT_UNKNOWN")


class Receipts(Protocol):
    """Where receipts are asked for."""

    def receipt(self, site: int, update_id: bytes, wait_ms: int) -> bytes:
        """Return the receipt of an update at one site."""
        ...


Spread = Callable[[Callable[[Acknowledged], None], Iterable[Acknowledged]], object]
"""Calls a function with each of many, several at a time."""


def look_up(tally: Tally, receipts: Receipts, genesis: bytes, spread: Spread) -> None:
    """Complete a tally by what other sites can prove."""
    verifier = ReceiptVerifier(genesis)

    def check(one: Acknowledged) -> None:
        other = (one.item.site + 1 + one.item.serial) % tally.plan.sites
        if other == one.item.site:
            other = (other + 1) % tally.plan.sites
        fault = fault_of(receipts, verifier, one, other)
        if fault:
            tally.lost[one.update_id.hex()] = fault
        else:
            tally.verified += 1

    def find(one: Acknowledged) -> None:
        try:
            receipts.receipt(one.item.site, one.update_id, 0)
        except grpc.RpcError as failure:
            if code_of(failure) in ABSENT:
                return
            raise
        tally.found += 1

    spread(check, tally.acknowledged)
    spread(find, tally.unanswered)


def fault_of(
    receipts: Receipts, verifier: ReceiptVerifier, one: Acknowledged, site: int
) -> str | None:
    """Return why an update is not proven at a site, None when it is."""
    try:
        document = receipts.receipt(site, one.update_id, WAIT_MS)
        proven = verifier.verify(with_envelope(document, one.envelope))
    except grpc.RpcError as failure:
        return code_of(failure)
    except PeerError as failure:
        return failure.code
    if proven.update.update_id != one.update_id.hex() or proven.index != one.entry_index:
        return "OTHER_ENTRY"
    return None
