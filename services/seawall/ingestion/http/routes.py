"""What is served at which path, and how it is described in OpenAPI."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from seawall.errors import PeerError
from seawall.formats.oms import CHUNK_SIZE
from seawall.ingestion.http import models
from seawall.ingestion.http.events import MEDIA_TYPE as EVENTS
from seawall.ingestion.http.events import EventStream
from seawall.ingestion.http.models import StageName
from seawall.ingestion.http.parts import Parts
from seawall.ingestion.http.problems import MEDIA_TYPE as PROBLEM
from seawall.ingestion.intake import Whole
from seawall.ingestion.streams import Outbox, settled
from seawall.ingestion.update import MESSAGE_BYTES_MAX, Stage
from seawall.ingestion.watching import watched

JSON: Final = "application/json"
BYTES: Final = "application/octet-stream"

AROUND_BYTES: Final = 4096
"""Room for names and punctuation around the parts of a body."""

UPDATE_BYTES_MAX: Final = MESSAGE_BYTES_MAX // 3 * 4 + AROUND_BYTES
STATEMENTS_BYTES_MAX: Final = UPDATE_BYTES_MAX
WATCHED_MAX: Final = 128
"""Ids in one query; more do not fit into the head of a request."""

RECEIPT_WAIT_MS_MAX: Final = 10_000

ACCEPTED: Final = 202
OK: Final = 200
NO_CONTENT: Final = 204

COMMITTED: Final[dict[int | str, dict[str, Any]]] = {
    OK: {"model": models.UpdateEvent, "description": "Committed already."}
}

router: Final = APIRouter(prefix="/v1", tags=["ingestion"])


def _body(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the description of a body that a handler reads by itself, within bounds."""
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}


def _json_body(model: type[BaseModel]) -> dict[str, Any]:
    return _body(JSON, model.model_json_schema(by_alias=True))


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of what may go wrong; the code says what it was."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": "Refused, with its code.", "content": {PROBLEM: {"schema": schema}}}
        for status in statuses
    }


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


def _answer(model: BaseModel, status: int = OK) -> Response:
    return Response(models.text_of(model), status_code=status, media_type=JSON)


def _told(update: models.UpdateEvent) -> Response:
    """Return the answer to somebody who has sent an update: accepted, or there already."""
    is_there = update.entry_index is not None
    return _answer(update, OK if is_there else ACCEPTED)


@router.post(
    "/updates",
    operation_id="submit",
    summary="Send a whole update.",
    status_code=ACCEPTED,
    response_model=models.UpdateEvent,
    openapi_extra=_json_body(models.WholeUpdate),
    responses={
        **COMMITTED,
        **_problems(400, 403, 404, 408, 409, 411, 413, 415, 422, 429, 503, 504),
    },
)
async def submit(request: Request) -> Response:
    """Answer 202 once the update is durable at this site: keep the bytes until it is committed.

    The same bytes may be sent again, here or elsewhere: that is the same update. 200 says that it
    is committed already.
    """
    parts = _parts(request)
    async with parts.bodies.taking(request, UPDATE_BYTES_MAX) as body:
        sent = models.parse(models.WholeUpdate, body)
        if len(sent.envelope) + len(sent.provenance) + len(sent.payload) > MESSAGE_BYTES_MAX:
            hint = f"a whole update has at most {MESSAGE_BYTES_MAX} bytes: open an upload for more"
            raise PeerError("TOO_LARGE", hint, field="body")
        outbox = Outbox(events_max=len(Stage), until=Stage.RECEIVED)
        whole = Whole(0, sent.envelope, sent.provenance, sent.payload)
        await parts.intake.take([whole], outbox)
        event = await settled(outbox, parts.settings.batch_seconds_max)
    return _told(models.event_of(event))


@router.post(
    "/uploads",
    operation_id="open",
    summary="Start, or resume, an upload.",
    response_model=models.OpenUpload,
    openapi_extra=_json_body(models.NewUpload),
    responses=_problems(400, 403, 404, 408, 409, 411, 413, 415, 429, 503, 504),
)
async def open_upload(request: Request) -> Response:
    """Check everything that can be checked before a tensor byte is read; name what is missing."""
    parts = _parts(request)
    async with parts.bodies.taking(request, STATEMENTS_BYTES_MAX) as body:
        sent = models.parse(models.NewUpload, body)
        upload = await parts.receiving.open(sent.envelope, sent.manifest, sent.provenance)
    return _answer(
        models.OpenUpload(
            upload_id=upload.upload_id.hex(),
            chunk_count=upload.chunk_count,
            missing=list(upload.missing),
            idle_ms_max=int(parts.settings.upload_idle_seconds * 1000),
        )
    )


@router.put(
    "/uploads/{upload_id}/chunks/{index}",
    operation_id="upload",
    summary="Send one chunk.",
    status_code=NO_CONTENT,
    openapi_extra=_body(BYTES, {"type": "string", "format": "binary", "maxLength": CHUNK_SIZE}),
    responses=_problems(400, 404, 408, 411, 413, 415, 422, 429, 503, 504),
)
async def upload_chunk(request: Request, upload_id: str, index: int) -> Response:
    """Answer 204 once the chunk is durable and has the hash that was signed for it.

    A chunk has 1 MiB, the last one the rest. Only a refused chunk is sent again; the third refusal
    of one, or of too many, is answered with CHUNK_HASH.
    """
    parts = _parts(request)
    name = models.upload_id_of(upload_id)
    if index < 0:
        raise PeerError("CHUNK_ORDER", "chunks are counted from 0", field="index")
    async with parts.bodies.taking(request, CHUNK_SIZE) as body:
        await parts.receiving.take_single(name, index, body)
    return Response(status_code=NO_CONTENT)


@router.post(
    "/uploads/{upload_id}/finish",
    operation_id="finish",
    summary="End an upload.",
    status_code=ACCEPTED,
    response_model=models.UpdateEvent,
    responses={**COMMITTED, **_problems(400, 403, 404, 409, 429, 503, 504)},
)
async def finish_upload(request: Request, upload_id: str) -> Response:
    """Answer as `submit` does, once the whole payload is checked; may be repeated until then."""
    event = await _parts(request).receiving.finish(models.upload_id_of(upload_id))
    return _told(models.event_of(event))


@router.get(
    "/updates/{update_id}",
    operation_id="status",
    summary="How far an update has come.",
    response_model=models.UpdateEvent,
    responses=_problems(400, 404, 429, 503, 504),
)
async def update_status(request: Request, update_id: str) -> Response:
    """Answer for any update, also one that was sent to another site, once it is known here."""
    digest = models.digest_of(update_id, "update_id")
    event = await _parts(request).watching.latest(digest)
    if event is None:
        hint = "nothing is known of it here: send it, or ask again later"
        raise PeerError("UPDATE_UNKNOWN", hint, field="update_id")
    return _answer(models.event_of(event))


@router.get(
    "/updates/{update_id}/events",
    operation_id="follow",
    summary="Follow an update.",
    response_class=Response,
    responses={OK: {"content": {EVENTS: {}}}, **_problems(400, 429)},
)
async def follow_update(
    request: Request, update_id: str, until: StageName = StageName.COMMITTED
) -> Response:
    """Tell what becomes of an update as server-sent events, from its current stage on.

    `update` carries an event, `problem` says why the stream ends early, `end` that all is said.
    """
    return _stream(request, (models.digest_of(update_id, "update_id"),), until)


@router.get(
    "/events",
    operation_id="followMany",
    summary="Follow several updates.",
    response_class=Response,
    responses={OK: {"content": {EVENTS: {}}}, **_problems(400, 429)},
)
async def follow_updates(
    request: Request,
    update_id: Annotated[list[str], Query(alias="updateId", min_length=1, max_length=WATCHED_MAX)],
    until: StageName = StageName.COMMITTED,
) -> Response:
    """Tell what becomes of up to 128 updates, as for one."""
    digests = watched(models.digest_of(one, "updateId") for one in update_id)
    return _stream(request, digests, until)


@router.get(
    "/updates/{update_id}/receipt",
    operation_id="receipt",
    summary="The receipt of an update.",
    response_class=Response,
    responses={OK: {"content": {JSON: {}}}, **_problems(400, 404, 409, 429, 503, 504)},
)
async def update_receipt(
    request: Request,
    update_id: str,
    wait_ms: Annotated[int, Query(alias="waitMs", ge=0, le=RECEIPT_WAIT_MS_MAX)] = 0,
    *,
    aggregated: bool = False,
) -> Response:
    """Answer the document that `seawall verify` checks offline; wait for it when asked to."""
    digest = models.digest_of(update_id, "update_id")
    document = await _parts(request).log.receipt(digest, wait_ms, aggregated=aggregated)
    return Response(document, media_type=JSON)


@router.get(
    "/checkpoint",
    operation_id="checkpoint",
    summary="The newest checkpoint of quorum stake.",
    response_model=models.Checkpoint,
    responses=_problems(429, 503, 504),
)
async def newest_checkpoint(request: Request) -> Response:
    """Answer what a submission names as the log that its signer has seen."""
    note, height = await _parts(request).log.checkpoint()
    return _answer(models.Checkpoint(note=note, height=height))


def _stream(request: Request, update_ids: tuple[bytes, ...], until: StageName) -> Response:
    parts = _parts(request)
    return EventStream(parts.watching, parts.settings, update_ids, Stage[until.name])
