"""Errors on their way through gRPC keep every fact."""

import grpc
import grpc.aio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.errors import LocalError, OperationalError, PeerError, SeawallError
from seawall.runtime import status

TEXT = st.text(max_size=60)


def rpc_error(code: grpc.StatusCode, *trailers: tuple[str, str | bytes]) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (PeerError("ST_HEADER_SIZE", ""), grpc.StatusCode.INVALID_ARGUMENT),
        (PeerError("QUOTA_CONSENSUS", ""), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (PeerError("CALLER_NOT_ALLOWED", ""), grpc.StatusCode.PERMISSION_DENIED),
        (PeerError("KEY_UNKNOWN", ""), grpc.StatusCode.PERMISSION_DENIED),
        (PeerError("TASK_UNKNOWN", ""), grpc.StatusCode.NOT_FOUND),
        (PeerError("REPLAY_SEQ", ""), grpc.StatusCode.ALREADY_EXISTS),
        (PeerError("CHUNK_HASH", ""), grpc.StatusCode.DATA_LOSS),
        (OperationalError("VERSION_PENDING", ""), grpc.StatusCode.UNAVAILABLE),
        (PeerError("LOG_GAP", ""), grpc.StatusCode.FAILED_PRECONDITION),
        (OperationalError("STORE_FULL", ""), grpc.StatusCode.UNAVAILABLE),
        (LocalError("KEY_SEED", ""), grpc.StatusCode.INTERNAL),
    ],
)
def test_every_code_has_its_status(error: SeawallError, expected: grpc.StatusCode) -> None:
    assert status.status_of(error) is expected


@given(TEXT, st.none() | TEXT, st.none() | st.integers(0, 2**40))
def test_facts_survive_the_trailing_metadata(
    hint: str, field: str | None, offset: int | None
) -> None:
    error = PeerError("ST_HEADER_SIZE", hint, field=field, offset=offset)
    trailers = status.trailers(error)
    for key, value in trailers:
        assert key == key.lower()
        assert value.isascii()
        assert value.isprintable() or not value
    back = status.error_from(rpc_error(grpc.StatusCode.INVALID_ARGUMENT, *trailers))
    assert isinstance(back, PeerError)
    assert back.args == error.args


@given(TEXT, st.none() | TEXT.filter(bool), st.none() | st.integers(0, 2**40))
def test_facts_survive_a_refusal(hint: str, field: str | None, offset: int | None) -> None:
    error = PeerError("ST_HEADER_SIZE", hint, field=field, offset=offset)
    assert status.error_of(status.refusal(error)).args == error.args


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_an_answer_of_grpc_itself_has_a_code_too(code: grpc.StatusCode) -> None:
    error = status.error_from(rpc_error(code))
    assert error.code.startswith("RPC_")
    assert error.hint


def test_other_failures_are_operational() -> None:
    assert status.error_from(grpc.RpcError()).code == "RPC_FAILED"
    blank = grpc.aio.AioRpcError(grpc.StatusCode.UNKNOWN, None, None)
    assert status.error_from(blank).code == "RPC_FAILED"


def test_what_a_hostile_peer_says_is_cut_and_never_trusted() -> None:
    error = status.error_from(
        rpc_error(
            grpc.StatusCode.INVALID_ARGUMENT,
            ("seawall-code", "X" * 9_000),
            ("seawall-offset", "-1"),
            ("seawall-hint", "%zz"),
            ("other-bin", b"\xff"),
        )
    )
    assert len(error.code) == 512
    assert error.offset is None
    assert error.hint == "%zz"
    unknown = status.error_from(
        rpc_error(grpc.StatusCode.UNAVAILABLE, ("seawall-code", "STORE_FULL"))
    )
    assert isinstance(unknown, OperationalError)
