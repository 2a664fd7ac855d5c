"""Fetching receipts: every one is verified offline before the caller gets it."""

import asyncio
from typing import Final

from seawall.api.v1 import ledger_pb2
from seawall.client.chain import Chain
from seawall.client.links import Link, Links
from seawall.client.values import Prepared
from seawall.errors import PeerError
from seawall.formats.receipt import verify_receipt, with_envelope

WAIT_MS_MAX: Final = 10_000
"""Longest time for which one site is asked to wait."""


async def fetch_receipt(
    chain: Chain, links: Links, prepared: Prepared, *, aggregated: bool
) -> bytes:
    """Return the verified receipt of an update, as soon as a site can prove it.

    Runs until there is one; the caller bounds the time.
    """
    request = ledger_pb2.ReceiptRequest(
        update_id=prepared.update_id, wait_ms=WAIT_MS_MAX, aggregated=aggregated
    )

    async def question(link: Link) -> bytes:
        document = (await link.ledger.Receipt(request)).document
        return await asyncio.to_thread(_check, chain, document, prepared)

    while True:
        try:
            return await links.ask(question, seconds=2 * WAIT_MS_MAX / 1000, every_fault=True)
        except PeerError as fault:
            if fault.code not in ("RECEIPT_PENDING", "RECEIPT_UNKNOWN"):
                raise
        await asyncio.sleep(0.2)


def _check(chain: Chain, document: bytes, prepared: Prepared) -> bytes:
    """Return a receipt with our own envelope in it, after verifying that it is of this update."""
    whole = with_envelope(document, prepared.envelope)
    proven = verify_receipt(whole, chain.data, prepared.payload)
    if proven.update.update_id != prepared.update_id.hex():
        raise PeerError("RECEIPT_UPDATE", "show the receipt of the update that was asked for")
    return whole
