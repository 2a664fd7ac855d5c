"""Integrity over gRPC: batches in, words on them out; receipts; the list of checks."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from seawall.api.v1 import integrity_pb2, integrity_pb2_grpc
from seawall.errors import PeerError, SeawallError
from seawall.formats import genesis as genesis_format
from seawall.formats.receipt import RECEIPT_BYTES_MAX, verify_receipt
from seawall.integrity.attest import Attester, Offered, OfferedBatch, Outcome
from seawall.integrity.checks import CHECKS
from seawall.integrity.config import IntegritySettings
from seawall.runtime.service import Context
from seawall.runtime.status import AnyContext, abort, refusal
from seawall.runtime.tls import Callers


class IntegrityServicer(integrity_pb2_grpc.IntegrityServiceServicer):
    """Requests of other roles and sites."""

    def __init__(self, context: Context, attester: Attester, settings: IntegritySettings) -> None:
        """Serve what `attester` says."""
        self._genesis = genesis_format.encode(context.genesis)
        self._site = context.site
        self._updates_max = context.genesis.admission.batch_updates_max
        self._callers = Callers(context.genesis, context.site)
        self._attester = attester
        self._settings = settings
        self._streams = 0

    async def Attest(  # type: ignore[override]  # noqa: N802 - a coroutine that writes; gRPC's name
        self, request_iterator: AsyncIterator[integrity_pb2.AttestRequest], context: AnyContext
    ) -> None:
        """Answer each batch once, in any order."""
        caller = self._callers.site_of(context)
        if caller is None:
            hint = "dial the peer port with the certificate of a site"
            await abort(context, PeerError("CALLER_NOT_ALLOWED", hint))
        if self._streams >= self._settings.streams_max:
            hint = "close streams that you do not need"
            await abort(context, PeerError("QUOTA_STREAMS", hint))
        self._streams += 1
        try:
            await self._answer_all(request_iterator, context, caller)
        except* SeawallError as failures:
            failure = failures.exceptions[0]
            assert isinstance(failure, SeawallError), "raised directly in the group"
        else:
            return
        finally:
            self._streams -= 1
        await abort(context, failure)

    async def VerifyReceipt(  # noqa: N802 - gRPC's name
        self, request: integrity_pb2.VerifyReceiptRequest, context: AnyContext
    ) -> integrity_pb2.VerifyReceiptResponse:
        """Check a receipt against genesis alone."""
        if len(request.document) > RECEIPT_BYTES_MAX:
            hint = f"a receipt has at most {RECEIPT_BYTES_MAX} bytes"
            await abort(context, PeerError("TOO_LARGE", hint, field="document"))
        try:
            verify_receipt(request.document, self._genesis, None)
        except PeerError as fault:
            return integrity_pb2.VerifyReceiptResponse(refusal=refusal(fault))
        return integrity_pb2.VerifyReceiptResponse(valid=True)

    async def Describe(  # noqa: N802 - gRPC's name
        self, request: integrity_pb2.DescribeRequest, context: AnyContext
    ) -> integrity_pb2.DescribeResponse:
        """Return the checks in the order in which they run."""
        del request, context
        return integrity_pb2.DescribeResponse(
            checks=[
                integrity_pb2.CheckDescription(
                    name=check.name, stage=check.stage, codes=check.codes
                )
                for check in CHECKS
            ]
        )

    async def _answer_all(
        self,
        requests: AsyncIterator[integrity_pb2.AttestRequest],
        context: AnyContext,
        caller: int,
    ) -> None:
        """Work on several batches of a stream at once."""
        slots = asyncio.Semaphore(self._settings.batches_in_flight_max)
        writing = asyncio.Lock()

        async def answer(batch: OfferedBatch) -> None:
            try:
                outcome = await self._attester.attest(batch)
                async with writing:
                    await context.write(self._response(batch.number, outcome))
            finally:
                slots.release()

        async with asyncio.TaskGroup() as group:
            async for request in requests:
                batch = self._batch(request, caller)
                await slots.acquire()
                group.create_task(answer(batch))

    def _batch(self, request: integrity_pb2.AttestRequest, caller: int) -> OfferedBatch:
        """Return a request as a batch.

        Raises:
            PeerError: CALLER_SITE, BATCH_SIZE.

        """
        if request.site != caller:
            raise PeerError("CALLER_SITE", "a site asks for its own batches only", field="site")
        if not 1 <= len(request.items) <= self._updates_max:
            hint = f"a batch has 1 to {self._updates_max} updates"
            raise PeerError("BATCH_SIZE", hint, field="items")
        return OfferedBatch(
            site=request.site,
            number=request.batch_number,
            pinned_height=request.pinned_height,
            updates=tuple(
                Offered(item.envelope, item.manifest, item.provenance, item.payload)
                for item in request.items
            ),
        )

    def _response(self, number: int, outcome: Outcome) -> integrity_pb2.AttestResponse:
        """Return an outcome as a message."""
        response = integrity_pb2.AttestResponse(
            batch_number=number,
            author=self._site,
            signature=outcome.signature,
            later=outcome.later,
        )
        for item in sorted(outcome.refused):
            response.refused.add(item=item, refusal=refusal(outcome.refused[item]))
        return response


def register(servicer: IntegrityServicer, server: Any) -> None:  # noqa: ANN401 - any of gRPC's servers
    """Add the servicer to a server."""
    integrity_pb2_grpc.add_IntegrityServiceServicer_to_server(servicer, server)
