"""Parts of a valid block that count for nothing, and hellos that end a link before it is up."""

from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from seawall.codec import seal_block
from seawall.domain.block import (
    Block,
    BlockFlags,
    CoinShares,
    CommitVote,
    Ref,
    RejectSet,
    VerifiedBlock,
)
from seawall.formats.checkpoint import Checkpoint
from seawall.formats.cosignature import cosign
from tests.unit.consensus.cluster import WALL_MS, Cluster, consensus_key, cosigner_key

AUTHOR: Final = 1
COSIGNER: Final = 2


def next_block(cluster: Cluster, author: int, **content: object) -> VerifiedBlock:
    """Return a block of an author's next round on the newest ones of all, with this content."""
    newest = [site.blocks[-1].ref for site in cluster.sites]
    round_ = max(ref.round for ref in newest)
    parents = [newest[author], *[ref for ref in newest if ref.author != author]]
    block = Block(
        epoch=0,
        round=round_ + 1,
        author=author,
        timestamp_ms=WALL_MS,
        flags=BlockFlags.NONE,
        parents=tuple(parents),
        batches=(),
        transactions=(),
        rejects=(),
        vote_cutoff=max(0, round_ - 4),
        coin_shares=CoinShares(),
        commit_votes=(),
    )
    made = msgspec.structs.replace(block, **content)
    sealed = seal_block(made, cluster.committee.origin, consensus_key(author))
    return VerifiedBlock(block=made, ref=sealed.ref, raw=sealed.raw, valid_votes=())


Content: TypeAlias = "Callable[[Cluster], dict[str, object]]"


class LeftOut(msgspec.Struct, frozen=True):
    """A row: a part of a valid block, what is wrong with it, and the content that has it."""

    part: str
    name: str
    content: Callable[[Cluster], dict[str, object]]


def next_vote(cluster: Cluster, cosigner: int) -> CommitVote:
    """Return a vote on the next commit, cosigned by a member."""
    index = cluster.sites[0].replica.status().commit_index + 1
    body = Checkpoint(cluster.committee.origin, 9, bytes(32)).body()
    blob = cosign(cosigner_key(cosigner), body, WALL_MS // 1000)
    return CommitVote(index, bytes(32), 9, bytes(32), blob)


def _rejects(
    target: Callable[[Cluster], Ref], *indices: int
) -> Callable[[Cluster], dict[str, object]]:
    return lambda cluster: {"rejects": (RejectSet(target(cluster), indices),)}


def _unknown(cluster: Cluster) -> Ref:
    return Ref(cluster.sites[2].blocks[-1].ref.round, 2, bytes(32))


def _empty(cluster: Cluster) -> Ref:
    return cluster.sites[2].blocks[-1].ref


LEFT_OUT: Final = (
    LeftOut("a reject set", "a block that nobody has", _rejects(_unknown, 0)),
    LeftOut(
        "a reject set", "places that the block does not have", _rejects(_empty, 0, 7, 2**32 - 1)
    ),
    LeftOut(
        "a commit vote",
        "a cosignature by another member",
        lambda cluster: {"commit_votes": (next_vote(cluster, COSIGNER),)},
    ),
    LeftOut(
        "a commit vote",
        "a cosignature of zeros",
        lambda cluster: {
            "commit_votes": (
                msgspec.structs.replace(next_vote(cluster, AUTHOR), cosignature=bytes(72)),
            )
        },
    ),
)

TESTED: Final = (
    (
        "a coin share",
        "not its author's share of the round",
        "`bad_share`",
        "test_coin.py",
        "test_wrong_shares_are_noted_and_ignored",
    ),
    (
        "the slot",
        "a second block of its author there",
        "`equivocation`",
        "test_core.py",
        "test_a_second_block_in_a_slot_is_evidence_and_its_author_is_shunned",
    ),
)
"""Part, what is wrong, observation, and the test that has it, in tests/unit/consensus/dag."""

HELLOS: Final = (
    ("another chain", "HELLO_ORIGIN", "origin", "seawall/ffffffffffffffff"),
    ("another epoch", "HELLO_EPOCH", "epoch", 3),
    ("another format", "HELLO_FORMAT", "format_version", 9),
    ("another member than the certificate's", "HELLO_AUTHOR", "author", 2),
)
"""What is wrong, code, field, and its value."""
