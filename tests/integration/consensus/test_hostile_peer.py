"""A validator that sends garbage loses its own link, is told why, and harms nobody."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import grpc
import pytest

from seawall.api.v1 import consensus_pb2, consensus_pb2_grpc
from seawall.codec import genesis_ref, seal_block
from seawall.consensus.frames import FrameStream, dial
from seawall.consensus.links import FORMAT_VERSION
from seawall.crypto.signing import SigningKey
from seawall.domain.block import Block, BlockFlags, CoinShares, Ref
from seawall.errors import SeawallError
from seawall.runtime import status
from seawall.runtime.channels import peer_channel
from seawall.runtime.tls import frame_dialling_tls, server_name
from tests.integration.consensus.cluster import Cluster, cluster
from tests.integration.sites import TestSites, make_sites, seed

PeerMessage = consensus_pb2.PeerMessage


@pytest.fixture
def sites(tmp_path: Path) -> TestSites:
    """Make a chain of four sites; the last one is hostile."""
    return make_sites(tmp_path)


def hello(sites: TestSites, **changes: object) -> PeerMessage:
    """Return the hello of site 3, with changes."""
    fields: dict[str, object] = {
        "origin": sites.origin,
        "epoch": 0,
        "format_version": FORMAT_VERSION,
        "author": 3,
        **changes,
    }
    made = consensus_pb2.PeerHello(**fields)  # type: ignore[arg-type]  # made wrong on purpose
    return PeerMessage(hello=made)


Stream: TypeAlias = (
    "grpc.aio.StreamStreamCall[consensus_pb2.BlocksRequest, consensus_pb2.BlocksResponse]"
)


class Dialled:
    """The hostile side of one gRPC stream."""

    def __init__(
        self,
        call: Stream,
    ) -> None:
        self._call = call

    async def say(self, *messages: PeerMessage) -> None:
        """Send messages."""
        for message in messages:
            await self._call.write(consensus_pb2.BlocksRequest(message=message))

    async def heard(self) -> PeerMessage:
        """Return the next message."""
        answer = await self._call.read()
        assert isinstance(answer, consensus_pb2.BlocksResponse)
        return answer.message

    async def end(self) -> SeawallError:
        """Read until the stream ends; return why it did."""
        try:
            while await self._call.read() is not grpc.aio.EOF:
                pass
        except grpc.aio.AioRpcError as fault:
            return status.error_from(fault)
        raise AssertionError("the stream ended without an error")


class Framed:
    """The hostile side of one connection of frames."""

    def __init__(self, stream: FrameStream) -> None:
        self._stream = stream

    async def say(self, *messages: PeerMessage) -> None:
        """Send messages."""
        for message in messages:
            await self._stream.write(message)

    async def heard(self) -> PeerMessage:
        """Return the next message."""
        message = await self._stream.read()
        assert message is not None
        return message

    async def end(self) -> SeawallError:
        """Read until the connection ends; return why it did."""
        try:
            while await self._stream.read() is not None:
                pass
        except SeawallError as fault:
            return fault
        raise AssertionError("the connection ended without a reason")


Dial: TypeAlias = "Callable[..., AbstractAsyncContextManager[Dialled | Framed]]"


@asynccontextmanager
async def over_grpc(sites: TestSites, target: int = 0, caller: int = 3) -> AsyncIterator[Dialled]:
    """Open a stream to `target` with the certificate of `caller`."""
    keys = sites.directory / f"site-{caller}" / "keys"
    pair = (keys / "tls.key").read_bytes(), (keys / "tls.crt").read_bytes()
    options = (("grpc.max_send_message_length", -1),)
    async with peer_channel(sites.genesis.sites[target], *pair, options=options) as channel:
        stub = consensus_pb2_grpc.ConsensusServiceStub(channel)
        yield Dialled(stub.Blocks(wait_for_ready=True))


@asynccontextmanager
async def over_frames(sites: TestSites, target: int = 0, caller: int = 3) -> AsyncIterator[Framed]:
    """Open a connection of frames to `target` with the certificate of `caller`."""
    keys = sites.directory / f"site-{caller}" / "keys"
    pair = (keys / "tls.key").read_bytes(), (keys / "tls.crt").read_bytes()
    site = sites.genesis.sites[target]
    async with peer_channel(site, *pair) as channel:
        stub = consensus_pb2_grpc.ConsensusServiceStub(channel)
        status_request = consensus_pb2.ConsensusStatusRequest()
        answer = await stub.ConsensusStatus(status_request, wait_for_ready=True)
    tls = frame_dialling_tls(site, *pair)
    name = server_name(site.name)
    stream = await dial("127.0.0.1", answer.frame_port, tls, name, seconds_max=10)
    assert stream is not None
    try:
        yield Framed(stream)
    finally:
        stream.close()


@pytest.fixture(params=[over_grpc, over_frames], ids=["grpc", "frames"])
def dialled(request: pytest.FixtureRequest) -> Dial:
    """Give the way in: every check holds over both transports."""
    way: Dial = request.param
    return way


FRAMES = {"frame_address": "127.0.0.1:0"}


def block(sites: TestSites, key: SigningKey | None = None, **changes: object) -> bytes:
    """Return the bytes of site 3's first block, valid unless changed."""
    parents = tuple(genesis_ref(sites.origin, 0, author) for author in (3, 0, 1, 2))
    fields: dict[str, object] = {
        "epoch": 0,
        "round": 1,
        "author": 3,
        "timestamp_ms": 0,
        "flags": BlockFlags.NONE,
        "parents": parents,
        "batches": (),
        "transactions": (),
        "rejects": (),
        "vote_cutoff": 0,
        "coin_shares": CoinShares(),
        "commit_votes": (),
        **changes,
    }
    made = Block(**fields)  # type: ignore[arg-type]  # made wrong on purpose
    signer = key or SigningKey.from_seed(seed("consensus-3"))
    return seal_block(made, sites.origin, signer).raw


def blocks(*raws: bytes) -> PeerMessage:
    """Return a message with these blocks."""
    return PeerMessage(blocks=consensus_pb2.PeerBlocks(blocks=raws))


HELLOS = {
    "origin": ("seawall/0000000000000000", "HELLO_ORIGIN"),
    "epoch": (7, "HELLO_EPOCH"),
    "format_version": (FORMAT_VERSION - 1, "HELLO_FORMAT"),
    "author": (1, "HELLO_AUTHOR"),
}


async def test_hellos_that_do_not_match_name_both_values(sites: TestSites, dialled: Dial) -> None:
    async with cluster(sites) as group:
        await group.start(0, consensus=FRAMES)
        for field, (value, code) in HELLOS.items():
            async with dialled(sites) as peer:
                await peer.say(hello(sites, **{field: value}))
                fault = await peer.end()
                assert (fault.code, fault.field) == (code, field)
                assert str(value) in fault.hint
                assert "expected" in fault.hint
        async with dialled(sites) as peer:
            await peer.say(blocks())
            assert (await peer.end()).code == "HELLO_MISSING"
        async with dialled(sites, target=0, caller=0) as peer:
            assert (await peer.end()).code == "HELLO_DIRECTION"
        assert group.running[0].running.links == {}


async def garbage(sites: TestSites) -> AsyncIterator[tuple[str, PeerMessage]]:
    """Yield what must end a link, and the code that it ends with."""
    good = block(sites)
    stranger = SigningKey.from_seed(seed("stranger"))
    ref = consensus_pb2.PeerFetchBlocks()
    ref.refs.add(round=1, author=0, digest=b"short")
    outsider = consensus_pb2.PeerFetchBlocks()
    outsider.refs.add(round=1, author=4, digest=bytes(32))
    many = consensus_pb2.PeerFetchBlocks()
    for _ in range(257):
        many.refs.add(round=1, author=0, digest=bytes(32))
    commit = consensus_pb2.PeerCommits()
    commit.commits.add(index=1, previous_digest=b"", digest=bytes(32))
    yield "BLOCK_TRUNCATED", blocks(b"\x01garbage")
    yield "BLOCK_TRUNCATED", blocks(good[:-1])
    yield "BLOCK_TRAILING", blocks(good + b"\0")
    yield "BLOCK_SIGNATURE", blocks(block(sites, stranger))
    yield "BLOCK_EPOCH", blocks(block(sites, epoch=1))
    yield "BLOCK_AUTHOR", blocks(block(sites, author=4, parents=(Ref(0, 4, bytes(32)),)))
    yield "BLOCK_PARENT_COUNT", blocks(block(sites, parents=()))
    yield "SYNC_KIND", PeerMessage()
    yield "SYNC_KIND", hello(sites)
    yield "SYNC_DIGEST", PeerMessage(fetch_blocks=ref)
    yield "SYNC_RANGE", PeerMessage(fetch_blocks=outsider)
    yield "SYNC_COUNT", PeerMessage(fetch_blocks=many)
    yield "SYNC_DIGEST", PeerMessage(commits=commit)
    yield (
        "SYNC_FRAGMENT",
        PeerMessage(fragment=consensus_pb2.PeerFragment(data=b"\xff\xff", last=True)),
    )
    yield "RPC_TOO_LARGE", blocks(bytes(3 << 20))


async def test_garbage_ends_one_link_and_nothing_else(sites: TestSites, dialled: Dial) -> None:
    async with cluster(sites) as group:
        await group.start(0, 1, 2, consensus=FRAMES)
        await group.until_commits(5, (0, 1, 2))
        async for code, message in garbage(sites):
            async with dialled(sites) as peer:
                await peer.say(hello(sites))
                assert (await peer.heard()).HasField("hello")
                await peer.say(message)
                assert (await peer.end()).code == code
        await still_works(group)


async def test_a_peer_that_falls_silent_and_one_that_dials_twice(
    sites: TestSites, dialled: Dial
) -> None:
    limits = {"silence_seconds_max": 3.0, "hello_seconds_max": 1.0, "heartbeat_seconds": 0.5}
    async with cluster(sites) as group:
        await group.start(0, 1, 2, consensus=limits | FRAMES)
        await group.until_commits(5, (0, 1, 2))
        async with dialled(sites) as mute:
            assert (await mute.heard()).HasField("hello")
            assert (await mute.end()).code == "LINK_SILENT"
        async with dialled(sites) as silent:
            await silent.say(hello(sites))
            assert (await silent.end()).code == "LINK_SILENT"
        async with dialled(sites) as old:
            await old.say(hello(sites))
            assert (await old.heard()).HasField("hello")
            async with dialled(sites) as new:
                await new.say(hello(sites))
                assert (await old.end()).code == "LINK_REPLACED"
        await still_works(group)


async def still_works(group: Cluster) -> None:
    """Check that the three honest sites go on and agree."""
    there = (0, 1, 2)
    assert await group.submit(0, 1) == [""]
    await group.until_commits(len(group.memories[0].commits) + 5, there)
    await group.until_certified(len(group.memories[0].commits), there)
    assert group.agree()
    assert {1, 2} <= set(group.running[0].running.links)
