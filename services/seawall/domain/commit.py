"""What one committed leader adds to the total order, and its certificate."""

from enum import IntEnum

import msgspec

from seawall.domain.block import Batch, Ref, VerifiedBlock


class Judgement(IntEnum):
    """What becomes of an instance: one place of an update in a block."""

    ACCEPT = 1
    REJECT = 2
    DUPLICATE = 3


class Verdict(msgspec.Struct, frozen=True):
    """One judgement on some updates of one batch in a delivered block.

    `positions` are places within `batch`, strictly ascending; the update at position p is the
    block's instance number `first_index` + p. `rule` is the number of the finaliser's rule
    (docs/protocol.md, section 6). The batch comes along, so that whoever executes a verdict needs
    no earlier commit.
    """

    block: Ref
    batch: Batch
    first_index: int
    positions: tuple[int, ...]
    judgement: Judgement
    rule: int


class Twins(msgspec.Struct, frozen=True):
    """Two blocks of one slot that commits have delivered, with their author's signatures.

    An honest author signs one block a round: whoever has the author's key sees from a reference
    and its signature (64 bytes) that it signed both. `second` was delivered last; `first` has the
    least digest of those before it, so that it is the same one everywhere.
    """

    first: Ref
    first_signature: bytes
    second: Ref
    second_signature: bytes


class Commit(msgspec.Struct, frozen=True):
    """A committed sub-DAG: the unit that consensus hands to its ledger, numbered from 1.

    `blocks` stand in delivery order. `clock_ms` is the ledger clock: the stake-weighted median
    of the timestamps of the leader's parents, never decreasing. `digest` chains over the previous
    commit's digest, index, leader, clock and delivered digests.

    `verdicts` are what the finaliser concludes with this commit, in order, mostly on blocks of
    earlier commits; `finality_digest` (32 bytes, empty before the first) is the digest of its
    state after them. `twins` has one pair for each delivered block whose slot had another one
    delivered before it, in the order of delivery. All three follow from the commits up to this
    one: the commit digest leaves them out, and who takes over commits computes them anew.
    """

    index: int
    previous_digest: bytes
    digest: bytes
    leader: Ref
    clock_ms: int
    gc_round: int
    blocks: tuple[VerifiedBlock, ...]
    verdicts: tuple[Verdict, ...] = ()
    finality_digest: bytes = b""
    twins: tuple[Twins, ...] = ()


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
