"""Commits: the digest that chains them, and the summary that a journal keeps.

A summary names the delivered blocks by reference, so it is small; a commit holds them.
"""

from collections.abc import Iterable
from struct import Struct
from typing import Final

from seawall.codec.reading import Reader
from seawall.codec.refs import REF, encode_refs
from seawall.crypto.hashing import tagged
from seawall.domain.block import Ref
from seawall.domain.commit import Commit, CommitSummary

_COMMIT: Final = b"seawall/commit/v1"
_HEAD: Final = Struct(">Q32s32sQQ")
_COUNT: Final = Struct(">I")


def commit_digest(
    previous_digest: bytes, index: int, leader: Ref, clock_ms: int, delivered: Iterable[Ref]
) -> bytes:
    """Return the digest of a commit, 32 bytes: it chains over all commits before it.

    `delivered` are the references of its blocks in delivery order.
    """
    return tagged(
        _COMMIT,
        previous_digest,
        index.to_bytes(8, "big"),
        encode_refs((leader,)),
        clock_ms.to_bytes(8, "big"),
        encode_refs(delivered),
    )


def summarise(commit: Commit) -> CommitSummary:
    """Return the commit with references in place of blocks."""
    return CommitSummary(
        index=commit.index,
        previous_digest=commit.previous_digest,
        digest=commit.digest,
        leader=commit.leader,
        clock_ms=commit.clock_ms,
        gc_round=commit.gc_round,
        delivered=tuple([block.ref for block in commit.blocks]),
    )


def encode_commit_summary(summary: CommitSummary) -> bytes:
    """Return the canonical bytes of a summary."""
    return b"".join(
        (
            _HEAD.pack(
                summary.index,
                summary.previous_digest,
                summary.digest,
                summary.clock_ms,
                summary.gc_round,
            ),
            encode_refs((summary.leader,)),
            _COUNT.pack(len(summary.delivered)),
            encode_refs(summary.delivered),
        )
    )


def decode_commit_summary(data: bytes) -> CommitSummary:
    """Return the summary in these bytes.

    Raises PeerError:
        COMMIT_TRUNCATED: the bytes end too early.
        COMMIT_TRAILING: something follows the summary.
    """
    reader = Reader(data, "COMMIT_TRUNCATED")
    index, previous_digest, digest, clock_ms, gc_round = reader.unpack(_HEAD)
    leader = Ref(*reader.unpack(REF))
    (count,) = reader.unpack(_COUNT)
    delivered = tuple([Ref(*fields) for fields in reader.unpack_many(REF, count)])
    reader.end("COMMIT_TRAILING")
    return CommitSummary(
        index=index,
        previous_digest=previous_digest,
        digest=digest,
        leader=leader,
        clock_ms=clock_ms,
        gc_round=gc_round,
        delivered=delivered,
    )
