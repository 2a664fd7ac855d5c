"""Large requests to a ledger travel in pieces; bad pieces are refused."""

from collections.abc import AsyncIterator

import pytest

from seawall.api.v1 import ledger_pb2 as pb
from seawall.api.v1 import types_pb2
from seawall.errors import PeerError
from seawall.runtime import fragments as module
from seawall.runtime.fragments import FRAGMENT_BYTES_MAX, pieces, whole


def commit(*sizes: int) -> pb.AppendRequest:
    """Return a commit with blocks of these sizes."""
    return pb.AppendRequest(
        commit=types_pb2.Commit(index=7, blocks=[bytes([size % 251]) * size for size in sizes])
    )


def piece(data: bytes, *, last: bool = False) -> pb.AppendRequest:
    """Return one fragment."""
    return pb.AppendRequest(fragment=pb.AppendFragment(data=data, last=last))


async def joined(*requests: pb.AppendRequest) -> list[pb.AppendRequest]:
    """Return what comes out of these messages."""

    async def stream() -> AsyncIterator[pb.AppendRequest]:
        for request in requests:
            yield request

    return [request async for request in whole(stream())]


@pytest.mark.parametrize("size", [0, 1000, FRAGMENT_BYTES_MAX, 3 << 20, (3 << 20) + 12345])
async def test_a_request_of_any_size_comes_out_as_it_was(size: int) -> None:
    request = commit(size, 5)
    travelling = list(pieces(request))
    assert all(one.ByteSize() <= FRAGMENT_BYTES_MAX + 64 for one in travelling)
    assert (len(travelling) == 1) == (request.ByteSize() <= FRAGMENT_BYTES_MAX)
    assert await joined(commit(1), *travelling, *travelling, commit(2)) == [
        *(commit(1), request, request, commit(2))
    ]


CERTIFICATE = pb.AppendRequest(certificate=types_pb2.CertifiedCheckpoint(index=1))
NESTED = piece(b"x", last=True).SerializeToString()


@pytest.mark.parametrize(
    "bad",
    [
        [piece(b"")],
        [piece(b"x" * (FRAGMENT_BYTES_MAX + 1))],
        [piece(b"x"), CERTIFICATE],
        [piece(b"\xff\xff", last=True)],
        [piece(NESTED, last=True)],
        [piece(b"x" * 60), piece(b"x" * 60)],
    ],
)
async def test_bad_pieces_are_refused(
    bad: list[pb.AppendRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRAGMENTS_BYTES_MAX", FRAGMENT_BYTES_MAX + 1)
    if len(bad) == 2 and bad[1] is not CERTIFICATE:
        monkeypatch.setattr(module, "FRAGMENTS_BYTES_MAX", 100)
    with pytest.raises(PeerError) as refused:
        await joined(*bad)
    assert (refused.value.code, refused.value.field) == ("LOG_FRAGMENT", "fragment.data")


async def test_a_stream_that_ends_within_a_request_yields_nothing_of_it() -> None:
    assert await joined(CERTIFICATE, piece(b"x")) == [CERTIFICATE]
