"""Errors as HTTP answers: problem details (RFC 9457) with the codes that gRPC carries as well."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import grpc
from starlette.responses import Response

from seawall.errors import PeerError, SeawallError
from seawall.runtime.status import status_of

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:seawall:error:"
RETRY_SECONDS: Final = 1

TOO_MANY: Final = 429
UNAVAILABLE: Final = 503

_BY_CODE: Final[Mapping[str, int]] = MappingProxyType(
    {
        "HTTP_ENCODING": 415,
        "HTTP_FAILED": 500,
        "HTTP_LENGTH": 411,
        "HTTP_METHOD": 405,
        "HTTP_PATH": 404,
        "TOO_LARGE": 413,
    }
)
_BY_STATUS: Final[Mapping[grpc.StatusCode, int]] = MappingProxyType(
    {
        grpc.StatusCode.ALREADY_EXISTS: 409,
        # The bytes of a chunk do not match what was signed for them.
        grpc.StatusCode.DATA_LOSS: 422,
        grpc.StatusCode.DEADLINE_EXCEEDED: 504,
        grpc.StatusCode.FAILED_PRECONDITION: 409,
        grpc.StatusCode.INVALID_ARGUMENT: 400,
        grpc.StatusCode.NOT_FOUND: 404,
        grpc.StatusCode.PERMISSION_DENIED: 403,
        grpc.StatusCode.RESOURCE_EXHAUSTED: TOO_MANY,
        grpc.StatusCode.UNAVAILABLE: UNAVAILABLE,
    }
)
SLOW_CLIENT: Final = 408
INTERNAL: Final = 500


def http_status(error: SeawallError) -> int:
    """Return the HTTP status under which an error travels: that of its gRPC status, mostly."""
    if error.code in _BY_CODE:
        return _BY_CODE[error.code]
    if error.code == "DEADLINE" and isinstance(error, PeerError):
        return SLOW_CLIENT
    return _BY_STATUS.get(status_of(error), INTERNAL)


def refusal_of(error: SeawallError) -> dict[str, Any]:
    """Return the facts of an error: code, place, and what to do next."""
    facts: dict[str, Any] = {"code": error.code, "detail": error.hint}
    if error.field is not None:
        facts["field"] = error.field
    if error.offset is not None:
        facts["offset"] = error.offset
    return facts


def document_of(error: SeawallError) -> dict[str, Any]:
    """Return an error as problem details; `detail` says what to do next."""
    facts = refusal_of(error)
    code = facts["code"]
    return {"type": TYPE_PREFIX + code, "title": code, "status": http_status(error), **facts}


def problem(error: SeawallError) -> Response:
    """Return the answer to a request that failed."""
    status = http_status(error)
    headers = {"retry-after": str(RETRY_SECONDS)} if status in (TOO_MANY, UNAVAILABLE) else None
    content = json.dumps(document_of(error))
    return Response(content, status_code=status, headers=headers, media_type=MEDIA_TYPE)
