"""Requests to a ledger that are larger than one message may be: in pieces, and back.

A commit delivers whatever its leader has gathered, so it may be larger than any one block. Between
two processes of a site it travels like a large message between replicas: as pieces of its bytes.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Final

from google.protobuf.message import DecodeError

from seawall.api.v1 import ledger_pb2
from seawall.errors import PeerError

FRAGMENT_BYTES_MAX: Final = 1 << 20
FRAGMENTS_BYTES_MAX: Final = 1 << 30
"""More than a window of the deepest DAG can deliver at once within a replica's memory."""


def pieces(request: ledger_pb2.AppendRequest) -> Iterator[ledger_pb2.AppendRequest]:
    """Yield a request as what travels: itself, or fragments of a large one."""
    if request.ByteSize() <= FRAGMENT_BYTES_MAX:
        yield request
        return
    data = request.SerializeToString()
    for start in range(0, len(data), FRAGMENT_BYTES_MAX):
        end = start + FRAGMENT_BYTES_MAX
        fragment = ledger_pb2.AppendFragment(data=data[start:end], last=end >= len(data))
        yield ledger_pb2.AppendRequest(fragment=fragment)


async def whole(
    requests: AsyncIterator[ledger_pb2.AppendRequest],
) -> AsyncIterator[ledger_pb2.AppendRequest]:
    """Yield requests put together again.

    Raises:
        PeerError: LOG_FRAGMENT for pieces that are empty, too many, interrupted by something
            else, or not the bytes of a request.

    """
    held: list[bytes] = []
    size_bytes = 0
    async for request in requests:
        if request.WhichOneof("kind") != "fragment":
            if held:
                raise _bad("finish a request in fragments before the next")
            yield request
            continue
        data = request.fragment.data
        size_bytes += len(data)
        if not 0 < len(data) <= FRAGMENT_BYTES_MAX or size_bytes > FRAGMENTS_BYTES_MAX:
            raise _bad("pieces of 1 byte to 1 MiB, 1 GiB in all")
        held.append(data)
        if request.fragment.last:
            yield _joined(held)
            held.clear()
            size_bytes = 0


def _joined(held: list[bytes]) -> ledger_pb2.AppendRequest:
    """Return the request in these pieces."""
    try:
        request = ledger_pb2.AppendRequest.FromString(b"".join(held))
    except DecodeError:
        raise _bad("the pieces must make up one request") from None
    if request.WhichOneof("kind") in (None, "fragment"):
        raise _bad("the pieces must make up one request")
    return request


def _bad(hint: str) -> PeerError:
    return PeerError("LOG_FRAGMENT", hint, field="fragment.data")
