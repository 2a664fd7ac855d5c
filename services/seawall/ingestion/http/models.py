"""What goes in and out as JSON. Bytes are base64 of RFC 4648, digests and ids are hex."""

import binascii
from base64 import b64decode
from enum import StrEnum
from typing import Annotated, Final, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from seawall.crypto.hashing import DIGEST_BYTES
from seawall.errors import PeerError
from seawall.ingestion.http.problems import refusal_of
from seawall.ingestion.update import Event, Stage
from seawall.ingestion.uploads import UPLOAD_ID_BYTES

M = TypeVar("M", bound=BaseModel)


class StageName(StrEnum):
    """A stage to wait for; a refusal ends the waiting as well."""

    RECEIVED = "received"
    ATTESTED = "attested"
    FINAL = "final"
    COMMITTED = "committed"
    AGGREGATED = "aggregated"


def _decoded(value: object) -> object:
    """Return the bytes of a base64 text; others are left to be refused."""
    if not isinstance(value, str):
        return value
    try:
        return b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("write base64 with padding, without spaces") from None


Base64 = Annotated[
    bytes,
    BeforeValidator(_decoded),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]


class Model(BaseModel):
    """Base of all bodies: nothing unknown is let by."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class WholeUpdate(Model):
    """A signed update whose payload is at most one chunk of 1 MiB."""

    envelope: Base64 = Field(description="DSSE envelope in JSON, at most 64 KiB.")
    payload: Base64 = Field(description="The safetensors file.")
    provenance: Base64 = Field(
        default=b"", description="SLSA statement; empty when the submission names none."
    )


class NewUpload(Model):
    """A signed update whose payload comes in chunks."""

    envelope: Base64 = Field(description="DSSE envelope in JSON, at most 64 KiB.")
    manifest: Base64 = Field(
        default=b"",
        description="OMS statement with the chunk list; empty for a payload of one chunk.",
    )
    provenance: Base64 = Field(
        default=b"", description="SLSA statement; empty when the submission names none."
    )


class OpenUpload(Model):
    """An open upload, at this site only."""

    upload_id: str = Field(description="Names the upload in the paths of its chunks.")
    chunk_count: int = Field(description="Chunks of the payload.")
    missing: list[int] = Field(description="Positions of the chunks that are missing here.")
    idle_ms_max: int = Field(
        description="Milliseconds after which an idle upload is forgotten; its chunks stay."
    )


class Refusal(Model):
    """Why an update was refused, or why a cut left it out."""

    code: str = Field(description="Stable code; see docs/errors.md.")
    detail: str = Field(description="What is expected, or what to do next.")
    field: str | None = Field(default=None, description="Dotted path of the offending field.")
    offset: int | None = Field(default=None, description="Byte offset of the fault.")


class UpdateEvent(Model):
    """How far an update has come."""

    update_id: str = Field(description="SHA-256 of the signed submission, hex.")
    stage: str = Field(description="A stage, or `refused`.")
    entry_index: int | None = Field(default=None, description="Its ledger entry, once committed.")
    version: int | None = Field(default=None, description="The version it was aggregated into.")
    refusal: Refusal | None = None


class Problem(Refusal):
    """Problem details of RFC 9457."""

    type: str = Field(description="`urn:seawall:error:` and the code.")
    title: str = Field(description="The code.")
    status: int = Field(description="The HTTP status.")


class Checkpoint(Model):
    """The newest checkpoint of quorum stake: what a submission names as seen."""

    note: str = Field(description="The signed note; empty before the first.")
    height: int = Field(description="Commit index that it covers.")


def parse(kind: type[M], body: bytes) -> M:
    """Return a body as a model.

    Raises:
        PeerError: HTTP_BODY with the field.

    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as faults:
        first = faults.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise PeerError("HTTP_BODY", first["msg"], field=field or None) from None


def event_of(event: Event) -> UpdateEvent:
    """Return an event as it is told."""
    is_logged = event.stage in (Stage.COMMITTED, Stage.AGGREGATED)
    return UpdateEvent(
        update_id=event.update_id.hex(),
        stage=event.stage.name.lower(),
        entry_index=event.entry_index if is_logged else None,
        version=event.version if event.stage is Stage.AGGREGATED and event.version else None,
        refusal=Refusal(**refusal_of(event.refusal)) if event.refusal is not None else None,
    )


def text_of(model: BaseModel) -> str:
    """Return a model as JSON, without members that say nothing."""
    return model.model_dump_json(by_alias=True, exclude_none=True)


HEX_DIGITS: Final = 2


def digest_of(text: str, field: str) -> bytes:
    """Return a digest from its path or query.

    Raises:
        PeerError: RPC_DIGEST.

    """
    return _from_hex(
        text, DIGEST_BYTES, PeerError("RPC_DIGEST", "write 64 hex digits", field=field)
    )


def upload_id_of(text: str) -> bytes:
    """Return the name of an upload from its path.

    Raises:
        PeerError: UPLOAD_UNKNOWN.

    """
    hint = "open the upload first: its answer names it"
    unknown = PeerError("UPLOAD_UNKNOWN", hint, field="upload_id")
    return _from_hex(text, UPLOAD_ID_BYTES, unknown)


def _from_hex(text: str, size_bytes: int, otherwise: PeerError) -> bytes:
    if len(text) != HEX_DIGITS * size_bytes:
        raise otherwise
    try:
        return binascii.unhexlify(text)
    except ValueError:
        raise otherwise from None
