"""What one committed leader adds to the total order, and its certificate."""

import msgspec

from seawall.domain.block import Ref, VerifiedBlock


class Commit(msgspec.Struct, frozen=True):
    """A committed sub-DAG: the unit that consensus hands to its ledger, numbered from 1.

    `blocks` stand in delivery order. `clock_ms` is the ledger clock: the stake-weighted median
    of the timestamps of the leader's parents, never decreasing. `digest` chains over the previous
    commit's digest, index, leader, clock and delivered digests.
    """

    index: int
    previous_digest: bytes
    digest: bytes
    leader: Ref
    clock_ms: int
    gc_round: int
    blocks: tuple[VerifiedBlock, ...]


class CommitSummary(msgspec.Struct, frozen=True):
    """A commit with references in place of its blocks; `delivered` in delivery order."""

    index: int
    previous_digest: bytes
    digest: bytes
    leader: Ref
    clock_ms: int
    gc_round: int
    delivered: tuple[Ref, ...]


class Cosignature(msgspec.Struct, frozen=True):
    """One validator's cosignature/v1 blob (72 bytes) over a checkpoint."""

    author: int
    blob: bytes


class CertifiedCheckpoint(msgspec.Struct, frozen=True):
    """Commit votes of stake Q that agree: certifies the commit and the ledger's tree head."""

    index: int
    commit_digest: bytes
    tree_size: int
    root: bytes
    cosignatures: tuple[Cosignature, ...]
