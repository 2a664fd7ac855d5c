"""Errors on their way through gRPC: status and trailing metadata out, the same facts back.

One table says which gRPC status a code travels under; everything else about an error (code, place,
hint) stands in trailing metadata, so that both ends speak of the same facts.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NoReturn, TypeAlias
from urllib.parse import quote, unquote

import grpc
import grpc.aio

from seawall.api.v1 import types_pb2
from seawall.errors import LocalError, OperationalError, PeerError, SeawallError

CODE_KEY: Final = "seawall-code"
FIELD_KEY: Final = "seawall-field"
OFFSET_KEY: Final = "seawall-offset"
HINT_KEY: Final = "seawall-hint"

AnyContext: TypeAlias = grpc.aio.ServicerContext[Any, Any]

_PRINTABLE: Final = "".join(chr(byte) for byte in range(0x20, 0x7F) if chr(byte) != "%")
"""What a metadata value may hold as it is; everything else is percent-encoded."""

_BY_CODE: Final[Mapping[str, grpc.StatusCode]] = MappingProxyType(
    {
        "CHUNK_HASH": grpc.StatusCode.DATA_LOSS,
        "DATA_LOCKED": grpc.StatusCode.FAILED_PRECONDITION,
        "DEADLINE": grpc.StatusCode.DEADLINE_EXCEEDED,
        "FAULT_ID": grpc.StatusCode.NOT_FOUND,
        "INCOMPLETE": grpc.StatusCode.FAILED_PRECONDITION,
        "KEY_EXPIRED": grpc.StatusCode.PERMISSION_DENIED,
        "KEY_REVOKED": grpc.StatusCode.PERMISSION_DENIED,
        "KEY_ROLE": grpc.StatusCode.PERMISSION_DENIED,
        "KEY_UNKNOWN": grpc.StatusCode.PERMISSION_DENIED,
        "LOG_FORK": grpc.StatusCode.FAILED_PRECONDITION,
        "LOG_GAP": grpc.StatusCode.FAILED_PRECONDITION,
        "LOG_INDEX": grpc.StatusCode.NOT_FOUND,
        "OWNER": grpc.StatusCode.PERMISSION_DENIED,
        "RECEIPT_PENDING": grpc.StatusCode.NOT_FOUND,
        "REPLAY_PAYLOAD": grpc.StatusCode.ALREADY_EXISTS,
        "REPLAY_SEQ": grpc.StatusCode.ALREADY_EXISTS,
        "TOO_LARGE": grpc.StatusCode.RESOURCE_EXHAUSTED,
        "VERDICT_CONTESTED": grpc.StatusCode.FAILED_PRECONDITION,
        "VERDICT_OUTVOTED": grpc.StatusCode.FAILED_PRECONDITION,
        "VERDICT_UNDECIDED": grpc.StatusCode.FAILED_PRECONDITION,
        "VERSION_PENDING": grpc.StatusCode.UNAVAILABLE,
    }
)
_BY_PREFIX: Final[Mapping[str, grpc.StatusCode]] = MappingProxyType(
    {
        "CALLER_": grpc.StatusCode.PERMISSION_DENIED,
        "QUOTA_": grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
_PEERS_FAULT: Final = (
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAUTHENTICATED,
)


def status_of(error: SeawallError) -> grpc.StatusCode:
    """Return the gRPC status under which an error travels.

    The code decides; where the table does not know it, whose fault it is: bad input is
    INVALID_ARGUMENT, something of ours that failed UNAVAILABLE, our own mistake INTERNAL.
    """
    if error.code in _BY_CODE:
        return _BY_CODE[error.code]
    for prefix, status in _BY_PREFIX.items():
        if error.code.startswith(prefix):
            return status
    if error.code.endswith("_UNKNOWN"):
        return grpc.StatusCode.NOT_FOUND
    if isinstance(error, PeerError):
        return grpc.StatusCode.INVALID_ARGUMENT
    if isinstance(error, OperationalError):
        return grpc.StatusCode.UNAVAILABLE
    return grpc.StatusCode.INTERNAL


def trailers(error: SeawallError) -> tuple[tuple[str, str], ...]:
    """Return the facts of an error as metadata; values are printable ASCII."""
    facts = [(CODE_KEY, error.code)]
    if error.field is not None:
        facts.append((FIELD_KEY, quote(error.field, safe=_PRINTABLE)))
    if error.offset is not None:
        facts.append((OFFSET_KEY, str(error.offset)))
    facts.append((HINT_KEY, quote(error.hint, safe=_PRINTABLE)))
    return tuple(facts)


async def abort(
    context: AnyContext, error: SeawallError, *, status: grpc.StatusCode | None = None
) -> NoReturn:
    """End an RPC with the status and the facts of `error`; never returns.

    `status` overrides the table where one code means different things in different RPCs.
    """
    await context.abort(status or status_of(error), str(error), trailers(error))
    raise AssertionError  # abort raised


def error_from(failure: grpc.RpcError) -> SeawallError:
    """Return the error that the other side ended an RPC with.

    An answer without our metadata comes from gRPC itself; its status becomes the code. Facts of
    a hostile peer are only text: they are cut to 512 characters each.
    """
    if not isinstance(failure, grpc.aio.AioRpcError):
        return OperationalError("RPC_FAILED", "try again, or another site")
    facts = dict(_texts(failure.trailing_metadata()))
    code = facts.get(CODE_KEY)
    if code is None:
        return _transport_error(failure.code())
    offset = facts.get(OFFSET_KEY, "")
    kind: type[SeawallError] = PeerError if failure.code() in _PEERS_FAULT else OperationalError
    return kind(
        code,
        unquote(facts.get(HINT_KEY, "")),
        field=unquote(facts[FIELD_KEY]) if FIELD_KEY in facts else None,
        offset=int(offset) if offset.isdecimal() else None,
    )


def refusal(error: SeawallError) -> types_pb2.Refusal:
    """Return an error as the refusal of one item inside a stream or an answer."""
    return types_pb2.Refusal(
        code=error.code,
        field=error.field or "",
        offset_plus_one=0 if error.offset is None else error.offset + 1,
        hint=error.hint,
    )


def error_of(refused: types_pb2.Refusal) -> PeerError:
    """Return a refusal as the error that it was made from."""
    return PeerError(
        refused.code,
        refused.hint,
        field=refused.field or None,
        offset=refused.offset_plus_one - 1 if refused.offset_plus_one else None,
    )


def _texts(metadata: object) -> Iterable[tuple[str, str]]:
    """Return the text entries of trailing metadata, each cut to a length worth keeping."""
    if not isinstance(metadata, Iterable):
        return
    for key, value in metadata:
        if isinstance(value, str):
            yield key, value[:512]


def _transport_error(status: grpc.StatusCode) -> SeawallError:
    """Return the error for a status that gRPC itself answered with."""
    if status is grpc.StatusCode.UNAVAILABLE:
        return OperationalError("RPC_UNAVAILABLE", "nobody answers there: try again, or elsewhere")
    if status is grpc.StatusCode.DEADLINE_EXCEEDED:
        return OperationalError("RPC_DEADLINE", "no answer in time: try again, or elsewhere")
    if status is grpc.StatusCode.CANCELLED:
        return OperationalError("RPC_CANCELLED", "the call was ended early: try again")
    if status is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return PeerError("RPC_TOO_LARGE", "send messages of at most 1 MiB plus 64 KiB")
    if status is grpc.StatusCode.UNIMPLEMENTED:
        return LocalError("RPC_UNIMPLEMENTED", "ask a process that serves this role")
    return OperationalError("RPC_FAILED", "try again, or another site")
