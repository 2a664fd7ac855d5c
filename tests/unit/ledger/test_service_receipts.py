"""Receipts as the ledger role issues them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from seawall.api.v1 import ledger_pb2 as pb
from seawall.domain.block import UpdateRecord
from seawall.domain.commit import Judgement
from seawall.formats import entry as entries
from seawall.formats import genesis as genesis_format
from seawall.formats.receipt import Verified, verify_receipt
from tests.unit.ledger.chain import block, delivery, digest, record, verdict
from tests.unit.ledger.site import (
    append_all,
    running,
)
from tests.unit.ledger.wire import (
    GENESIS,
    RECORDS,
    UPDATES,
    Chain,
    Stub,
    code_of,
    three_commits,
)

GENESIS_BYTES = genesis_format.encode(GENESIS)


@pytest.fixture
async def stub(tmp_path: Path) -> AsyncIterator[Stub]:
    async with running(GENESIS, tmp_path) as made:
        yield made


async def receipt(stub: Stub, update: UpdateRecord, **options: object) -> Verified:
    request = pb.ReceiptRequest(update_id=update.update_id, **options)  # type: ignore[arg-type]  # its fields
    answer = await stub.Receipt(request)
    return verify_receipt(answer.document, GENESIS_BYTES, None)


async def test_receipts_verify_offline(stub: Stub) -> None:
    chain = three_commits()
    await append_all(stub, chain.requests)
    update, envelope, payload = UPDATES[0]
    assert (await receipt(stub, update)).submission is None
    stored = pb.StoredSubmission(update_id=update.update_id, envelope=envelope)
    await stub.PutSubmission(pb.PutSubmissionRequest(submissions=[stored]))
    answer = await stub.Receipt(
        pb.ReceiptRequest(update_id=update.update_id, aggregated=True, wait_ms=10)
    )
    verified = verify_receipt(answer.document, GENESIS_BYTES, payload)
    assert verified.submission is not None
    assert verified.version is not None
    assert (verified.version.version, verified.version.payload) == (1, digest("v1").hex())
    assert isinstance(verified.cut, entries.CutEntry)


async def test_who_waits_for_a_receipt_is_woken_by_the_checkpoint(stub: Stub) -> None:
    chain = three_commits()
    waiting = [
        asyncio.ensure_future(receipt(stub, one, wait_ms=30_000, aggregated=aggregated))
        for one in RECORDS
        for aggregated in (False, True)
    ]
    gone = stub.Receipt(pb.ReceiptRequest(update_id=RECORDS[0].update_id, wait_ms=30_000))
    await asyncio.sleep(0)
    gone.cancel()
    await append_all(stub, chain.requests[:3])
    assert not any(one.done() for one in waiting)
    await append_all(stub, chain.requests[3:])
    verified = await asyncio.gather(*waiting)
    assert [one.version is not None for one in verified] == [False, True] * 3


async def test_who_waits_across_a_restart_is_woken_too(tmp_path: Path) -> None:
    chain = three_commits()
    async with running(GENESIS, tmp_path) as stub:
        await append_all(stub, chain.requests[:3])
    async with running(GENESIS, tmp_path) as stub:
        waiting = asyncio.ensure_future(receipt(stub, RECORDS[0], wait_ms=30_000))
        await asyncio.sleep(0)
        await append_all(stub, chain.requests[3:])
        assert (await waiting).index > 0


async def test_receipts_that_do_not_exist_say_why(stub: Stub) -> None:
    not_found = grpc.StatusCode.NOT_FOUND
    ask = pb.ReceiptRequest(update_id=RECORDS[0].update_id, wait_ms=1)
    assert await code_of(stub.Receipt(ask)) == ("RECEIPT_UNKNOWN", not_found)
    stored = pb.StoredSubmission(update_id=RECORDS[0].update_id, envelope=UPDATES[0][1])
    await stub.PutSubmission(pb.PutSubmissionRequest(submissions=[stored]))
    assert await code_of(stub.Receipt(ask)) == ("RECEIPT_PENDING", not_found)
    chain = Chain()
    chain.commit(block(0, RECORDS), rejected=[record(1, 5000)])
    await append_all(stub, chain.requests)
    assert await code_of(stub.Receipt(ask)) == ("RECEIPT_PENDING", not_found)
    refused = pb.ReceiptRequest(update_id=record(1, 5000).update_id)
    assert await code_of(stub.Receipt(refused)) == ("RECEIPT_PENDING", not_found)
    chain.certify()
    await append_all(stub, chain.requests[1:])
    assert (await code_of(stub.Receipt(refused)))[0] == "VERDICT_OUTVOTED"
    waiting = pb.ReceiptRequest(update_id=RECORDS[0].update_id, aggregated=True)
    assert await code_of(stub.Receipt(waiting)) == ("RECEIPT_PENDING", not_found)
    bad = pb.ReceiptRequest(update_id=b"x")
    assert (await code_of(stub.Receipt(bad)))[0] == "RPC_DIGEST"


async def test_the_receipt_of_an_undecided_update_is_still_awaited(stub: Stub) -> None:
    chain = Chain()
    undecided = verdict(Judgement.REJECT, RECORDS[0], rule=4)
    chain.append(delivery(1, verdicts=[undecided]))
    chain.certify()
    await append_all(stub, chain.requests)
    waiting = asyncio.ensure_future(receipt(stub, RECORDS[0], wait_ms=30_000))
    await asyncio.sleep(0)
    chain.commit(block(0, RECORDS[:1]))
    chain.certify()
    await append_all(stub, chain.requests[2:])
    assert (await waiting).update.taint == ()


async def test_the_receipt_of_a_tainted_update_ends_with_its_entry(stub: Stub) -> None:
    chain = Chain()
    tainted = record(1, 2, expires=0)
    chain.commit(block(0, [tainted]))
    chain.certify()
    await append_all(stub, chain.requests)
    verified = await receipt(stub, tainted, aggregated=True)
    assert verified.update.taint == ("REPLAY_EXPIRED",)
    assert (verified.version, verified.dropped) == (None, None)


async def test_a_dropped_update_has_a_receipt_that_says_so(stub: Stub) -> None:
    chain = Chain()
    old = record(1, 2)
    chain.commit(block(0, [*RECORDS, record(1, 3), old]))
    chain.commit()
    chain.certify()
    await append_all(stub, chain.requests)
    verified = await receipt(stub, old, aggregated=True)
    assert verified.dropped == "SUPERSEDED"
