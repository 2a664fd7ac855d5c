"""Blocks that break one rule each: what is changed in a valid one, and the answer.

The committee has unequal stakes, so that stake and heads are not the same: S = 6, Q = 5, V = 2.
"""

from typing import Any, Final

import msgspec

from seawall.codec import genesis_ref
from seawall.consensus.verification import COIN_SHARES_MAX
from seawall.domain.block import (
    Attestation,
    Block,
    BlockFlags,
    CoinShares,
    CommitVote,
    Ref,
    RejectSet,
)
from seawall.domain.parameters import ConsensusParameters
from seawall.formats.checkpoint import Checkpoint
from seawall.formats.cosignature import cosign
from tests.unit.consensus.cluster import cosigner_key, make_batch, make_committee

COMMITTEE: Final = make_committee((2, 1, 1, 1, 1))
PARAMETERS: Final = ConsensusParameters(
    block_batches_max=2,
    block_updates_max=4,
    block_transactions_max=2,
    transaction_size_bytes_max=10,
    block_commit_votes_max=2,
    block_size_bytes_max=4000,
)
ROOT: Final = b"r" * 32


def ref(round_: int, author: int, digest: bytes = b"d" * 32) -> Ref:
    """Return a reference; whether such a block exists is not a matter of validity."""
    return Ref(round_, author, digest)


def vote(index: int = 1, cosigner: int = 1) -> CommitVote:
    """Return a commit vote cosigned by a member."""
    body = Checkpoint(COMMITTEE.origin, 9, ROOT).body()
    blob = cosign(cosigner_key(cosigner), body, 1_700_000_000)
    return CommitVote(index, b"c" * 32, 9, ROOT, blob)


VALID: Final = Block(
    epoch=0,
    round=7,
    author=1,
    timestamp_ms=1_700_000_000_000,
    flags=BlockFlags.NONE,
    parents=(ref(6, 1), ref(6, 0), ref(6, 2), ref(6, 3), ref(4, 4)),
    batches=(make_batch(COMMITTEE, 1, 1, updates=2),),
    transactions=(b"{}",),
    rejects=(RejectSet(ref(5, 2), (0, 3)), RejectSet(ref(6, 0), (1,))),
    vote_cutoff=4,
    coin_shares=CoinShares(4, (bytes(48), bytes(48))),
    commit_votes=(vote(1), vote(2)),
)


def genesis_parents(wrong: int | None = None) -> tuple[Ref, ...]:
    """Return the parents of a block of round 1 by author 1, one of them wrong if asked for."""
    order = (1, 0, 2, 3, 4)
    return tuple(
        ref(0, author) if author == wrong else genesis_ref(COMMITTEE.origin, 0, author)
        for author in order
    )


FIRST: Final[dict[str, Any]] = {
    "round": 1,
    "vote_cutoff": 0,
    "rejects": (),
    "coin_shares": CoinShares(),
}
"""What else changes in a block of round 1."""


class BadBlock(msgspec.Struct, frozen=True):
    """A row: what is wrong, the code and the field of the answer, what is changed in `VALID`."""

    name: str
    code: str
    field: str
    change: dict[str, Any]


def _batches(*batches: object) -> dict[str, Any]:
    return {"batches": batches}


def _spoilt_batch(**change: object) -> dict[str, Any]:
    return _batches(msgspec.structs.replace(make_batch(COMMITTEE, 1, 1), **change))


def _certified(*attesters: int) -> dict[str, Any]:
    return _batches(make_batch(COMMITTEE, 1, 1, attesters=attesters))


def _parents(*parents: Ref) -> dict[str, Any]:
    return {"parents": parents}


def _rejects(*sets: RejectSet) -> dict[str, Any]:
    return {"rejects": sets}


ONE, TWO = make_batch(COMMITTEE, 1, 1, attesters=(1, 2)).certificate

HEADERS: Final = (
    BadBlock("another epoch", "BLOCK_EPOCH", "epoch", {"epoch": 1}),
    BadBlock("no member", "BLOCK_AUTHOR", "author", {"author": 5, "batches": ()}),
    BadBlock("round 0", "BLOCK_ROUND", "round", {"round": 0}),
    BadBlock(
        "vote cutoff of its own round", "BLOCK_VOTE_CUTOFF", "vote_cutoff", {"vote_cutoff": 7}
    ),
)
LIMITS: Final = (
    BadBlock(
        "too many batches",
        "BLOCK_LIMIT",
        "batches",
        _batches(*[make_batch(COMMITTEE, 1, number) for number in range(3)]),
    ),
    BadBlock(
        "too many updates",
        "BLOCK_LIMIT",
        "batches.updates",
        _batches(make_batch(COMMITTEE, 1, 1, updates=5)),
    ),
    BadBlock(
        "too many transactions",
        "BLOCK_LIMIT",
        "transactions",
        {"transactions": (b"1", b"2", b"3")},
    ),
    BadBlock(
        "a transaction that is too long",
        "BLOCK_LIMIT",
        "transactions.size",
        {"transactions": (b"x" * 11,)},
    ),
    BadBlock(
        "too many commit votes",
        "BLOCK_LIMIT",
        "commit_votes",
        {"commit_votes": (vote(1), vote(2), vote(3))},
    ),
    BadBlock(
        "too many coin shares",
        "BLOCK_LIMIT",
        "coin_shares",
        {"coin_shares": CoinShares(1, (bytes(48),) * (COIN_SHARES_MAX + 1))},
    ),
    BadBlock(
        "more bytes than the parameters allow",
        "BLOCK_LIMIT",
        "raw",
        _rejects(RejectSet(ref(5, 2), tuple(range(1000)))),
    ),
)
PARENTS: Final = (
    BadBlock("no parents", "BLOCK_PARENT_COUNT", "parents", _parents()),
    BadBlock(
        "more parents than members",
        "BLOCK_PARENT_COUNT",
        "parents",
        _parents(*VALID.parents, ref(3, 2)),
    ),
    BadBlock(
        "first parent by another author",
        "BLOCK_PARENT_FIRST",
        "parents.0",
        _parents(ref(6, 0), ref(6, 1), ref(6, 2), ref(6, 3)),
    ),
    BadBlock(
        "a parent by no member",
        "BLOCK_PARENT_AUTHOR",
        "parents",
        _parents(ref(6, 1), ref(6, 0), ref(6, 2), ref(6, 5)),
    ),
    BadBlock(
        "two parents by one author",
        "BLOCK_PARENT_AUTHOR",
        "parents",
        _parents(ref(6, 1), ref(6, 0), ref(6, 2), ref(5, 2)),
    ),
    BadBlock(
        "a second parent by the block's author",
        "BLOCK_PARENT_AUTHOR",
        "parents",
        _parents(ref(6, 1), ref(5, 1), ref(6, 0), ref(6, 2)),
    ),
    BadBlock(
        "a parent of the same round",
        "BLOCK_PARENT_ROUND",
        "parents",
        _parents(ref(6, 1), ref(6, 0), ref(6, 2), ref(7, 3)),
    ),
    BadBlock(
        "heads of Q, but not the stake",
        "BLOCK_PARENT_STAKE",
        "parents",
        _parents(ref(6, 1), ref(6, 2), ref(6, 3), ref(6, 4)),
    ),
    BadBlock(
        "the stake of Q, but not all of the round before",
        "BLOCK_PARENT_STAKE",
        "parents",
        _parents(ref(6, 1), ref(5, 0), ref(6, 2), ref(6, 3), ref(6, 4)),
    ),
    BadBlock(
        "round 1 on a genesis block that is none",
        "BLOCK_PARENT_GENESIS",
        "parents",
        {**_parents(*genesis_parents(wrong=3)), **FIRST},
    ),
    BadBlock(
        "a later round on a genesis block that is none",
        "BLOCK_PARENT_GENESIS",
        "parents",
        _parents(*VALID.parents[:4], ref(0, 4)),
    ),
)
REJECTS: Final = (
    BadBlock(
        "a target at the vote cutoff",
        "BLOCK_REJECT_TARGET",
        "rejects",
        _rejects(RejectSet(ref(4, 2), (0,))),
    ),
    BadBlock(
        "a target of the block's round",
        "BLOCK_REJECT_TARGET",
        "rejects",
        _rejects(RejectSet(ref(7, 2), (0,))),
    ),
    BadBlock(
        "a target by no member",
        "BLOCK_REJECT_TARGET",
        "rejects",
        _rejects(RejectSet(ref(6, 5), (0,))),
    ),
    BadBlock(
        "one target twice",
        "BLOCK_REJECT_TARGET",
        "rejects",
        _rejects(VALID.rejects[0], VALID.rejects[0]),
    ),
    BadBlock(
        "targets in descending order",
        "BLOCK_REJECT_TARGET",
        "rejects",
        _rejects(*VALID.rejects[::-1]),
    ),
    BadBlock("no indices", "BLOCK_REJECT_INDICES", "rejects", _rejects(RejectSet(ref(6, 2), ()))),
    BadBlock(
        "one index twice",
        "BLOCK_REJECT_INDICES",
        "rejects",
        _rejects(RejectSet(ref(6, 2), (1, 1))),
    ),
    BadBlock(
        "indices in descending order",
        "BLOCK_REJECT_INDICES",
        "rejects",
        _rejects(RejectSet(ref(6, 2), (2, 1))),
    ),
)
SHARES: Final = (
    BadBlock(
        "of a round that is not over",
        "BLOCK_COIN_ROUND",
        "coin_shares",
        {"coin_shares": CoinShares(5, (bytes(48), bytes(48)))},
    ),
    BadBlock(
        "of round 0",
        "BLOCK_COIN_ROUND",
        "coin_shares",
        {"coin_shares": CoinShares(0, (bytes(48),))},
    ),
)
VOTES: Final = (
    BadBlock(
        "in descending order",
        "BLOCK_VOTE_ORDER",
        "commit_votes",
        {"commit_votes": (vote(2), vote(1))},
    ),
    BadBlock(
        "one index twice",
        "BLOCK_VOTE_ORDER",
        "commit_votes",
        {"commit_votes": (vote(1), vote(1))},
    ),
    BadBlock("index 0", "BLOCK_VOTE_ORDER", "commit_votes", {"commit_votes": (vote(0),)}),
)
BATCHES: Final = (
    BadBlock("attested by less than stake V", "BATCH_STAKE", "batches", _certified(3)),
    BadBlock(
        "attested by no member",
        "BATCH_ATTESTER",
        "batches",
        _spoilt_batch(certificate=(ONE, Attestation(5, bytes(64)))),
    ),
    BadBlock(
        "one attester twice", "BATCH_ATTESTER", "batches", _spoilt_batch(certificate=(ONE, ONE))
    ),
    BadBlock(
        "attesters in descending order",
        "BATCH_ATTESTER",
        "batches",
        _spoilt_batch(certificate=(TWO, ONE)),
    ),
    BadBlock(
        "an attestation of another number", "BATCH_SIGNATURE", "batches", _spoilt_batch(number=2)
    ),
    BadBlock(
        "an attestation at another height",
        "BATCH_SIGNATURE",
        "batches",
        _spoilt_batch(pinned_height=1),
    ),
    BadBlock(
        "an attestation over other records",
        "BATCH_SIGNATURE",
        "batches",
        _spoilt_batch(records_bytes=make_batch(COMMITTEE, 1, 2).records_bytes),
    ),
)

BLOCKS: Final = (
    ("a block", (*HEADERS, *LIMITS)),
    ("a block's parents", PARENTS),
    ("a reject set", REJECTS),
    ("coin shares", SHARES),
    ("commit votes", VOTES),
    ("a batch", BATCHES),
)
"""Every row, by the part of a block that is wrong."""
