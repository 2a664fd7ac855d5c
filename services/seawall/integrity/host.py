"""What integrity asks of other sites: the payloads of their batches."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from seawall.api.v1 import ledger_pb2, ledger_pb2_grpc
from seawall.errors import PeerError
from seawall.formats.admission import AdmittedUpdate
from seawall.runtime.ledger_client import Piece, read_chunks
from seawall.runtime.service import LEDGER, Channels


class Peers:
    """The ledgers of other sites, as sources of payloads."""

    def __init__(self, channels: Channels, *, chunk_seconds_max: float) -> None:
        """Open nothing yet; channels are opened when they are first used."""
        self._channels = channels
        self._chunk_seconds_max = chunk_seconds_max

    async def pull(self, update: AdmittedUpdate, site: int) -> AsyncGenerator[Piece, None]:
        """Yield the chunks of a payload at `site`; nobody has hashed them yet.

        Raises:
            PeerError: CHUNK_ORDER, INCOMPLETE, PAYLOAD_UNKNOWN.
            OperationalError: RPC_*, DEADLINE.

        """
        claim, expected = update.submission, update.chunk_digests
        stub = ledger_pb2_grpc.LedgerServiceStub(self._channels.to(LEDGER, site))
        request = ledger_pb2.GetPayloadRequest(payload_digest=claim.payload_digest)
        at = 0
        async with aclosing(read_chunks(stub, request, self._chunk_seconds_max)) as chunks:
            async for chunk in chunks:
                if chunk.index != at or at == len(expected):
                    raise PeerError("CHUNK_ORDER", "send the chunks in order", field="payload")
                digest = claim.payload_digest
                yield Piece(digest, claim.payload_size, at, expected[at], chunk.data)
                at += 1
        if at != len(expected):
            raise PeerError("INCOMPLETE", "send every chunk", field="payload")
