"""Messages of peers that are refused at the door: bytes, counts, digests, ranges, fragments."""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from seawall.api.v1 import consensus_pb2, types_pb2
from seawall.codec import encode_block, encode_records, seal_block
from seawall.codec.block import BLOCK_BYTES_MAX, INTEGER_MAX
from seawall.consensus.engine import (
    BelowGc,
    Blocks,
    Commits,
    FetchBlocks,
    FetchCommits,
    Subscribe,
)
from seawall.consensus.messages import FRAGMENTS_BYTES_MAX, PeerMessage, encode
from seawall.domain.block import Batch, Block, CoinShares, Ref
from tests.cases.bad_blocks import BLOCKS, COMMITTEE, VALID, vote
from tests.unit.consensus.cluster import consensus_key, make_batch, make_record

HUGE: Final = INTEGER_MAX + 1
SOME: Final = Ref(1, 0, bytes(32))
MIB: Final = 1 << 20
LATE: Final = encode_records([make_record(1)])[:99] + b"\0\1" + bytes(6) + bytes(24)
"""An update whose sequence number takes 49 bits."""


class BadMessage(msgspec.Struct, frozen=True):
    """A row: what is wrong and where, the code, and the place that the answer names.

    `place` is a field, or an offset as `at 17`, or empty. `make` gets a good answer to
    `FetchCommits(1)`, and returns what the peer sends; the last message is the one refused.
    """

    area: str
    name: str
    code: str
    place: str
    make: Callable[[Commits], tuple[PeerMessage, ...]]


def refused_messages() -> Iterator[BadMessage]:
    """Yield every row."""
    for area, cases in BLOCKS:
        for case in cases:
            block = msgspec.structs.replace(VALID, **case.change)
            yield BadMessage(area, case.name, case.code, case.field, _sealed(block))
    yield from _signatures()
    yield from _bytes()
    yield from _encoded()
    yield from _around_blocks()
    yield from _commits()
    yield from _certificates()
    yield from _fragments()


def _sent(*raws: bytes) -> Callable[[Commits], tuple[PeerMessage, ...]]:
    return _just(PeerMessage(blocks=consensus_pb2.PeerBlocks(blocks=raws)))


def _just(*sent: PeerMessage) -> Callable[[Commits], tuple[PeerMessage, ...]]:
    return lambda _: sent


def _sealed(
    block: Block, *, signer: int = 1, origin: str = COMMITTEE.origin
) -> Callable[[Commits], tuple[PeerMessage, ...]]:
    return _sent(seal_block(block, origin, consensus_key(signer)).raw)


def _signatures() -> Iterator[BadMessage]:
    area, code = "a block", "BLOCK_SIGNATURE"
    yield BadMessage(area, "signed by another member", code, "signature", _sealed(VALID, signer=2))
    other = _sealed(VALID, origin="seawall/other")
    yield BadMessage(area, "signed for another chain", code, "signature", other)


def _bytes() -> Iterator[BadMessage]:
    area = "a block's bytes"
    raw = seal_block(VALID, COMMITTEE.origin, consensus_key(1)).raw
    half, size = len(raw) // 2, len(raw)
    for name, code, place, data in (
        ("none", "BLOCK_TRUNCATED", "at 0", b""),
        ("cut off in the header", "BLOCK_TRUNCATED", "at 40", raw[:40]),
        ("cut off in the content", "BLOCK_TRUNCATED", f"at {half}", raw[:half]),
        ("something follows", "BLOCK_TRAILING", f"at {size}", raw + b"\0"),
        (
            "more than any block may have",
            "BLOCK_SIZE",
            f"at {BLOCK_BYTES_MAX}",
            bytes(BLOCK_BYTES_MAX + 1),
        ),
        ("another version", "BLOCK_VERSION", "version at 0", b"\2" + raw[1:]),
    ):
        yield BadMessage(area, name, code, place, _sent(data))


def _encoded() -> Iterator[BadMessage]:
    area = "a block's bytes"
    batch = make_batch(COMMITTEE, 1, 1)
    for name, code, place, change in (
        ("a round beyond 2^53 - 1", "BLOCK_RANGE", "", {"round": HUGE}),
        ("a time beyond 2^53 - 1", "BLOCK_RANGE", "", {"timestamp_ms": HUGE}),
        (
            "a batch number beyond 2^53 - 1",
            "BLOCK_RANGE",
            "batches at 288",
            {"batches": (msgspec.structs.replace(batch, number=HUGE),)},
        ),
        ("a batch without updates", "RECORD_SIZE", "", {"batches": (Batch(1, 1, 0, b"", ()),)}),
        (
            "an update of no known kind",
            "RECORD_KIND",
            "kind",
            {"batches": (msgspec.structs.replace(batch, records_bytes=b"\xff" * 131),)},
        ),
        (
            "an update whose number is 2^48",
            "RECORD_RANGE",
            "seq",
            {"batches": (msgspec.structs.replace(batch, records_bytes=LATE),)},
        ),
        ("an empty transaction", "BLOCK_TRANSACTION_EMPTY", "at 616", {"transactions": (b"",)}),
        (
            "a commit vote with an index beyond 2^53 - 1",
            "BLOCK_RANGE",
            "commit_votes",
            {"commit_votes": (vote(HUGE),)},
        ),
        (
            "a first round of coin shares without shares",
            "BLOCK_COIN_FIRST",
            "coin_shares",
            {"coin_shares": CoinShares(1, ())},
        ),
    ):
        data = encode_block(msgspec.structs.replace(VALID, **change)) + bytes(64)
        yield BadMessage(area, name, code, place, _sent(data))


AROUND: Final = (
    ("a message", "of no kind", "SYNC_KIND", "", PeerMessage()),
    (
        "a message",
        "a second hello",
        "SYNC_KIND",
        "",
        PeerMessage(hello=consensus_pb2.PeerHello()),
    ),
    ("Subscribe", "beyond 2^53 - 1", "SYNC_RANGE", "after_round", encode(Subscribe(HUGE))[0]),
    (
        "FetchCommits",
        "beyond 2^53 - 1",
        "SYNC_RANGE",
        "first_index",
        encode(FetchCommits(HUGE))[0],
    ),
    (
        "FetchBlocks",
        "257 references",
        "SYNC_COUNT",
        "refs",
        encode(FetchBlocks((SOME,) * 257))[0],
    ),
    (
        "references",
        "a round beyond 2^53 - 1",
        "SYNC_RANGE",
        "refs.round",
        encode(FetchBlocks((Ref(HUGE, 0, bytes(32)),)))[0],
    ),
    (
        "references",
        "no member",
        "SYNC_RANGE",
        "refs.author",
        encode(FetchBlocks((Ref(1, 5, bytes(32)),)))[0],
    ),
    (
        "references",
        "a digest of 31 bytes",
        "SYNC_DIGEST",
        "refs",
        encode(FetchBlocks((Ref(1, 0, bytes(31)),)))[0],
    ),
    (
        "BelowGc",
        "a commit beyond 2^53 - 1",
        "SYNC_RANGE",
        "commit_index",
        encode(BelowGc(HUGE, (), ()))[0],
    ),
    (
        "LatestReply",
        "with bytes that are no block",
        "BLOCK_TRUNCATED",
        "at 1",
        PeerMessage(latest_reply=consensus_pb2.PeerLatestReply(own=b"x")),
    ),
)
"""Area, name, code, place and message."""


def _around_blocks() -> Iterator[BadMessage]:
    for area, name, code, place, message in AROUND:
        yield BadMessage(area, name, code, place, _just(message))


Change = Callable[[consensus_pb2.PeerCommits], object]


def _broken(change: Change) -> Callable[[Commits], tuple[PeerMessage, ...]]:
    """Return a maker of answers in which something is changed."""

    def make(good: Commits) -> tuple[PeerMessage, ...]:
        made = encode(good)[0]
        change(made.commits)
        return (made,)

    return make


def _set_first(name: str, value: object) -> Change:
    return lambda answer: setattr(answer.commits[0], name, value)


def _commits() -> Iterator[BadMessage]:
    def too_many(answer: consensus_pb2.PeerCommits) -> None:
        answer.commits.extend([types_pb2.Commit()] * 4097)

    for name, code, place, change in (
        ("an index beyond 2^53 - 1", "SYNC_RANGE", "commits.index", _set_first("index", HUGE)),
        ("a clock beyond 2^53 - 1", "SYNC_RANGE", "commits.clock_ms", _set_first("clock_ms", HUGE)),
        (
            "a gc round beyond 2^53 - 1",
            "SYNC_RANGE",
            "commits.gc_round",
            _set_first("gc_round", HUGE),
        ),
        ("no digest", "SYNC_DIGEST", "commits.digest", _set_first("digest", b"")),
        (
            "no previous digest",
            "SYNC_DIGEST",
            "commits.previous_digest",
            _set_first("previous_digest", b""),
        ),
        ("4097 commits", "SYNC_COUNT", "commits", too_many),
        ("a vote that is no block", "BLOCK_TRUNCATED", "at 1", lambda one: one.votes.append(b"x")),
    ):
        yield BadMessage("Commits", name, code, place, _broken(change))


def _certificates() -> Iterator[BadMessage]:
    for name, code, place, change in (
        (
            "a certificate with a root of one byte",
            "SYNC_DIGEST",
            "certificate.root",
            lambda one: one.certificate.MergeFrom(
                types_pb2.CertifiedCheckpoint(commit_digest=bytes(32), root=b"x")
            ),
        ),
        (
            "a certificate by no member",
            "SYNC_RANGE",
            "certificate.cosignatures",
            lambda one: one.certificate.MergeFrom(
                types_pb2.CertifiedCheckpoint(
                    commit_digest=bytes(32),
                    root=bytes(32),
                    cosignatures=[types_pb2.Cosignature(author=5, blob=bytes(72))],
                )
            ),
        ),
        (
            "more cosignatures than members",
            "SYNC_COUNT",
            "certificate.cosignatures",
            lambda one: one.certificate.cosignatures.extend([types_pb2.Cosignature()] * 6),
        ),
    ):
        yield BadMessage("Commits", name, code, place, _broken(change))


def _fragments() -> Iterator[BadMessage]:
    def piece(data: bytes, *, last: bool = False) -> PeerMessage:
        return PeerMessage(fragment=consensus_pb2.PeerFragment(data=data, last=last))

    nested = piece(b"x", last=True).SerializeToString()
    full = (piece(bytes(MIB)),) * (FRAGMENTS_BYTES_MAX // MIB)
    data, code = "fragment.data", "SYNC_FRAGMENT"
    for name, answer, place, pieces in (
        ("an empty one", code, data, (piece(b""),)),
        ("more than 64 MiB in all", code, data, (*full, piece(b"x"))),
        ("pieces of no message", code, data, (piece(b"\xff\xff", last=True),)),
        ("a message between two", code, "fragment", (piece(b"x"), encode(Blocks(()))[0])),
        ("a fragment in fragments", "SYNC_KIND", "", (piece(nested, last=True),)),
    ):
        yield BadMessage("fragments", name, answer, place, _just(*pieces))
