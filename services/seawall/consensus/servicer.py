"""`ConsensusService` over gRPC: the way in for this site's services and for other validators."""

from collections.abc import AsyncIterator

import grpc.aio

from seawall.api.v1 import consensus_pb2, consensus_pb2_grpc
from seawall.codec.records import update_id_at
from seawall.consensus.engine import Finality, Submitted
from seawall.consensus.host import ConsensusHost
from seawall.consensus.links import AnsweringStream
from seawall.consensus.messages import decode_batch
from seawall.errors import PeerError, SeawallError
from seawall.runtime import status
from seawall.runtime.tls import Callers

SUBMIT_ITEMS_MAX = 64
"""Batches and transactions in one submit message."""


class ConsensusServicer(consensus_pb2_grpc.ConsensusServiceServicer):
    """Answers for one host."""

    def __init__(self, host: ConsensusHost) -> None:
        """Answer for `host`."""
        self._host = host
        self._callers = Callers(host.context.genesis, host.context.site)

    async def Submit(  # noqa: N802 - the contract's name
        self,
        request_iterator: AsyncIterator[consensus_pb2.ConsensusServiceSubmitRequest],
        context: status.AnyContext,
    ) -> AsyncIterator[consensus_pb2.ConsensusServiceSubmitResponse]:
        """Queue batches and transactions; each message is taken whole or refused whole."""
        del context
        async for request in request_iterator:
            answer = consensus_pb2.ConsensusServiceSubmitResponse(number=request.number)
            try:
                submitted = self._decode(request)
                self._host.pending.check(submitted)
                self._host.submit(submitted)
            except PeerError as fault:
                answer.refusal.CopyFrom(status.refusal(fault))
            yield answer

    def _decode(self, request: consensus_pb2.ConsensusServiceSubmitRequest) -> Submitted:
        if not 0 < len(request.batches) + len(request.transactions) <= SUBMIT_ITEMS_MAX:
            hint = f"hand in 1 to {SUBMIT_ITEMS_MAX} batches and transactions"
            raise PeerError("BATCH_COUNT", hint, field="batches")
        own = self._host.context.site
        return Submitted(
            batches=tuple([decode_batch(batch, own) for batch in request.batches]),
            transactions=tuple(request.transactions),
        )

    async def Blocks(  # type: ignore[override]  # noqa: N802 - the writer style of grpc.aio
        self,
        request_iterator: AsyncIterator[consensus_pb2.BlocksRequest],
        context: status.AnyContext,
    ) -> None:
        """Answer a dialling validator until the link ends."""
        del request_iterator  # read through the context, which costs half
        site = self._callers.site_of(context)
        own = self._host.context.site
        if site is None or site <= own:
            await status.abort(context, self._host.wrong_direction())
        link = self._host.link(AnsweringStream(context), site)
        try:
            await link.run()
        except SeawallError as fault:
            self._host.log.info(
                "link_ended", peer=site, dialled=False, code=fault.code, hint=fault.hint
            )
            await status.abort(context, fault)

    async def FollowFinality(  # noqa: N802 - the contract's name
        self, request: consensus_pb2.FollowFinalityRequest, context: status.AnyContext
    ) -> AsyncIterator[consensus_pb2.FollowFinalityResponse]:
        """Tell what becomes final, until the caller has heard enough."""
        del request
        try:
            with self._host.finality.reader() as reader:
                while True:
                    statements = await reader.take()
                    yield consensus_pb2.FollowFinalityResponse(statements=map(_final, statements))
        except PeerError as fault:
            await status.abort(context, fault)

    async def ConsensusStatus(  # noqa: N802 - the contract's name
        self, request: consensus_pb2.ConsensusStatusRequest, context: status.AnyContext
    ) -> consensus_pb2.ConsensusStatusResponse:
        """Say where the replica stands."""
        del request, context
        host, standing = self._host, self._host.status
        return consensus_pb2.ConsensusStatusResponse(
            author=host.context.site,
            round=standing.round,
            last_proposed_round=standing.last_proposed_round,
            commit_index=standing.commit_index,
            commit_digest=standing.commit_digest,
            certified_index=standing.certified_index,
            suspended_blocks=standing.suspended_blocks,
            connected=sorted(host.links),
            pending_batches=len(host.pending),
            recovering=standing.recovering,
            frame_port=host.frame_port,
            heard=[host.reporting.heard[site] for site in range(host.context.committee.size)],
        )

    def register(self, server: grpc.aio.Server) -> None:
        """Add this servicer to a server."""
        consensus_pb2_grpc.add_ConsensusServiceServicer_to_server(self, server)


def _final(statement: Finality) -> consensus_pb2.FinalStatement:
    """Return a statement with the ids of its updates."""
    records = statement.batch.records_bytes
    return consensus_pb2.FinalStatement(
        block_round=statement.block.round,
        update_ids=[update_id_at(records, position) for position in statement.positions],
    )
