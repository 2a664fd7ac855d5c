"""Frames: messages cut out of bytes, bounds on both sides, and what the end says."""

import asyncio
from struct import pack
from typing import Any

import pytest

from seawall.api.v1 import consensus_pb2
from seawall.consensus.frames import (
    REASON_CHARACTERS_MAX,
    WAITING_MESSAGES_MAX,
    FrameStream,
    parse_address,
)
from seawall.consensus.messages import PeerMessage
from seawall.errors import LocalError, OperationalError, PeerError
from seawall.runtime.channels import MESSAGE_SIZE_BYTES_MAX


class Wire(asyncio.Transport):
    """The socket's side: remembers what is written, and whether it is read from."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.reading = True
        self.closed = ""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Take note of nothing."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - asyncio's own
        """Know nothing: there is no TLS."""
        del name
        return default

    def write(self, data: Any) -> None:  # noqa: ANN401 - asyncio's own
        """Remember."""
        self.written += data

    def is_closing(self) -> bool:
        """Say whether it was closed."""
        return bool(self.closed)

    def close(self) -> None:
        """Close after what is written."""
        self.closed = "closed"

    def abort(self) -> None:
        """Close at once."""
        self.closed = "aborted"

    def pause_reading(self) -> None:
        """Read no more."""
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        """Read again."""
        assert not self.reading
        self.reading = True


def opened() -> tuple[FrameStream, Wire]:
    """Return a stream over a wire."""
    stream, wire = FrameStream(), Wire()
    stream.connection_made(wire)
    return stream, wire


def note(round_: int) -> PeerMessage:
    """Return a message that differs from others."""
    return PeerMessage(subscribe=consensus_pb2.PeerSubscribe(after_round=round_))


def frame(message: PeerMessage) -> bytes:
    """Return the frame of a message."""
    data = message.SerializeToString()
    return pack(">I", len(data)) + data


async def test_messages_are_cut_out_wherever_the_bytes_are_cut() -> None:
    messages = [note(1), PeerMessage(), note(2**40)]
    data = b"".join(map(frame, messages))
    for step in range(1, len(data) + 1):
        stream, _ = opened()
        for start in range(0, len(data), step):
            stream.data_received(data[start : start + step])
        assert [await stream.read() for _ in messages] == messages
        stream.eof_received()
        assert await stream.read() is None


async def test_what_is_written_is_what_is_read() -> None:
    (sender, wire), (receiver, _) = opened(), opened()
    await sender.write(note(7))
    await sender.write(note(8))
    receiver.data_received(bytes(wire.written))
    assert [await receiver.read(), await receiver.read()] == [note(7), note(8)]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (pack(">I", MESSAGE_SIZE_BYTES_MAX + 1), "RPC_TOO_LARGE"),
        (pack(">I", 2) + b"\xff\xff", "SYNC_FRAME"),
    ],
)
async def test_bytes_that_are_no_frame_end_the_stream_after_what_came_before(
    bad: bytes, code: str
) -> None:
    stream, _ = opened()
    stream.data_received(frame(note(1)) + bad + frame(note(2)))
    stream.data_received(frame(note(3)))
    assert await stream.read() == note(1)
    for _ in range(2):
        with pytest.raises(PeerError) as caught:
            await stream.read()
        assert caught.value.code == code


async def test_a_reader_waits_for_what_comes() -> None:
    stream, _ = opened()
    reading = asyncio.create_task(stream.read())
    await asyncio.sleep(0)
    stream.data_received(frame(note(1)))
    assert await reading == note(1)
    reading = asyncio.create_task(stream.read())
    await asyncio.sleep(0)
    stream.connection_lost(ConnectionResetError())
    with pytest.raises(OperationalError) as caught:
        await reading
    assert caught.value.code == "LINK_CLOSED"


async def test_nothing_more_is_taken_from_a_peer_that_is_ahead() -> None:
    stream, wire = opened()
    stream.data_received(frame(note(1)) * WAITING_MESSAGES_MAX)
    states = [wire.reading]
    stream.data_received(frame(note(2)))  # was on its way already
    for _ in range(2):
        await stream.read()
        states.append(wire.reading)
    assert states == [False, False, True]
    large = PeerMessage(fragment=consensus_pb2.PeerFragment(data=bytes(1 << 20)))
    stream.data_received(frame(large) * 2)
    assert not wire.reading


async def test_a_writer_waits_while_too_much_is_unsent_and_ends_with_the_connection() -> None:
    stream, wire = opened()
    stream.pause_writing()
    writing = asyncio.create_task(stream.write(note(1)))
    await asyncio.sleep(0)
    assert not wire.written
    stream.resume_writing()
    await writing
    assert bytes(wire.written) == frame(note(1))
    stream.pause_writing()
    stuck = asyncio.create_task(stream.write(note(2)))
    await asyncio.sleep(0)
    stream.connection_lost(None)
    for write in (stuck, stream.write(note(3))):
        with pytest.raises(OperationalError) as caught:
            await write
        assert caught.value.code == "LINK_CLOSED"
    assert await stream.read() is None
    stream.close()
    assert stream.certificate == b""


async def test_the_end_says_why() -> None:
    (leaving, wire), (left, _) = opened(), opened()
    leaving.close(PeerError("BLOCK_SIGNATURE", "x" * 9999, field="signature", offset=7))
    assert wire.closed == "closed"
    left.data_received(frame(note(1)) + bytes(wire.written))
    assert await left.read() == note(1)
    with pytest.raises(PeerError) as caught:
        await left.read()
    fault = caught.value
    assert (fault.code, fault.field, fault.offset) == ("BLOCK_SIGNATURE", "signature", 7)
    assert len(fault.hint) == REASON_CHARACTERS_MAX
    leaving, wire = opened()
    leaving.close()
    assert (wire.closed, bytes(wire.written)) == ("aborted", b"")


def test_an_address_has_host_and_port() -> None:
    assert parse_address("127.0.0.1:0") == ("127.0.0.1", 0)
    assert parse_address("[::1]:7400") == ("::1", 7400)
    for bad in ("", "7400", ":7400", "host:", "host:x", "host:65536", "host:-1"):
        with pytest.raises(LocalError):
            parse_address(bad)
