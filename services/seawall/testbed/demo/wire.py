"""Raw submissions: what a contributor's library would never send, and what sites answer."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import grpc.aio
import msgspec

from seawall.api.v1 import ingestion_pb2, ingestion_pb2_grpc, types_pb2
from seawall.client import Prepared
from seawall.crypto.hashing import sha256
from seawall.crypto.signing import SigningKey
from seawall.errors import PeerError
from seawall.formats import dsse, submission
from seawall.formats.admission import ENVELOPE_SIZE_BYTES_MAX
from seawall.formats.submission import Submission
from seawall.runtime.status import error_from

ANSWER_SECONDS_MAX: Final = 20.0
REFUSED: Final = "REFUSED"
COMMITTED: Final = "COMMITTED"

_ENDS: Final = {
    types_pb2.UPDATE_STAGE_REFUSED: REFUSED,
    types_pb2.UPDATE_STAGE_COMMITTED: COMMITTED,
    types_pb2.UPDATE_STAGE_AGGREGATED: COMMITTED,
}


class Answer(msgspec.Struct, frozen=True):
    """What became of one submission: a stage, or the code of its refusal."""

    verdict: str
    field: str = ""


async def submit(channel: grpc.aio.Channel, updates: Sequence[Prepared]) -> list[Answer]:
    """Send updates on one stream; return the end of each: COMMITTED, or a refusal's code.

    A stream that the site ends answers for all that are open, with the code of its error.
    """
    stub: Any = ingestion_pb2_grpc.IngestionServiceStub(channel)
    answers: dict[int, Answer] = {}
    done = asyncio.Event()

    async def requests() -> AsyncIterator[ingestion_pb2.IngestionServiceSubmitRequest]:
        for number, update in enumerate(updates):
            whole = ingestion_pb2.WholeUpdate(
                number=number,
                envelope=update.envelope,
                provenance=update.provenance,
                payload=update.payload,
            )
            yield ingestion_pb2.IngestionServiceSubmitRequest(updates=[whole])
        await done.wait()

    fault = "NO_ANSWER"
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            async for response in stub.Submit(requests()):
                for event in response.events:
                    if event.stage in _ENDS:
                        verdict = event.refusal.code or _ENDS[event.stage]
                        answers.setdefault(event.number, Answer(verdict, event.refusal.field))
                if len(answers) == len(updates):
                    done.set()
                    break
    except grpc.aio.AioRpcError as failure:
        fault = error_from(failure).code
    except TimeoutError:
        pass
    finally:
        done.set()
    return [answers.get(number, Answer(fault)) for number in range(len(updates))]


def resealed(update: Prepared, key: SigningKey, **changes: object) -> Prepared:
    """Return an update whose submission says something else, signed again by `key`."""
    claim = msgspec.structs.replace(claim_of(update), **changes)
    return with_envelope(update, dsse.encode(submission.seal(claim, key)))


def with_envelope(update: Prepared, envelope: bytes) -> Prepared:
    """Return an update in another envelope."""
    return msgspec.structs.replace(update, envelope=envelope)


def with_payload(update: Prepared, payload: bytes) -> Prepared:
    """Return an update with other bytes than those that were signed."""
    return msgspec.structs.replace(update, payload=payload)


def claim_of(update: Prepared) -> Submission:
    """Return the submission of an update of ours."""
    envelope = dsse.decode(update.envelope, size_max=ENVELOPE_SIZE_BYTES_MAX)
    return submission.from_payload(envelope.payload)


def identity_of(update: Prepared) -> str:
    """Return the update id of whatever its envelope carries, empty when it carries nothing."""
    try:
        envelope = dsse.decode(update.envelope, size_max=1 << 24)
    except PeerError:
        return ""
    return sha256(envelope.payload).hex()
